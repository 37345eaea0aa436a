"""Contract checks that any method, built-in or third-party, can be put through."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.api import make_settings
from bench.core.errors import DataError, UsageError
from bench.core.outputs import MethodOutput
from bench.core.progress import Progress
from bench.core.spec import parse_method_spec
from bench.encoding.encode import encode_columns
from bench.encoding.encoder import Column
from bench.execution.provision import fetch_command, provide
from bench.execution.settings import Settings
from bench.method import (
    PROFILES,
    Built,
    LabelledTexts,
    LabelsOnly,
    PairScorer,
    Predictor,
    Question,
    SparseScorer,
    method_class,
    resolve,
)
from bench.method.files import with_files

_TEXTS = [
    "The kettle is on.",
    "A much longer sentence that has nothing to do with the short ones before and after it.",
    "Rain again",
    "The kettle is on.",
]


@dataclass(frozen=True)
class Finding:
    """One rule of the contract, and whether the method keeps it."""

    rule: str
    holds: bool


def check_method(
    spec: str, *, data: str | None = None, progress: Progress | None = None
) -> Iterator[Finding]:
    """Check one method spec: facts, profiles, then vectors, scores or answers in profile smoke.

    Args:
        spec: Method spec.
        data: Data folder; ``BENCH_DATA`` by default.
        progress: Where the build reports.

    Yields:
        Findings, cheap ones first.

    Raises:
        UsageError: The method is unknown or its options are wrong.
        DataError: What it needs is missing.
    """
    spec = with_files(spec)
    parsed = parse_method_spec(spec)
    cls = method_class(parsed.name)
    yield Finding("info.name is the registered name", cls.info.name == parsed.name)
    yield Finding("info has a title", bool(cls.info.title.strip()))
    yield Finding("profiles are known ones", set(cls.profiles) <= set(PROFILES))
    for profile in PROFILES:
        method = resolve(cls, parsed, profile)
        frozen = bool(method.config.model_config.get("frozen"))
        yield Finding(f"config of profile {profile} is valid and frozen", frozen)
    with tempfile.TemporaryDirectory() as folder:
        settings = make_settings(profile="smoke", output=folder, data=data, progress=progress)
        method = resolve(cls, parsed, "smoke")
        try:
            provide([], [parsed], settings, fetch_command([], [spec], "smoke"))
            built = settings.models.build(method)
            output = cls.info.output
            yield Finding("info.output is what is built", output == _output(built.encoder))
            if isinstance(built.encoder, LabelsOnly):
                yield from _check_answers(built.encoder)
            elif isinstance(built.encoder, PairScorer):
                yield from _check_scores(built.encoder)
            elif isinstance(built.encoder, SparseScorer):
                yield from _check_sparse(built.encoder)
            else:
                yield from _check_vectors(built, settings, Path(folder))
        except (UsageError, DataError):
            raise
        except Exception as error:
            # Whatever a method raises is a finding about it.
            yield Finding(f"it builds and encodes: {type(error).__name__}: {error}", False)


def _output(encoder: object) -> MethodOutput:
    if isinstance(encoder, PairScorer):
        return "pairs"
    return "sparse" if isinstance(encoder, SparseScorer) else "vectors"


def _check_answers(predictor: Predictor) -> Iterator[Finding]:
    rows = [(f"{word} {number}",) for number in range(10) for word in ("apple", "stone")]
    labels = ["fruit", "mineral"] * 10
    question = Question(texts=rows[:4], train=LabelledTexts(rows, labels), seed=0)
    first, again = predictor.answer(question), predictor.answer(question)
    yield Finding("every row gets an answer", len(first.labels) == len(question.texts))
    yield Finding("labels are those of training rows", {*first.labels} <= {*labels})
    yield Finding("answering twice gives the same labels", [*first.labels] == [*again.labels])


def _check_scores(scorer: PairScorer) -> Iterator[Finding]:
    pairs = [(first, second) for first in _TEXTS for second in _TEXTS]
    first, again = scorer.score_pairs(pairs), scorer.score_pairs(pairs)
    alone = np.concatenate([scorer.score_pairs([pair]) for pair in pairs])
    finite = first.shape == (len(pairs),) and bool(np.isfinite(first).all())
    yield Finding("scores are finite, of shape (n,)", finite)
    yield Finding("scoring twice gives the same bytes", bool(np.array_equal(first, again)))
    yield Finding("the order of pairs is kept", bool(np.allclose(first, alone, atol=1e-4)))


def _check_sparse(scorer: SparseScorer) -> Iterator[Finding]:
    first, again = (scorer.encode_sparse(_TEXTS, None).toarray() for _ in range(2))
    alone = np.concatenate([scorer.encode_sparse([text], None).toarray() for text in _TEXTS])
    yield Finding("vectors are finite, of shape (n, V)", first.shape[0] == len(_TEXTS))
    yield Finding("encoding twice gives the same bytes", bool(np.array_equal(first, again)))
    yield Finding("the order of texts is kept", bool(np.allclose(first, alone, atol=1e-4)))
    yield Finding("different texts differ", not np.allclose(first[0], first[1]))


def _check_vectors(built: Built, settings: Settings, folder: Path) -> Iterator[Finding]:
    def encode(texts: list[str], store: str) -> NDArray[np.float32]:
        return encode_columns(
            built.encoder,
            {("check", "text"): Column(texts)},
            model_fingerprint=built.fingerprint,
            folder=folder / store,
            progress=settings.progress,
        ).vectors["check", "text"]

    first, again = encode(_TEXTS, "first"), encode(_TEXTS, "again")
    alone = np.concatenate([encode([text], f"alone{i}") for i, text in enumerate(_TEXTS)])
    yield Finding("vectors are finite, of shape (n, d)", first.shape[0] == len(_TEXTS))
    yield Finding("encoding twice gives the same bytes", bool(np.array_equal(first, again)))
    yield Finding("the order of texts is kept", bool(np.allclose(first, alone, atol=1e-4)))
    yield Finding("different texts differ", not np.allclose(first[0], first[1]))
