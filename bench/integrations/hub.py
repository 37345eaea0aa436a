"""Uploads of trained models to the hub, by its own library."""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import UsageError, first_line


def check_name(repo: str, offline: bool) -> None:
    """Refuse an upload that cannot be, before anything is read for it.

    Args:
        repo: Name of the repository.
        offline: Whether the network may not be used.

    Raises:
        UsageError: The network may not be used, or the name is none.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UsageError(f"{repo!r} cannot be a repository: {first_line(error)}") from None
    if offline:
        raise UsageError(
            "a push needs the network, and --offline or HF_HUB_OFFLINE says not to use it; leave "
            "that out, or write the folder with 'bench export --format model-card'"
        )


def check_token() -> None:
    """Refuse an upload that the hub would refuse, before anything is made for it.

    Raises:
        UsageError: There is no token.
    """
    from huggingface_hub import get_token

    if get_token() is None:
        raise UsageError(
            "the hub wants a token with the right to write: 'hf auth login' asks for one, or set "
            "HF_TOKEN"
        )


def upload(folder: Path, repo: str, message: str, private: bool) -> str:
    """Upload a folder into a repository, which is made where it is not there.

    Args:
        folder: The folder.
        repo: Name of the repository.
        message: Message of the commit.
        private: Whether a new repository is private.

    Returns:
        Address of the repository.

    Raises:
        UsageError: The hub refuses it, fails, or does not answer.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    api = HfApi()
    try:
        address = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(folder_path=folder, repo_id=repo, commit_message=message)
    except HfHubHTTPError as error:
        raise UsageError(_refusal(error.response.status_code, repo, api.endpoint)) from None
    except Exception as error:
        raise UsageError(
            f"{repo} could not be uploaded to {api.endpoint}: {type(error).__name__}: "
            f"{first_line(error)}; run the same command again"
        ) from None
    return str(address)


def _refusal(status: int, repo: str, endpoint: str) -> str:
    if status in (401, 403):
        return (
            f"{endpoint} refuses the token for {repo} ({status}); 'hf auth login' asks for one "
            "with the right to write there"
        )
    return f"{endpoint} answers {status} for {repo}; nothing of it is complete, try again later"
