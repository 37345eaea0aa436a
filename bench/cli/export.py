"""``bench export``."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.options import Verb
from bench.cli.terminal import say
from bench.cli.writing import writing
from bench.core.errors import DataError, UsageError

_NOTHING = (
    "nothing to export: only complete tasks that equal mteb's can be exported, e.g. of --suite "
    "sts7-mteb or 'mteb:[...]'"
)


@click.command("export", cls=Verb)
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "style",
    type=click.Choice(["mteb", "model-card", "eval-results"]),
    default="mteb",
    help="mteb: a tree of task results for mteb.ResultCache; model-card: a trained model with its "
    "card; eval-results: the scores of a model as the hub reads them [mteb].",
)
@click.option("--to", required=True, type=click.Path(path_type=Path), help="Folder to write into.")
@click.option("--method", "-m", help="The model: spec, label or name of its method.")
@click.option("--profile", help="The model: profile of its training.")
@click.option("--seed", type=click.IntRange(min=0), help="The model: seed of its training.")
def command(
    folders: tuple[Path, ...],
    style: str,
    to: Path,
    method: str | None,
    profile: str | None,
    seed: int | None,
) -> None:
    """Write the records below FOLDERS [results/runs] in the form of another tool."""
    if style == "mteb":
        if (method, profile, seed) != (None, None, None):
            raise UsageError(
                "--method, --profile and --seed choose a model; mteb takes all records"
            )
        _to_mteb(folders, to)
        return
    from bench.integrations.shared_model import find_model

    trained = style == "model-card"
    model = find_model(folders, method=method, profile=profile, seed=seed, trained=trained)
    if trained:
        from bench.integrations.model_card import write_model

        with writing(to):
            write_model(model, to)
        say(f"{model.name} with its card written into {to}")
        return
    from bench.integrations.eval_results import write_eval_results

    with writing(to):
        written = write_eval_results(model, to)
    if not written:
        raise DataError(_NOTHING)
    say(f"{len(written)} results of {model.name} written below {to}")


def _to_mteb(folders: tuple[Path, ...], to: Path) -> None:
    from bench.integrations.mteb_results import export
    from bench.records.files import find_records, read_verified

    paths = find_records(folders)
    with writing(to):
        written, left_out, notes = export(map(read_verified, paths), to)
    for note in notes:
        say(f"bench: {note}", err=True)
    if not written:
        raise DataError(_NOTHING)
    say(f"{len(written)} task results written below {to}")
    if left_out:
        say(
            f"{left_out} scores left out: partial, not by MTEB's convention, or of a task "
            "that the suite gives no mteb name",
            err=True,
        )
