"""A retrieval collection: documents, queries and judgments, from tables or from rows of pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.data.rows import Row, text_digest
from bench.suite import RetrievalSpec
from bench.tasks.reranking import refuse_other_than_lists

Tables = Mapping[str, Sequence[Row]]
TakeRows = Callable[[Sequence[Row], int], list[Row]]
# Of a document that is judged, but is not in the corpus.
ABSENT = -1


@dataclass(frozen=True)
class Judged:
    """Judgments of one query.

    Attributes:
        places: Places of its m documents, rising, (m,); ``ABSENT`` of those not in the corpus.
        grades: Their grades, (m,).
        own: Place of the document that has the query's id, or ``ABSENT``.
    """

    places: NDArray[np.intp]
    grades: NDArray[np.int64]
    own: int = ABSENT


@dataclass(frozen=True)
class Collection:
    """Documents and queries by their places.

    Documents are in falling order of their ids, in which trec_eval and mteb rank those that score
    the same.

    Attributes:
        texts: The m distinct texts of the documents, by their first place.
        text_of: Which of them is that of each document, (n,).
        queries: Rows of the q queries that have judgments.
        judged: Their judgments.
        notes: What of the tables counts otherwise than one would think.
    """

    texts: Sequence[str]
    text_of: NDArray[np.intp]
    queries: Sequence[Row]
    judged: Sequence[Judged]
    notes: Sequence[str]


def read_collection(spec: RetrievalSpec, parts: Tables) -> Collection:
    """Make a collection of a task's rows.

    Args:
        spec: Its entry in the suite.
        parts: Its three tables, or the rows of its pool as ``test``.

    Raises:
        CellError: Two documents or queries have one id, a judgment is no whole number or is given
            twice, or no query has a relevant document in the corpus.
    """
    where = f"task {spec.name}"
    tables = _pooled(spec, parts["test"]) if "test" in parts else parts
    documents = dict(sorted(_documents(tables["corpus"], where).items(), reverse=True))
    queries = _by_id(tables["queries"], "queries", where)
    judgments = _judgments(tables["qrels"], where)
    kept = {one: row for one, row in queries.items() if one in judgments}
    place = {one: number for number, one in enumerate(documents)}
    judged = [_judged(one, judgments[one], place) for one in kept]
    if not any((one.grades[one.places != ABSENT] > 0).any() for one in judged):
        raise CellError(f"{where}: no query has a relevant document in the corpus")
    texts = {text: number for number, text in enumerate(dict.fromkeys(documents.values()))}
    return Collection(
        texts=list(texts),
        text_of=np.array([texts[text] for text in documents.values()], dtype=np.intp),
        queries=list(kept.values()),
        judged=judged,
        notes=[f"{where}: {note}" for note in _notes(queries, judgments, judged)],
    )


def limited(parts: Tables, limit: int, spread: TakeRows) -> dict[str, list[Row]]:
    """Take some of the queries, their judged documents, and as many others.

    Args:
        parts: The three tables.
        limit: How many queries, and how many documents that are judged for none of them.
        spread: Takes rows from all over a table.
    """
    named = {row["query_id"] for row in parts["qrels"]}
    queries = spread([row for row in parts["queries"] if row["id"] in named], limit)
    kept = {row["id"] for row in queries}
    qrels = [row for row in parts["qrels"] if row["query_id"] in kept]
    judged = {row["document_id"] for row in qrels} | kept
    others = spread([row for row in parts["corpus"] if row["id"] not in judged], limit)
    wanted = judged | {row["id"] for row in others}
    corpus = [row for row in parts["corpus"] if row["id"] in wanted]
    return {"corpus": corpus, "queries": queries, "qrels": qrels}


def _by_id(rows: Iterable[Row], table: str, where: str) -> dict[str, Row]:
    by_id: dict[str, Row] = {}
    for row in rows:
        if row["id"] in by_id:
            raise CellError(f"{where}: two {table} have the id {row['id']!r}; remove one")
        by_id[row["id"]] = row
    return by_id


def _documents(rows: Iterable[Row], where: str) -> dict[str, str]:
    return {one: document_text(row) for one, row in _by_id(rows, "documents", where).items()}


def document_text(row: Row) -> str:
    """Join title and text of a document, as mteb does."""
    return f"{row['title']} {row['text']}".strip() if row.get("title") else row["text"].strip()


def _judgments(rows: Iterable[Row], where: str) -> dict[str, dict[str, int]]:
    judgments: dict[str, dict[str, int]] = {}
    for row in rows:
        query, document, score = row["query_id"], row["document_id"], row["score"]
        named = f"{where}: the judgment of query {query!r} and document {document!r}"
        if int(score) != score:
            raise CellError(f"{named} is {score}; grades are whole numbers, 0 for not relevant")
        known = judgments.setdefault(query, {}).setdefault(document, int(score))
        if known != score:
            raise CellError(f"{named} is given as {known} and as {score}; remove one")
    return judgments


def _judged(query: str, judgments: Mapping[str, int], place: Mapping[str, int]) -> Judged:
    pairs = sorted((place.get(one, ABSENT), grade) for one, grade in judgments.items())
    places, grades = zip(*pairs, strict=True)
    return Judged(
        np.array(places, dtype=np.intp),
        np.array(grades, dtype=np.int64),
        place.get(query, ABSENT),
    )


def _notes(
    queries: Mapping[str, Row],
    judgments: Mapping[str, Mapping[str, int]],
    judged: Sequence[Judged],
) -> Iterator[str]:
    unjudged = sum(one not in judgments for one in queries)
    if unjudged:
        yield f"{unjudged:,} of {len(queries):,} queries have no judgments and are left out"
    unknown = sum(one not in queries for one in judgments)
    if unknown:
        yield f"judgments of {unknown:,} queries that are not in the table of queries are left out"
    hopeless = sum(not (one.grades > 0).any() for one in judged)
    if hopeless:
        yield (
            f"{hopeless:,} queries have no relevant document and count as 0, as trec_eval has it"
        )
    lost = sum(int((one.grades[one.places == ABSENT] > 0).sum()) for one in judged)
    if lost:
        yield (
            f"{lost:,} relevant documents are not in the corpus and count as never found, as "
            "trec_eval has it"
        )


def _pooled(spec: RetrievalSpec, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Make tables of rows whose texts become one corpus; the id of a text is its digest."""
    pool = _pairs(spec, rows) if spec.rows == "pairs" else _candidates(spec, rows)
    return {
        "corpus": [{"id": text_digest(text), "text": text} for text in pool.texts],
        "queries": [
            {**row, "id": text_digest(text), "text": text} for text, row in pool.queries.items()
        ],
        "qrels": [
            {"query_id": text_digest(text), "document_id": text_digest(answer), "score": 1}
            for text in pool.queries
            for answer in pool.answers[text]
        ],
    }


@dataclass(frozen=True)
class _Pool:
    """Distinct texts of a corpus, and by their texts the queries' rows and relevant documents."""

    texts: Iterable[str]
    queries: Mapping[str, Row]
    answers: Mapping[str, Iterable[str]]


def _candidates(spec: RetrievalSpec, rows: Sequence[Row]) -> _Pool:
    """Candidates of all queries are the corpus; a query without a positive is left out."""
    texts: dict[str, None] = {}
    queries: dict[str, Row] = {}
    answers: dict[str, dict[str, None]] = {}
    refuse_other_than_lists(rows, spec.name)
    for row in rows:
        texts.update(dict.fromkeys([*row["positive"], *row["negative"]]))
        if row["positive"]:
            queries.setdefault(row["query"], row)
            answers.setdefault(row["query"], {}).update(dict.fromkeys(row["positive"]))
    return _Pool(texts, queries, answers)


def _pairs(spec: RetrievalSpec, rows: Sequence[Row]) -> _Pool:
    """All texts are the corpus, and each with a duplicate is a query; so are theirs in turn."""
    wrong = next((row["label"] for row in rows if row["label"] not in (0, 1)), None)
    if wrong is not None:
        raise CellError(f"task {spec.name}: labels of pairs are 1 and 0, not {wrong!r}")
    groups = {text: {text: None} for row in rows for text in (row["sentence1"], row["sentence2"])}
    first: dict[str, Row] = {}
    for row in rows:
        if row["label"] == 1 and row["sentence1"] != row["sentence2"]:
            one, other = groups[row["sentence1"]], groups[row["sentence2"]]
            one.update(other)
            for text in other:
                groups[text] = one
            first.setdefault(row["sentence1"], row)
            first.setdefault(row["sentence2"], row)
    answers = {text: [other for other in groups[text] if other != text] for text in first}
    return _Pool(groups, first, answers)
