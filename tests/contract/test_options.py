"""Every option of every method makes another model, or is refused; none is ignored.

Each is built twice in profile smoke, with tiny models and data, with the option as it is and
otherwise. What an option cannot show there is in ``SHOWN_ELSEWHERE``, with the test that shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.api import build_method
from bench.core.errors import BenchError
from bench.core.registry import METHODS, names, owner
from bench.core.spec import parse_method_spec
from bench.method import Built, LabelledTexts, LabelsOnly, Predictor, make_method, method_class
from tests.contract.small_methods import spec
from tests.support.classifiers import asked

TEXTS = ["text 1", "the text 2 that is somewhat longer than the others are", "no text", "z y x"]
# More of the first, so that there are rare ones.
LABELS = [0, 1, 2, 3, 4] * 3 + [0] * 5
OWN = [name for name in names(METHODS) if owner(METHODS, name) == "sentence-bench"]
# In place of one that follows from the type; names in braces are those of ``made``.
VALUES: dict[str, str] = {
    "base": "{other}",
    "corpus": "{other_corpus}",
    "sentences": "20",
    "micro_batch": "3",
    "max_seq_length": "4",
    "defsent-plus.max_seq_length": "8",
    "defsent.sentences": "8",
    "epochs": "2",
    "mlm": "{base}",
    "warmup": "0.9",
    "teacher": "{other}",
    "student": "simcse[corpus={corpus},dev=false,max_steps=2,batch_size=8]",
    "tier1_corpus": "{other_corpus}",
    "tier1_epochs": "2",
    "retrieval": "quora",
    "stage1": "simcse[corpus={corpus},dev=false,max_steps=2,batch_size=8]",
    "codiemb.negatives": "1",
    "conan.negatives": "1",
    "conan.warmup_ratio": "0.9",
    # Smaller ones are lost in rounding within so few steps.
    "weight_decay": "0.9",
    "vocabulary": "60",
    "defsent.data": "{other_dictionary}",
    "defsent-plus.data": "{other_dictionary}",
    "dims": "(16,4)",
    "divergence_temperature": "0.7",
    "of": "sbert@{other}",
    "minilm-l2-mlm.sentences": "8",
    "sbert.pooling": "cls",
    "sbert.prompt": "about this: ",
    "api.prompt": "about this: ",
    # Nobody answers there, and such a variable is not set.
    "api.base_url": "http://127.0.0.1:9/v1",
    "api.key_env": "NO_SUCH_VARIABLE_IS_SET",
    "api.model": "other",
    "jtcse.stage1": "simcse[corpus={corpus},dev=false,max_steps=3,batch_size=8]",
    "jtcse.stage1_b": "simcse[corpus={corpus},dev=false,max_steps=3,batch_size=8]",
    "jtcse.uc": "{other}",
    "defsent-plus.backbone": "{other}",
    "defsent-plus.of": "simcse[corpus={corpus},dev=false,max_steps=2,batch_size=8]",
    "labeller_epochs": "3",
    "dev_rows": "2",
    "min_ratio": "3.9",
    "tfidf.ngram_min": "3",
    "tfidf.max_features": "40",
    "minbert.paraphrases": "paraphrase/quora:dev#test",
    "token-prepending.base": "{other_decoder}",
    "token-prepending.stop": "1",
    "token-prepending.layer": "1",
    "token-prepending.resume": "1",
    "models": "({other},tfidf)",
    "labeller": "{other}",
    "retriever": "{other}",
    "gold": "10",
    "unlabelled": "{other_corpus}",
    "ft.dev_every": "3",
    "three-phase.dev_every": "3",
    "frozen": "{base}",
    "sigma_scale": "0.01",
    "confidence": "0.01",
    "ridge_lambda": "9",
    "hierarchical-ensemble.lr": "0.01",
}
# What has to be said beside an option for it to act.
_STEPS = "max_steps=-1"
BESIDE: dict[str, str] = {
    "epochs": f"{_STEPS},epochs=1",
    "tier1_epochs": f"{_STEPS},tier1_epochs=1,epochs=1",
    "dev": "dev=true,dev_every=1,max_steps=8,lr=0.05",
    "dev_every": "dev=true,dev_every=1,max_steps=8,lr=0.05",
    "momentum": "max_steps=4",
    # Two steps are those of the warm-up.
    "defsent.schedule": "max_steps=4",
    # Batches of both tasks, and checkpoints that differ.
    "codiemb": "max_steps=8",
    "conan": "max_steps=8",
    # The vectors are of the encoder for similarity, and those of the other tasks are its own here.
    "minbert": "tasks=multi",
    "minbert.batch_size": "batch_size=4",
    # Checkpoints that differ.
    "ft.dev_rows": "max_steps=8,lr=0.05",
    "three-phase.dev_rows": "max_steps=8,lr=0.05",
    # Texts for two steps.
    "dae_steps": "dae_steps=1",
    "ft.dev_every": "max_steps=8,lr=0.05",
    "three-phase.dev_every": "max_steps=8,lr=0.05",
    "three-phase.sentences": "unlabelled={corpus},dae_steps=9",
    "cl_steps": "cl_steps=1",
    "confidence": "filter=confidence",
    "hierarchical-ensemble.epochs": "epochs=1",
    # It stands in the place of the placeholder.
    "token-prepending.attention": "prepend=false",
    # A layer between the one that edits end before and the one that is read.
    "token-prepending.resume": "start=0,stop=0,layer=last",
}
SHOWN_ELSEWHERE: dict[str, str] = {
    "revision": "it is of the hub, see test_hub.py",
    "query_prompt": "it is of texts with a role, see test_prompts.py",
    "document_prompt": "it is of texts with a role, see test_prompts.py",
    "api.batch_size": "vectors are the same, see test_api.py",
    "api.retries": "vectors are the same, see test_api.py",
    "api.per_minute": "vectors are the same, see test_api.py",
    "layers_per_step": "two layers have one besides the last, see test_matryoshka.py",
    "layer_weighting": "the first layer weighs 1 in all, see test_matryoshka.py",
    "grid": "models are the same, and scored elsewhere, see test_views.py",
    "codiemb.middle": "no pair of the small sets has the full grade, see test_codiemb.py",
    "conan.check_every": "queries have to become easy, see test_mining.py",
    "conan.factor": "queries have to become easy, see test_mining.py",
    "conan.cap": "queries have to become easy, see test_mining.py",
    "conan.faithful": "cosines have to be negative, see test_mining.py",
    "conan.rerank": "queries have to become easy, see test_conan.py",
    "conan.balanced_sets": "there is one set, see test_conan.py",
    "kind": "its gradient is that of kl, see test_cross_view_loss.py",
    "load_in_4bit": "it needs bitsandbytes and a decoder, see test_four_bit.py",
    "pcc-tuning.adapter": "it needs a first stage with adapters, see test_pcc_tuning.py",
    "gradient_checkpointing": "models are the same, see test_gradient_checkpointing.py",
    "token-prepending.dev_rows": "the same layers may be chosen, see test_layer_search.py",
    "ft.patience": "the same weights may be kept, see test_classifier.py",
    "three-phase.patience": "the same weights may be kept, see test_classifier.py",
    "keep_encoder": "it keeps what is not used, see test_classifier.py",
    "dae_evaluations": "the same weights may be kept, see test_three_phase.py",
    "cl_evaluations": "the same weights may be kept, see test_three_phase.py",
    "dev_pairs": "the same weights may be kept, see test_three_phase.py",
    "separator": "labels have one level, see test_three_phase.py",
    "pseudo_labels": "all that it needs goes with it, see ensemble/test_settings.py",
    "augment": "variants need words, see ensemble/test_learning.py",
    "masked_lm": "it needs a language model, see ensemble/test_settings.py",
    "translators": "they need a translation model, see ensemble/test_settings.py",
    "least_similarity": "it needs variants, see ensemble/test_retrieval.py",
    "half": "Adam takes the same steps but where gradients are clipped, see test_sct.py",
}


def other_values(name: str, option: str, current: Any) -> Iterator[str]:
    """Texts of other values than the current one."""
    key = f"{name}.{option}"
    if key in VALUES or option in VALUES:
        yield VALUES.get(key, VALUES.get(option, ""))
        return
    kinds = list(_kinds(method_class(name).Config.model_fields[option].annotation))
    for kind in kinds:
        if get_origin(kind) is Literal:
            yield from (str(one) for one in get_args(kind) if one != current)
        elif kind is bool:
            yield str(not current).lower()
        elif kind is int:
            yield str({None: 3, -1: 1}.get(current, 2 * (current or 1)))
        elif kind is float:
            yield str(current / 2 if current else 0.3)


def _kinds(annotation: Any) -> Iterator[Any]:
    inner = get_args(annotation)
    if get_origin(annotation) is Literal or not inner:
        yield annotation
    else:
        for one in inner:
            yield from _kinds(one)


def outcome(built: Built) -> NDArray[np.floating[Any]]:
    """What a model makes of some texts: probabilities of labels, vectors, or both in a row."""
    encoder, parts = built.encoder, list[NDArray[np.floating[Any]]]()
    if isinstance(encoder, Predictor):
        rows = [(f"{'aekqz'[label] * 3} the {i}",) for i, label in enumerate(LABELS)]
        pool = [(f"{'kzaeq'[i % 5] * 4} {i} of the pool",) for i in range(12)]
        answer = asked(encoder, rows[:5], LabelledTexts(rows, LABELS), pool=pool)
        if answer.probabilities is not None:
            parts.append(np.asarray(answer.probabilities.values))
    if built.mapped is not None:
        parts.append(built.mapped.apply_done(built.mapped.embed(TEXTS)))
    elif not isinstance(encoder, LabelsOnly):
        parts.append(np.asarray(encoder.encode(TEXTS)))
    return np.concatenate([part.ravel() for part in parts])


def cases() -> list[tuple[str, str]]:
    """All options of all methods."""
    return [(name, option) for name in OWN for option in method_class(name).Config.model_fields]


def plain(name: str, made: dict[str, Any], beside: str) -> str:
    """The spec of a method with some further options."""
    text = spec(name, made)
    if not beside:
        return text
    parsed = parse_method_spec(text)
    given = dict(parsed.options) | dict(parse_method_spec(f"x[{beside}]").options)
    inner = ",".join(f"{key}={value}" for key, value in given.items())
    return f"{text.partition('[')[0]}[{inner}]"


def acts(name: str, option: str, made: dict[str, Any]) -> bool:
    """Whether another value makes another model, or is refused."""
    beside = next((BESIDE[key] for key in (f"{name}.{option}", option, name) if key in BESIDE), "")
    usual = plain(name, made, beside.format(**made))
    method = make_method(parse_method_spec(usual), "smoke")
    current = getattr(method.config, option)
    expected = outcome(build_method(usual, profile="smoke")[0])
    for value in other_values(name, option, current):
        given = dict(parse_method_spec(usual).options) | {option: value.format(**made)}
        text = ",".join(f"{key}={one}" for key, one in given.items())
        try:
            found = outcome(build_method(f"{usual.partition('[')[0]}[{text}]", profile="smoke")[0])
        except BenchError:
            return True
        if found.shape != expected.shape or not np.array_equal(found, expected):
            return True
    return False


@pytest.mark.nightly
@pytest.mark.parametrize(("name", "option"), cases())
def test_no_option_is_ignored(name: str, option: str, made: dict[str, Any]) -> None:
    if f"{name}.{option}" in SHOWN_ELSEWHERE or option in SHOWN_ELSEWHERE:
        pytest.skip(SHOWN_ELSEWHERE.get(f"{name}.{option}") or SHOWN_ELSEWHERE[option])
    assert acts(name, option, made)
