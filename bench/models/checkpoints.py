"""Checkpoints: transformers in folders and on the hub, and how they become encoders."""

from __future__ import annotations

from functools import cache as memoize
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.compute import Precision
from bench.core.errors import DataError, UsageError
from bench.core.files import is_folder
from bench.core.libraries import quiet_libraries
from bench.core.progress import Progress, Silent
from bench.core.registry import METHODS, did_you_mean, names
from bench.models.checkpoint_files import (
    PICKLED,
    UNUSED,
    is_classifier,
    is_model2vec,
    model_type,
    refuse_damaged,
)
from bench.models.four_bit import four_bit_options
from bench.models.layers import count_layers, final_norm
from bench.models.loading import (
    refuse_random,
    refuse_without_vocabulary,
    reports,
    shown,
    told_by_name,
)

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

POOLER = "pooler"
FIRST_LAST = "avg_first_last"


def with_pooling(model: SentenceTransformer, pooling: str) -> SentenceTransformer:
    """Rebuild a model as its transformer and one pooling, e.g. to train it unnormalised.

    ``pooler`` is the first token through the transformer's own pooler, a linear layer and tanh.
    ``avg_first_last`` is the mean over tokens of the average of the states behind the first block
    and the last, as in the code of SimCSE (arXiv 2104.08821), of layers of the library's own; the
    paper's figure of BERT without training takes word embeddings for the first.

    Raises:
        UsageError: There is no such pooling, the transformer has no pooler, its last states alone
            are normed, or there is none.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    known = (*Pooling.POOLING_MODES, POOLER, FIRST_LAST)
    if pooling not in known:
        raise UsageError(f"unknown pooling {pooling!r}; choose {', '.join(known)}")
    transformer: Any = model[0]
    if not isinstance(transformer, Transformer):
        raise UsageError(f"a {type(transformer).__name__} has no tokens to pool; leave pooling out")
    width = transformer.get_embedding_dimension()
    mode = {POOLER: "cls", FIRST_LAST: "mean"}.get(pooling, pooling)
    modules = [transformer, Pooling(width, mode)]
    if pooling == POOLER:
        modules.append(_pooler(transformer))
    if pooling == FIRST_LAST:
        modules.insert(1, _first_and_last(model))
    return SentenceTransformer(modules=modules, device=str(model.device))


def _pooler(transformer: Any) -> Any:
    from sentence_transformers.sentence_transformer.modules import Dense

    linear = getattr(getattr(transformer.model, "pooler", None), "dense", None)
    if linear is None:
        kind = type(transformer.model).__name__
        raise UsageError(
            f"{kind} has no pooler of its own, or its weights lack one; name another pooling, "
            "such as cls"
        )
    weight, bias = linear.weight.detach().clone(), linear.bias.detach().clone()
    out, width = weight.shape
    return Dense(width, out, init_weight=weight, init_bias=bias)


def _first_and_last(model: SentenceTransformer) -> Any:
    """Average the states of two blocks, with weights that no training changes."""
    import torch
    from sentence_transformers.sentence_transformer.modules import WeightedLayerPooling

    transformer: Any = model[0]
    layers = count_layers(model)
    if final_norm(transformer.model) is not None:
        raise UsageError(
            f"{FIRST_LAST} needs a transformer like BERT: {type(transformer.model).__name__} norms "
            "its last states alone, which outweigh or vanish beside the first; name another pooling"
        )
    weights = torch.zeros(layers)
    weights[0] += 1
    weights[-1] += 1
    transformer.model.config.output_hidden_states = True
    return WeightedLayerPooling(
        transformer.get_embedding_dimension(),
        num_hidden_layers=layers,
        layer_start=1,
        layer_weights=torch.nn.Parameter(weights, requires_grad=False),
    )


def with_model(folder: Path) -> Path:
    """Check that a folder holds a model.

    Raises:
        DataError: It has neither modules.json nor config.json.
    """
    if not any((folder / name).is_file() for name in ("modules.json", "config.json")):
        raise DataError(f"{folder} holds no model: it has neither modules.json nor config.json")
    return folder


@memoize
def snapshot(repository: str, revision: str | None, offline: bool) -> Path:
    """Fetch a repository of the hub, without pickled weights where it has others.

    Args:
        repository: ``org/name`` or ``name``.
        revision: Branch, tag or commit, or None for the default branch.
        offline: Use only what the local hub cache has.

    Raises:
        DataError: It cannot be fetched, or is not in the cache.
    """
    from huggingface_hub import snapshot_download

    quiet_libraries()

    def fetch(ignored: tuple[str, ...]) -> Path:
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                local_files_only=offline,
                ignore_patterns=[*ignored],
            )
        )

    name = f"{repository}@{revision}" if revision else repository
    try:
        folder = fetch((*UNUSED, *PICKLED))
        return folder if any(folder.rglob("*.safetensors")) else fetch(UNUSED)
    except Exception as error:
        near = did_you_mean(repository, names(METHODS)) if "/" not in repository else ""
        hint = "; ".join(filter(None, ["allow the hub once, or pass a folder", near]))
        if offline:
            raise DataError(
                f"{name} is not in the local hub cache, and cannot be fetched offline; {hint}"
            ) from None
        raise DataError(f"{name} cannot be fetched ({type(error).__name__}); {hint}") from None


def find_folder(name: str, *, offline: bool) -> Path:
    """Folder of a model that is named by a folder or by a hub id with an optional revision.

    Raises:
        DataError: There is no such model.
    """
    if is_folder(name):
        return Path(name)
    repository, _, revision = name.partition("@")
    return snapshot(repository, revision or None, offline)


def load_folder(
    folder: Path,
    device: str,
    pooling: str | None = None,
    progress: Progress | None = None,
    *,
    four_bit: Precision | None = None,
) -> SentenceTransformer:
    """Load a sentence transformer as saved, or a bare transformer with a pooling.

    Args:
        folder: Where the model is.
        device: Torch device.
        pooling: Pooling of a bare transformer or of a cross-encoder, mean by default.
        progress: Shows what of the folder is left out.
        four_bit: Precision in which linear layers of 4 bits are multiplied, see
            ``bench.models.four_bit``; None loads weights as they are saved.

    Raises:
        DataError: There is no model, it is damaged or pickled, weights or the tokenizer are
            missing.
        UsageError: There is no such pooling, or no weights of 4 bits here.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer

    quiet_libraries()
    refuse_damaged(with_model(folder))
    progress = progress or Silent()
    saved = (folder / "modules.json").is_file()
    if is_model2vec(folder):
        raise DataError(
            f"{folder} is a folder of model2vec without modules.json; convert it by "
            "sentence_transformers' StaticEmbedding.from_model2vec, and save that"
        )
    options = None if four_bit is None else four_bit_options(device, four_bit)
    with told_by_name(folder), reports() as load_reports:
        if saved:
            model = SentenceTransformer(
                str(folder),
                # The library warns where the options say the device too.
                device=device if options is None else None,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs=options,
            )
        else:
            transformer = Transformer(str(folder), model_kwargs=options)
            model = SentenceTransformer(modules=[transformer], device=device)
    refuse_random(folder, load_reports, progress)
    inner = [module for module in model.modules() if isinstance(module, Transformer)]
    refuse_without_vocabulary(folder, inner)
    _keep_layer_weights(model)
    kind = model_type(folder)
    if not saved or (kind != "SentenceTransformer" and pooling is not None):
        model = with_pooling(model, pooling or "mean")
    _tell_kind(folder, kind, progress)
    _refuse_prompts(folder, model)
    return model


def _keep_layer_weights(model: SentenceTransformer) -> None:
    """Freeze what weighs layers, which the library makes trainable, though an average stays one."""
    from sentence_transformers.sentence_transformer.modules import WeightedLayerPooling

    for module in model:
        if isinstance(module, WeightedLayerPooling):
            module.requires_grad_(False)


def _refuse_prompts(folder: Path, model: SentenceTransformer) -> None:
    wrong = [name for name, text in model.prompts.items() if not isinstance(text, str | None)]
    if wrong:
        raise DataError(
            f"{folder}: prompt {wrong[0]!r} is not a text; correct "
            "config_sentence_transformers.json"
        )


def _tell_kind(folder: Path, kind: str, progress: Progress) -> None:
    """Tell where a folder was made for something else than the vectors of texts."""
    if is_classifier(folder):
        progress.note(
            f"  {folder} is a cross-encoder or another classifier: its head is left out, and the "
            "rest encodes each text by itself, which it was not trained for"
        )
    elif kind != "SentenceTransformer":
        progress.note(
            f"  {folder} is a {kind}: its transformer alone is used, with one vector a text"
        )


def load_masked_lm(folder: Path, name: str, device: str) -> tuple[Any, Any]:
    """Load a masked language model, in eval mode, and its tokenizer.

    Args:
        folder: Where they are.
        name: What the user called them.
        device: Torch device.

    Raises:
        DataError: There is no model, or it is damaged.
        UsageError: The weights have no head for masked language modelling.
    """
    import transformers

    quiet_libraries()
    refuse_damaged(folder)
    with told_by_name(folder), reports() as load_reports:
        model = transformers.AutoModelForMaskedLM.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    missing = [key for report in load_reports for key in (*report.missing, *report.mismatched)]
    below = [key for key in missing if key.startswith(f"{model.base_model_prefix}.")]
    if below:
        raise DataError(f"{folder}: the weights lack {shown(below)}; download or save it again")
    if missing:
        raise UsageError(f"{name!r} has no head for masked language modelling; use minilm-l2-mlm")
    return model.to(device).eval(), tokenizer
