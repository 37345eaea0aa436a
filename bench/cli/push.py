"""``bench push``."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from bench.cli.options import Verb
from bench.cli.terminal import say


@click.command("push", cls=Verb)
@click.argument("repo", metavar="REPO")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--method", "-m", help="Spec, label or name of the trained method.")
@click.option("--profile", help="Only a training of this profile.")
@click.option("--seed", type=click.IntRange(min=0), help="Only the training of this seed.")
@click.option("--private", is_flag=True, help="Make a new repository private.")
@click.option("--offline", is_flag=True, help="Never use the network, which refuses every push.")
def command(
    repo: str,
    folders: tuple[Path, ...],
    method: str | None,
    profile: str | None,
    seed: int | None,
    private: bool,
    offline: bool,
) -> None:
    """Upload a trained model with its card to REPO on the hub, NAME or USER/NAME.

    Its scores are those of the records below FOLDERS [results/runs].
    """
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    from bench.data.access import is_offline
    from bench.integrations.hub import check_name, check_token, upload
    from bench.integrations.model_card import write_model
    from bench.integrations.shared_model import find_model

    check_name(repo, is_offline(offline))
    model = find_model(folders, method=method, profile=profile, seed=seed)
    check_token()
    with TemporaryDirectory(prefix="bench-push-") as scratch:
        folder = Path(scratch) / "model"
        write_model(model, folder, repo)
        say(f"bench: uploading {model.name} to {repo}", err=True)
        say(upload(folder, repo, f"{model.name}, trained by sentence-bench", private))
