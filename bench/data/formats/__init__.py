"""How public files say their rows: a reader for each format, which knows no data set.

Tables (``tables``), lines (``lines``), marked-up text (``marked``) and how files are ``opened``. A
reader is a model of pydantic, so that a catalog or a suite names it with its options; ``read``
makes rows of files in their order. Values stay texts: what they mean is for ``bench.data.steps``.
Imported are core and ``bench.data.rows``. A new format is a class in one of these files, and a line
in ``Format``.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bench.data.formats.lines import Beside, LabelFirst, Tsv
from bench.data.formats.marked import Brown, Questions, WikiText, WordNet
from bench.data.formats.opened import LocalFile
from bench.data.formats.tables import Csv, Json, TableFormat

Format = Annotated[
    Beside | Tsv | LabelFirst | Csv | Json | TableFormat | Questions | WordNet | Brown | WikiText,
    Field(discriminator="format"),
]

__all__ = ["Format", "LocalFile"]
