"""Hard negatives that are mined once and replaced during training.

Li et al., "Conan-embedding: General Text Embedding with More and Better Negative Samples", 2024,
arXiv 2408.15710, section on dynamic hard negative mining; no code was published. The files and
reports on checks are in ``mining_log``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.core.errors import DataError
from bench.data.contamination import normalise
from bench.data.retrieval import Query
from bench.methods.parts.mining_log import Check, CheckLog
from bench.methods.parts.nearest import ABSENT, float32_units, nearest

# Ranks that replacements leave out, as the likeliest to answer the query after all.
SKIPPED = 10
MOST_CANDIDATES = 100
_QUERIES_AT_ONCE = 256

EncodeTexts = Callable[[list[str]], NDArray[np.float32]]
ScoreCandidates = Callable[[Tensor], Tensor]
RankCandidates = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class NegativeCandidates:
    """Queries and the texts that may be their hard negatives.

    Attributes:
        queries: The Q queries.
        texts: The texts, none of which is another one in letters and digits.
        ranked: Numbers of texts for each query, the nearest first, int64 (Q, C) with -1 at the
            end of short lists.
        known: Numbers of the texts that answer a query or are the query, int64 (Q, P) with -1 at
            the end of short lists.
        pairs: Number of the query and that of the text, int64 (R, 2), for each of the rows that
            ``answered`` makes.
    """

    queries: list[str]
    texts: list[str]
    ranked: NDArray[np.int64]
    known: NDArray[np.int64]
    pairs: NDArray[np.int64]


def answered(queries: Sequence[Query]) -> list[tuple[str, str]]:
    """Rows to train on, each query with each of its positives."""
    return [(query.text, positive) for query in queries for positive in query.positives]


def mine(queries: Sequence[Query], encode: EncodeTexts) -> NegativeCandidates:
    """Rank the positives and negatives of all queries for each of them, by cosine.

    The list of a query has the nearest 100 at most. What answers the query is left out, and so
    are texts with the letters and digits of the query or of an answer.

    Args:
        queries: The queries.
        encode: Encodes n texts to float32 (n, d).

    Raises:
        DataError: There are no queries, or too few texts for negatives of each.
    """
    if not queries:
        raise DataError("there are no queries to train on; name a set of queries with positives")
    texts: dict[str, str] = {}
    for query in queries:
        for text in (*query.positives, *query.negatives):
            texts.setdefault(_key(text), text)
    numbers = {key: number for number, key in enumerate(texts)}
    known = _known(queries, numbers)
    asked = [query.text for query in queries]
    encoded = encode([*asked, *texts.values()])
    units = float32_units(encoded)
    ranked = rank(units[: len(asked)], units[len(asked) :], MOST_CANDIDATES, known)
    fewest = int((ranked != ABSENT).sum(axis=1).min())
    if fewest < SKIPPED:
        raise DataError(
            f"a query has {fewest} candidates for hard negatives, but {SKIPPED} are needed; "
            "raise queries, or name more sets in retrieval"
        )
    owners = [number for number, query in enumerate(queries) for _ in query.positives]
    answers = [numbers[_key(text)] for _, text in answered(queries)]
    return NegativeCandidates(
        asked,
        list(texts.values()),
        ranked,
        _padded(known),
        np.stack([np.array(owners, np.int64), np.array(answers, np.int64)], axis=1),
    )


def rank(
    queries: NDArray[np.float32],
    texts: NDArray[np.float32],
    count: int,
    known: Sequence[Sequence[int]],
) -> NDArray[np.int64]:
    """Rank texts for each query by cosine, the nearest first.

    Args:
        queries: Unit vectors (Q, d).
        texts: Unit vectors (T, d).
        count: Length of the lists, at most T.
        known: For each query the texts that are left out.

    Returns:
        Numbers of texts, int64 (Q, C), -1 at the end of short lists.
    """
    found = nearest(queries, texts, min(count, len(texts)), known, at_once=_QUERIES_AT_ONCE)
    return found.rows.astype(np.int64)


def _key(text: str) -> str:
    return normalise(text) or text


def _known(queries: Sequence[Query], numbers: dict[str, int]) -> list[list[int]]:
    # A query may be in several sets, and what answers it in one is no negative in another.
    by_query: dict[str, set[int]] = {}
    for query in queries:
        keys = {_key(text) for text in (query.text, *query.positives)}
        answers = by_query.setdefault(_key(query.text), set())
        answers.update(numbers[key] for key in keys if key in numbers)
    return [sorted(by_query[_key(query.text)]) for query in queries]


def _padded(lists: list[list[int]]) -> NDArray[np.int64]:
    table = np.full((len(lists), max(map(len, lists))), ABSENT, np.int64)
    for row, numbers in zip(table, lists, strict=True):
        row[: len(numbers)] = numbers
    return table


@dataclass(frozen=True)
class Rule:
    """When the negatives of a query have become too easy.

    With S their mean cosine now and S0 that at their installation: factor · S < S0 and |S| < cap.
    Where S0 is not positive the factor would replace negatives that have not changed; there it is
    S < S0 and |S| < cap.

    Attributes:
        factor: Factor of S.
        cap: Bound of |S|; 0 replaces nothing.
        faithful: The first form everywhere, as printed.
    """

    factor: float = 1.15
    cap: float = 0.8
    faithful: bool = False

    def fires(self, now: Tensor, installed: Tensor) -> Tensor:
        """Tell for each query, bool (k,), from S and S0, (k,) each."""
        easier = self.factor * now < installed
        if not self.faithful:
            easier = torch.where(installed > 0, easier, now < installed)
        return easier & (now.abs() < self.cap)


class HardNegatives(nn.Module):
    """The hard negatives in use for each query.

    They begin with the ranks 10 - n to 9 of its list, the best being 0, and after i replacements
    have those from (i - 1)·n + 10 to i·n + 9; a query whose list has no such ranks keeps what it
    has. Where the list is made again with the model in training, each replacement is the first
    one of a new list: ranks 10 to n + 9 of it. What is in use, how often each was replaced, S0,
    which queries were seen since the last check and the step are buffers, and so part of
    checkpoints.

    Args:
        candidates: Queries, texts and lists.
        count: Hard negatives n of a query, at most 10.
        rule: When they are replaced, or None for never.
        check_every: Steps between checks.
        rerank: Whether all texts are ranked again for the queries whose negatives are replaced.
        log: Where checks are noted, or None.
    """

    ranked: Tensor
    known: Tensor
    chosen: Tensor
    replacements: Tensor
    installed: Tensor
    seen: Tensor
    step: Tensor

    def __init__(
        self,
        candidates: NegativeCandidates,
        *,
        count: int,
        rule: Rule | None,
        check_every: int,
        rerank: bool = False,
        log: CheckLog | None = None,
    ) -> None:
        super().__init__()
        self.queries = candidates.queries
        self.texts = candidates.texts
        self._count = count
        self._rule = rule
        self._check_every = check_every
        self._rerank = rerank
        self._log = log
        ranked = torch.from_numpy(candidates.ranked)
        # Mined anew after an interruption, so no part of checkpoints.
        self.register_buffer("ranked", ranked, persistent=False)
        self.register_buffer("known", torch.from_numpy(candidates.known), persistent=False)
        self.register_buffer("chosen", ranked[:, SKIPPED - count : SKIPPED].clone())
        self.register_buffer("replacements", torch.zeros(len(ranked), dtype=torch.int64))
        self.register_buffer("installed", torch.zeros(len(ranked)))
        self.register_buffer("seen", torch.zeros(len(ranked), dtype=torch.bool))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def current(self, queries: Tensor) -> Tensor:
        """Numbers of the texts in use, int64 (k, n), of queries (k,)."""
        return self.chosen[queries]

    def answers(self, queries: Tensor, texts: Tensor) -> Tensor:
        """Tell which of the texts (c,) answer or are which of the queries (k,), bool (k, c)."""
        return (self.known[queries][:, :, None] == texts).any(dim=1)

    @torch.no_grad()
    def advance(self, queries: Tensor, score: ScoreCandidates, rank: RankCandidates) -> None:
        """Note the queries of the coming step, after the check that may be due before it.

        Args:
            queries: Numbers of queries, those of all processes.
            score: Measures S of queries (k,) as float32 (k,), the same in every process.
            rank: Ranks all texts for queries (k,) with the model as it is: numbers of the first
                so many, int64 (k, C), the same in every process, as in ``NegativeCandidates``.
        """
        if self._rule is None:
            return
        step = int(self.step)
        if step == 0:
            everyone = torch.arange(len(self.ranked), device=self.ranked.device)
            self.installed.copy_(score(everyone))
            self._note(self._rule, self.installed, self.installed)
        elif step % self._check_every == 0:
            self._check(self._rule, score, rank)
        self.seen[queries] = True
        self.step += 1

    def _check(self, rule: Rule, score: ScoreCandidates, rank: RankCandidates) -> None:
        checked = self.seen.nonzero().flatten()
        now, before = score(checked), self.installed[checked]
        easy = rule.fires(now, before).nonzero()[:, 0]
        new_ones = self._next(checked[easy], rank) if len(easy) else self.chosen[easy]
        there = (new_ones != ABSENT).all(dim=1)
        renewed, old = checked[easy[there]], now[easy[there]]
        self.chosen[renewed] = new_ones[there]
        self.replacements[renewed] += 1
        new = score(renewed) if len(renewed) else old
        self.installed[renewed] = new
        pairs = zip(old.double().tolist(), new.double().tolist(), strict=True)
        self._note(rule, now, before, len(easy), tuple(pairs))
        self.seen.zero_()

    def _next(self, queries: Tensor, rank: RankCandidates) -> Tensor:
        """What comes in the place of the negatives of queries (k,), int64 (k, n)."""
        if self._rerank:
            ranked, first = rank(queries, SKIPPED + self._count), torch.zeros_like(queries)
        else:
            ranked, first = self.ranked[queries], self.replacements[queries] * self._count
        ranks = SKIPPED + first[:, None] + torch.arange(self._count, device=first.device)
        # Behind the end of every list.
        short = max(0, int(ranks.max()) + 1 - ranked.shape[1])
        return functional.pad(ranked, (0, short), value=ABSENT).gather(1, ranks)

    def _note(
        self,
        rule: Rule,
        now: Tensor,
        before: Tensor,
        easy: int = 0,
        replaced: Sequence[tuple[float, float]] = (),
    ) -> None:
        if self._log is not None:
            self._log.add(
                Check(
                    step=int(self.step),
                    checked=len(now),
                    easy=easy,
                    capped=int((now.abs() >= rule.cap).sum()),
                    mean_s=_mean(now),
                    mean_s0=_mean(before),
                    replaced=replaced,
                )
            )


def _mean(values: Tensor) -> float | None:
    return values.double().mean().item() if len(values) else None
