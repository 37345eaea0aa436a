"""What share of the tokens of sts7's batches is padding, which unpadded attention could spare.

    python tests/perf/padding.py DATA_FOLDER

Texts are cut by MiniLM's tokenizer into the batches that a run makes on a CPU and on a GPU, and
into batches of 32 in the order of the files, to compare with. Nothing is encoded. Prints texts,
batches, tokens and the share of padding; tasks without data are left out. The exit code is 0 only
where ours have less of it than their limits.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from bench.api import make_settings
from bench.core.errors import DataError
from bench.data.access import DataAccess
from bench.encoding.batches import CPU_LIMITS, GPU_LIMITS, planned_for
from bench.methods.minilm import minilm_folder
from bench.models.checkpoints import load_folder
from bench.suite import load_suite
from bench.tasks.loading import load_tasks

PLAIN = 32
OURS = (("ours on a CPU", CPU_LIMITS, 0.01), ("ours on a GPU", GPU_LIMITS, 0.05))


def read_texts(data: DataAccess) -> list[str]:
    """Distinct texts of sts7 whose data there are, in the order of the files."""
    suite, distinct = load_suite("sts7"), dict[str, None]()
    for spec in suite.tasks:
        try:
            (task,) = load_tasks(suite.model_copy(update={"tasks": (spec,)}), data)
        except DataError as error:
            print(f"left out: {error}")
            continue
        for column in task.texts().values():
            distinct.update(dict.fromkeys(column.texts))
    return [*distinct]


def share(name: str, batches: Iterable[Sequence[int]]) -> float:
    """Print a line of batches of so many tokens a text; the share of padding."""
    lengths = [list(batch) for batch in batches]
    tokens = sum(map(sum, lengths))
    padded = sum(max(batch) * len(batch) for batch in lengths)
    texts = sum(map(len, lengths))
    print(
        f"{name:18} {texts:,} texts, {len(lengths):,} batches, {tokens:,} tokens, "
        f"padding {1 - tokens / padded:.2%} of {padded:,}"
    )
    return 1 - tokens / padded


def main() -> int:
    """Cut the texts in three ways."""
    data = make_settings(profile="local", data=sys.argv[1], offline=True).data
    texts, encoder = read_texts(data), load_folder(minilm_folder(data), "cpu")
    rows = encoder.tokenizer(texts, truncation=True)["input_ids"]
    length = dict(zip(texts, map(len, rows), strict=True))
    within = []
    for name, limits, most in OURS:
        planned = planned_for(encoder, None)
        planned._limits = limits
        cut = planned.batches(texts)
        within.append(share(name, [[length[text] for text in batch] for batch in cut]) < most)
    plain = [texts[start : start + PLAIN] for start in range(0, len(texts), PLAIN)]
    share(f"in order, {PLAIN}", [[length[text] for text in batch] for batch in plain])
    return 0 if all(within) else 1


if __name__ == "__main__":
    sys.exit(main())
