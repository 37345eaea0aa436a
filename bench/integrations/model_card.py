"""A trained model as a folder for others, with a card that says all that its records know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import __version__
from bench.core.compute import FULL
from bench.core.errors import UsageError, first_line
from bench.core.files import copy_folder, make_folder_atomic, write_atomic
from bench.core.sealed import SEAL
from bench.data.catalog import catalog
from bench.integrations.eval_results import write_eval_results
from bench.integrations.shared_model import SharedModel, kept_folder
from bench.method import Method, lineage, named_method
from bench.method.contract import SUMMARY_FILE
from bench.records.entries import Interval, Record
from bench.report.html.licences import licences
from bench.report.marks import explain_marks, row_marks, score_marks
from bench.suite import AVERAGE

README = "README.md"
_AFTER = "## Training Details"
_UNKNOWN = "not known here"


def write_model(model: SharedModel, folder: Path, repo: str | None = None) -> None:
    """Write a trained model as an ordinary folder of sentence-transformers, with its card.

    The folder in the cache is sealed and stays as it is: the card is made here, of the records.

    Args:
        model: The model.
        folder: Folder that is not there, or empty.
        repo: Name that the model will have on the hub, or None.

    Raises:
        DataError: The model is not in the cache.
        UsageError: The folder holds something, or the library cannot load the model.
        OSError: The folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder; choose another one")
    kept = kept_folder(model)

    def fill(temporary: Path) -> None:
        copy_folder(kept, temporary)
        for ours in (SEAL, SUMMARY_FILE):
            (temporary / ours).unlink(missing_ok=True)
        write_eval_results(model, temporary)
        write_atomic(temporary / README, make_card(model, temporary, repo).encode())

    make_folder_atomic(folder, fill)


def make_card(model: SharedModel, folder: Path, repo: str | None = None) -> str:
    """Make the card: that of sentence-transformers, with what the records know.

    Args:
        model: The model.
        folder: Folder that it is loaded from.
        repo: Name that it will have on the hub, or None.

    Raises:
        UsageError: The library cannot load it.
    """
    from huggingface_hub import EvalResult, ModelCard
    from sentence_transformers import SentenceTransformer, SentenceTransformerModelCardData
    from sentence_transformers.base.model_card import generate_model_card

    from bench.core.libraries import quiet_libraries

    quiet_libraries()
    data = SentenceTransformerModelCardData(
        model_name=model.name, local_files_only=True, generate_widget_examples=False
    )
    try:
        loaded = SentenceTransformer(
            str(folder), device="cpu", local_files_only=True, model_card_data=data
        )
    except Exception as error:
        raise UsageError(
            f"sentence-transformers cannot load the model of {model.first.method.spec}: "
            f"{first_line(error)}"
        ) from None
    data.add_tags("sentence-bench")
    if repo is not None:
        data.set_model_id(repo)
    card = ModelCard(generate_model_card(loaded), ignore_metadata_errors=False)
    # The library annotates the base of what it makes.
    told: Any = card.data
    told.model_name = model.name
    told.eval_results = [
        EvalResult(
            task_type=kind,
            task_name=name,
            dataset_type=f"{record.suite}/{name}",
            dataset_name=f"{name} ({record.suite})",
            dataset_revision=revision,
            metric_type=metric,
            metric_value=value,
            metric_args={"ci95": None if interval is None else [*interval], "seed": record.seed},
        )
        for _, record in model.stored
        for name, kind, metric, value, interval, revision in _scores(record)
    ]
    before, heading, after = card.text.partition(_AFTER)
    sections = "\n".join(_sections(model))
    card.text = f"{before}{sections}\n{heading}{after}" if heading else f"{before}\n{sections}"
    return str(card)


_Score = tuple[str, str, str, float, Interval | None, str | None]


def _scores(record: Record) -> Iterator[_Score]:
    """Name, kind, metric, value, interval and checksum of the rows, of tasks and their average."""
    for name, task in record.tasks.items():
        yield name, task.kind, task.metric, task.main, task.ci95, task.data_sha256
    yield AVERAGE, "average", "mean", record.average, record.average_ci95, None


def _sections(model: SharedModel) -> Iterator[str]:
    """Parts of the card about what was measured, as lines of Markdown."""
    record = model.first
    method = named_method(record.method.spec, record.profile)
    yield "## Method and scores\n"
    yield from _about(record, method)
    for command in model.commands():
        yield f"- **Command:** `{command}`"
    for _, one in model.stored:
        yield from _table(model, one)
    yield "\n### Warnings\n"
    yield from _warnings(model)
    yield "\n### Data and licences\n"
    yield from _grid(["Data", "Part", "Licence"], sorted(set(_data(model, method))))
    yield (
        "\nMade by sentence-bench "
        + __version__
        + "; scores were computed by "
        + (", ".join(f"{name} {version}" for name, version in record.versions.items()) + ".\n")
    )


def _about(record: Record, method: Method | None) -> Iterator[str]:
    told, info = record.method, None if method is None else method.info
    yield f"- **Method:** {told.title} (`{told.spec}`)"
    if info is not None and info.paper is not None:
        address = f" (https://arxiv.org/abs/{info.arxiv})" if info.arxiv else ""
        year = f", {info.year}" if info.year else ""
        yield f"- **Paper:** {info.paper}{address}{year}"
    yield f"- **Profile and seed:** {record.profile}, seed {record.seed}"
    yield f"- **Base:** {told.base or 'none'}"
    precision = None if record.compute is None else record.compute.train_precision
    if precision not in (None, FULL):
        yield f"- **Trained in:** {precision}"


def _table(model: SharedModel, record: Record) -> Iterator[str]:
    (row,) = model.table_of(record).rows
    yield f"\n### Suite {record.suite}, {record.convention} convention{row_marks(row)}\n"
    lines = [
        (
            f"{name}{score_marks(row, name)}",
            metric,
            f"{100 * value:.2f}",
            "–" if interval is None else f"{100 * interval[0]:.2f}–{100 * interval[1]:.2f}",
        )
        for name, _, metric, value, interval, _ in _scores(record)
    ]
    yield from _grid(["Task", "Metric", "Score × 100", "95% CI"], lines)


def _warnings(model: SharedModel) -> Iterator[str]:
    warnings = [
        f"Did not learn from {text}; in its place: {instead}."
        for text, instead in (model.first.method.stand_ins or {}).items()
    ]
    tables = [model.table_of(record) for _, record in model.stored]
    warnings += [line for table in tables for line in explain_marks(table, table.metrics)]
    warnings.append(f"One training, of seed {model.first.seed}: others differ.")
    yield from (f"- {line}" for line in dict.fromkeys(warnings))


def _data(model: SharedModel, method: Method | None) -> Iterator[tuple[str, str, str]]:
    """Data that the model learnt from or was scored on, with licences."""
    for _, record in model.stored:
        known = licences(record.suite)
        for name in record.tasks:
            licence = known.get(name)
            data = name if licence is None or not licence.data else licence.data
            yield data, f"scored ({record.suite})", licence.text if licence else _UNKNOWN
        for name in record.revisions:
            yield name, "learnt from", "see the source"
    for learner in [] if method is None else lineage(method):
        for name in learner.training_datasets():
            dataset = catalog().get(name)
            yield name, "learnt from", _UNKNOWN if dataset is None else dataset.licence
        corpus = getattr(learner.config, "corpus", None)
        if learner.trains and corpus is not None and not learner.training_datasets():
            yield f"corpus {corpus}", "learnt from", f"see 'bench show {learner.info.name}'"


def _grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
