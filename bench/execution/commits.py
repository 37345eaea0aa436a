"""The commit of the folder that a run was started in, where that is a working tree of git."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime
from pathlib import Path

from bench.records.entries import CommitEntry

# Seconds; a tree on a slow disk is no reason for a run to wait.
_PATIENCE = 20
# Those of a hook that started the run would name another tree than that of the folder.
_OF_HOOKS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"}
# No program that the settings of a tree name is run, and no lock of it is taken.
_COMMAND = ("git", "-c", "core.fsmonitor=false", "--no-optional-locks")


def commit_of(folder: Path) -> CommitEntry | None:
    """The commit of a folder, and whether files that git tracks differ from it.

    Args:
        folder: The folder.

    Returns:
        The commit; None where the folder is in no working tree, has no commit yet, or there is no
        git.
    """
    told = _git(folder, "show", "--no-patch", "--no-show-signature", "--format=%H %cI", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if told is None or changes is None:
        return None
    commit, _, committed = told.strip().partition(" ")
    return CommitEntry(
        commit=commit,
        committed=datetime.fromisoformat(committed),
        dirty=bool(changes.strip()),
    )


def _git(folder: Path, *arguments: str) -> str | None:
    """What git answers; None where it is missing, fails or takes too long."""
    environment = {key: value for key, value in os.environ.items() if key not in _OF_HOOKS}
    try:
        done = subprocess.run(  # noqa: S603 - git itself, and arguments of ours
            [*_COMMAND, *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return done.stdout if done.returncode == 0 else None
