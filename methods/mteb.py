"""Any model of mteb's registry, loaded by mteb and with the prompts that mteb gives it."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import BenchError, DataError, UsageError, first_line
from bench.core.libraries import quiet_libraries
from bench.core.registry import did_you_mean
from bench.data.access import DataAccess
from bench.encoding.encoder import TaskLabel
from bench.method import BuildContext, Method, MethodInfo, ModelAccess
from bench.method.contract import TORCH_STACK
from bench.models.loading import no_remote_code

# What mteb's own loop hands to models at a time.
_BATCH = 32
_COMMIT = re.compile(r"[0-9a-f]{40}")
# Types of mteb for kinds of tasks, whose prompts these have; others have those of STS.
_TYPES: Mapping[str, str] = {
    "classification": "Classification",
    "nli": "PairClassification",
    "pair_classification": "PairClassification",
    "reranking": "Reranking",
    "retrieval": "Retrieval",
    "clustering": "Clustering",
}
_PROBE = "The kettle is on, and it rains again."


class Mteb(Method):
    """A model of mteb's registry, with the prompts and instructions that it has there.

    mteb's own loader and ``encode`` are called with the task, so that prompts of tasks, of types of
    tasks and of roles are chosen by mteb. Tasks share no vectors for that reason. A task of a suite
    that mteb does not know is of the type of its kind, and texts of no task are of an STS task.
    """

    info = MethodInfo(
        name="mteb",
        title="Any model of mteb's registry, with its prompts",
        kind="supervised",
        paper="MTEB: Massive Text Embedding Benchmark",
        arxiv="2210.07316",
        year=2023,
        requires=(*TORCH_STACK, "mteb"),
        loads_checkpoints=True,
        example="--suite sts7 --methods mteb@intfloat/e5-base-v2",
    )

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Name, commit and loader in the registry, and the files where they are of the hub.

        Raises:
            UsageError: No model is named, mteb knows none of the name, or it gives no vectors.
            DataError: Its files are not here, and cannot be fetched.
        """
        meta = self._meta()
        told = {
            "name": meta.name,
            "revision": meta.revision,
            "loader": getattr(meta.loader, "__qualname__", str(meta.loader)),
            "options": {name: str(value) for name, value in sorted(meta.loader_kwargs.items())},
        }
        if not (_COMMIT.fullmatch(str(meta.revision)) and "API" not in meta.framework):
            return told
        return {**told, "files": models.fingerprint(f"{meta.name}@{meta.revision}")}

    def build(self, ctx: BuildContext) -> MtebEncoder:
        """Load the model as mteb does.

        Raises:
            UsageError: No model is named, mteb knows none of the name, or it gives no vectors.
            DataError: It cannot be loaded, or needs to run code of its checkpoint.
        """
        meta = self._meta()
        try:
            with no_remote_code(str(meta.name)):
                model = meta.load_model(device=ctx.device)
        except BenchError:
            raise
        except Exception as error:
            raise DataError(f"mteb cannot load {meta.name}: {first_line(error)}") from error
        served = "API" in meta.framework
        return ServedMtebEncoder(str(meta.name), model) if served else MtebEncoder(model)

    def _meta(self) -> Any:
        if self.checkpoint is None:
            raise UsageError("mteb needs the name of a model in its registry: mteb@org/name")
        import mteb
        from mteb.models.model_implementations import MODEL_REGISTRY

        quiet_libraries()
        logging.getLogger("mteb").setLevel(logging.ERROR)
        try:
            meta = mteb.get_model_meta(self.checkpoint)
        except KeyError:
            hint = did_you_mean(self.checkpoint, MODEL_REGISTRY) or f"sbert@{self.checkpoint}?"
            raise UsageError(f"mteb's registry has no model {self.checkpoint!r}; {hint}") from None
        _refuse_without_vectors(meta)
        return meta


def _refuse_without_vectors(meta: Any) -> None:
    kinds = " and ".join(meta.model_type)
    if "dense" not in meta.model_type:
        instead = {"cross-encoder": "cross", "sparse": "sparse"}.get(meta.model_type[0])
        hint = f"write {instead}@{meta.name}" if instead else "it cannot be run here"
        raise UsageError(f"{meta.name} is {kinds} and gives no vector of a text; {hint}")
    if "text" not in meta.modalities:
        raise UsageError(f"{meta.name} reads no texts, but {' and '.join(meta.modalities)}")
    if meta.loader is None:
        raise UsageError(f"mteb knows {meta.name} and cannot load it")


class MtebEncoder:
    """A model of mteb as an encoder.

    Args:
        model: What its loader gave.

    Attributes:
        by_task: Always true: vectors depend on the task.
        device: Torch device of the model, where it says so.
    """

    by_task: Literal[True] = True

    def __init__(self, model: Any) -> None:
        self._model = model
        self.device = getattr(getattr(model, "model", None), "device", None)

    def encode(
        self, texts: Sequence[str], *, role: str | None = None, task: TaskLabel | None = None
    ) -> NDArray[np.float32]:
        """Encode n texts of a task, or of none, to float32 of shape (n, d)."""
        from datasets import Dataset
        from mteb.types import PromptType
        from torch.utils.data import DataLoader

        rows: Any = Dataset.from_dict({"text": [*texts]})
        vectors: Any = self._model.encode(
            DataLoader(rows, batch_size=_BATCH),
            task_metadata=_metadata(task or TaskLabel("sts", "")),
            hf_split="test",
            hf_subset="default",
            prompt_type=None if role is None else PromptType(role),
            batch_size=_BATCH,
            show_progress_bar=False,
        )
        if hasattr(vectors, "detach"):
            vectors = vectors.detach().float().cpu().numpy()
        return np.asarray(vectors, dtype=np.float32)

    def parameters(self) -> Iterator[Any]:
        """Weights of the model, where it shows them."""
        inner: Any = getattr(self._model, "model", None)
        if hasattr(inner, "parameters"):
            yield from inner.parameters()


class ServedMtebEncoder(MtebEncoder):
    """A model that someone else runs, and may change, see ``bench.encoding.changing``.

    Args:
        name: Its name.
        model: What its loader gave.

    Attributes:
        probe: Vector (d,) of a text that is always the same.
    """

    def __init__(self, name: str, model: Any) -> None:
        super().__init__(model)
        self.name = name
        self.probe = self.encode([_PROBE])[0]


@cache
def _metadata(task: TaskLabel) -> Any:
    """What mteb knows of a task, or of one of the same type where it does not know the name."""
    import mteb
    from mteb.abstasks.task_metadata import TaskMetadata

    try:
        with warnings.catch_warnings():
            # That a task has a newer version is known to who asked for this one.
            warnings.simplefilter("ignore", UserWarning)
            return mteb.get_task(task.name).metadata
    except KeyError:
        return TaskMetadata(
            name=task.name or "STS",
            description="A task that mteb does not know.",
            type=_TYPES.get(task.kind, "STS"),
            main_score="none",
            eval_langs=["eng-Latn"],
            eval_splits=["test"],
            dataset={"path": "none", "revision": "none"},
        )
