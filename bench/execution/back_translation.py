"""Pairs of back-translations, for methods whose own text nobody publishes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bench.core.errors import DataError
from bench.core.files import remove_folder, write_atomic
from bench.core.fingerprint import fingerprint
from bench.data.corpora import NamedCorpus
from bench.execution.settings import Settings
from bench.models.checkpoints import find_folder
from bench.models.translation import Translators

# Translations of so many texts are kept when the work is cut off.
_PART = 2_048
_MAX_LENGTH = 128


def back_translate(
    corpus: NamedCorpus,
    languages: tuple[tuple[str, str], tuple[str, str]],
    path: Path,
    settings: Settings,
) -> int:
    """Translate every text of a corpus there and back by two languages, and write the pairs.

    That is how SCT's pairs are made (arXiv 2311.03228, section 4.1); the texts themselves are not
    written. Cut off, it goes on with the same corpus and models.

    Args:
        corpus: Texts, each taken once.
        languages: Of each language the models there and back, folders or hub ids.
        path: UTF-8 file to write, two tab-separated columns.
        settings: Device, cache and access to the corpus and the hub.

    Returns:
        Number of pairs; a text with an empty translation has none.

    Raises:
        DataError: The corpus or a model is missing, or nothing was translated.
    """
    data, offline = settings.data, settings.data.offline
    texts = [*dict.fromkeys(" ".join(text.split()) for text in corpus.texts(data))]
    folders = [[str(find_folder(name, offline=offline)) for name in pair] for pair in languages]
    identities = [[settings.models.fingerprint(name) for name in pair] for pair in folders]
    work = settings.cache.work / fingerprint([texts, identities, _PART, _MAX_LENGTH])
    views = []
    for number, names in enumerate(folders):
        via = Translators((*names,), settings.device, data, settings.progress, _MAX_LENGTH)
        views.append(_translated(texts, via, work / str(number)))
    pairs = [pair for pair in zip(*views, strict=True) if all(pair)]
    if not pairs:
        raise DataError(f"no text of corpus {corpus.name!r} was translated; check the models")
    write_atomic(path, "".join(f"{one}\t{other}\n" for one, other in pairs).encode())
    remove_folder(work)
    return len(pairs)


def _translated(texts: Sequence[str], via: Translators, folder: Path) -> list[str]:
    """Translate part by part; a part that is in the folder is not done again."""
    folder.mkdir(parents=True, exist_ok=True)
    translated: list[str] = []
    for start in range(0, len(texts), _PART):
        path = folder / f"{start}.json"
        if not path.is_file():
            part = via.translate(texts[start : start + _PART])
            write_atomic(path, json.dumps([" ".join(text.split()) for text in part]).encode())
        translated += json.loads(path.read_text(encoding="utf-8"))
    return translated
