"""What an entry of kind ``retrieval`` says in a suite's TOML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import model_validator

from bench.core.outputs import MethodOutput
from bench.suite.data import BeirData, CollectionData, Data, FileData, MtebData, MtebTable
from bench.suite.entry import Convention, OwnTaskSpec

TABLES: Mapping[str, tuple[str, ...]] = {
    "corpus": ("id", "title", "text"),
    "queries": ("id", "text"),
    "qrels": ("query_id", "document_id", "score"),
}
POOLS: Mapping[str, tuple[str, ...]] = {
    "candidates": ("query", "positive", "negative"),
    "pairs": ("sentence1", "sentence2", "label"),
}
_BEIR: Mapping[str, str] = {"id": "_id", "query_id": "query-id", "document_id": "corpus-id"}


class RetrievalSpec(OwnTaskSpec):
    """Documents of one corpus for every query, those that answer it first.

    Either three tables, or ``data`` alone.

    Attributes:
        corpus: Documents: ``id``, ``text``, and ``title`` where they have one.
        queries: Queries: ``id`` and ``text``.
        qrels: Judgments: ``query_id``, ``document_id`` and ``score``, a whole number; what is
            above 0 is relevant, and nDCG takes it as the gain.
        data: A folder of BEIR, a retrieval task of mteb, or rows whose texts become one corpus,
            see ``rows``.
        rows: What those rows are: ``candidates`` of queries (``query``, ``positive`` and
            ``negative``, lists), or ``pairs`` that ask the same or not (``sentence1``,
            ``sentence2`` and ``label``, 1 or 0), of which each text is searched for the others.
        same_id: Whether a document whose id is the query's own is ranked (``keep``) or left out
            (``drop``), as mteb has it for ArguAna, FiQA and Quora; of pairs it is left out.
    """

    required: ClassVar[tuple[str, ...]] = POOLS["candidates"]
    scored_part: ClassVar[str] = "queries"
    scored_from: ClassVar[tuple[MethodOutput, ...]] = ("vectors", "sparse")

    kind: Literal["retrieval"]
    corpus: Data | None = None
    queries: Data | None = None
    qrels: Data | None = None
    data: CollectionData | None = None
    rows: Literal["candidates", "pairs"] = "candidates"
    same_id: Literal["keep", "drop"] = "keep"

    @model_validator(mode="after")
    def _says_where_its_rows_are(self) -> RetrievalSpec:
        given = [name for name in TABLES if getattr(self, name) is not None]
        if (self.data is None) != (len(given) == len(TABLES)) or (given and self.data is not None):
            raise ValueError("name corpus, queries and qrels, or data alone")
        if self.rows == "pairs" and not self.pooled:
            raise ValueError("rows is for data whose rows become a corpus")
        return self

    @property
    def pooled(self) -> bool:
        """Whether rows of another kind become a corpus."""
        return self.data is not None and not isinstance(self.data, BeirData | MtebData)

    @property
    def drops_same_id(self) -> bool:
        """Whether a document whose id is the query's own is left out."""
        return self.same_id == "drop" or (self.pooled and self.rows == "pairs")

    def parts(self) -> dict[str, Data]:
        """The three tables, or the rows of a pool as ``test``."""
        if isinstance(self.data, BeirData):
            return dict(_beir_files(self.data))
        if isinstance(self.data, MtebData):
            fields = self.data.model_dump()
            return {table: MtebTable(**fields, table=table) for table in TABLES}
        if self.data is not None:
            return {"test": self.data}
        named = {"corpus": self.corpus, "queries": self.queries, "qrels": self.qrels}
        return {table: data for table, data in named.items() if data is not None}

    def row_columns(self, part: str = "test") -> tuple[str, ...]:
        """Columns of a table, or of what becomes a pool."""
        return TABLES.get(part) or POOLS[self.rows]

    def optional_columns(self, part: str) -> tuple[str, ...]:
        """Titles."""
        return ("title",) if part == "corpus" else ()

    def names(self, part: str) -> Mapping[str, str]:
        """Names that BEIR gives, or the entry's own."""
        known = _BEIR if isinstance(self.data, BeirData) else {}
        return {**known, **self.columns}

    def scores_blank_texts(self, convention: Convention) -> bool:
        """Yes: collections have documents without a text, which are encoded as they are."""
        return True


def _beir_files(folder: BeirData) -> Mapping[str, Data]:
    return {
        "corpus": FileData(file=f"{folder.beir}/corpus.jsonl"),
        "queries": FileData(file=f"{folder.beir}/queries.jsonl"),
        "qrels": FileData(file=f"{folder.beir}/qrels/{folder.split}.tsv"),
    }
