"""What the smallest form of every method is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.endpoint import served
from tests.support.models import tiny_bert, tiny_cross_encoder, tiny_decoder, tiny_splade
from tests.support.mteb_models import registered
from tests.support.sets import small_sets, write_sets


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What methods are made of, by the names in ``SETTINGS``."""
    folder = tmp_path_factory.mktemp("made")
    corpus, dictionary = folder / "corpus.tsv", folder / "dictionary.tsv"
    corpus.write_text("".join(f"text {i}\tthe text {i}\tno text {i}\n" for i in range(40)))
    other = folder / "other.tsv"
    other.write_text("".join(f"one {i}\tthe one {i}\tnot {i}\n" for i in range(40)))
    # Words that are one token of a tiny BERT are letters.
    letters = "abcdefghijklmnopqrstuvwxyz"
    # What differs comes first, so that definitions still do where they are cut.
    dictionary.write_text("".join(f"{one}\t{one} is the letter that it is\n" for one in letters))
    other_dictionary = folder / "other_dictionary.tsv"
    other_dictionary.write_text("".join(f"{one}\tis written as {one}\n" for one in letters))
    base = tiny_bert(folder / "base", layers=2)
    with pytest.MonkeyPatch.context() as patch, served() as endpoint:
        patch.setenv("BENCH_CACHE", str(folder / "cache"))
        patch.setenv("BENCH_DATA", str(write_sets(folder / "data", patch, small_sets())))
        yield {
            "corpus": corpus,
            "other_corpus": other,
            "other": tiny_bert(folder / "other", layers=2, hidden=32),
            "dictionary": dictionary,
            "other_dictionary": other_dictionary,
            "base": base,
            "cross": tiny_cross_encoder(folder / "cross"),
            "splade": tiny_splade(folder / "splade"),
            "model": f"sbert@{base}",
            "endpoint": endpoint.url,
            "registered": registered(folder / "registered", patch),
            "decoder": tiny_decoder(folder / "decoder", "llama"),
            "other_decoder": tiny_decoder(folder / "other_decoder", "gpt2"),
        }
