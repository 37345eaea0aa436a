"""What papers claim, as data: TOML files with the claims of one paper each."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from bench.core.errors import UsageError
from bench.core.spec import parse_method_spec
from bench.core.toml import TomlTable, fit, read_toml


def _canonical(text: str) -> str:
    try:
        return str(parse_method_spec(text))
    except UsageError as error:
        raise ValueError(str(error)) from None


Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern="^[a-z0-9]+(-[a-z0-9]+)*$")]
Spec = Annotated[str, AfterValidator(_canonical)]


class Claim(TomlTable, allow_inf_nan=False):
    """A claim that one method scores higher than another; differences are in points, × 100.

    Attributes:
        name: Name of the claim, in lower case with hyphens.
        claim: One sentence.
        source: Table or figure of the paper.
        a: Spec of the method that is said to score higher.
        b: Spec of the other method.
        suite: Suite, by name or path; of several, joined with commas, the mean of their averages.
        task: Task of the one suite; its average where left out.
        profile: Scale of the trainings.
        seeds: Seeds of each training: 0, 1, ...
        published: Difference a − b that the paper prints, where it does.
        published_on: Base of the published figures.
        margin: Smallest difference that counts; below 0 for "not worse than".
    """

    name: Name
    claim: Text
    source: Text
    a: Spec
    b: Spec
    suite: Text
    task: str | None = None
    profile: Literal["smoke", "local", "paper"] = "local"
    seeds: int = Field(3, ge=1)
    published: float | None = None
    published_on: str | None = None
    margin: float = 0.0

    @model_validator(mode="after")
    def _base_has_a_figure(self) -> Claim:
        if self.published_on is not None and self.published is None:
            raise ValueError("published_on is the base of a published figure, but there is none")
        return self


class Paper(TomlTable):
    """A paper and what it claims.

    Attributes:
        paper: Title.
        arxiv: Its arXiv identifier.
        claims: The claims, in the order of the file.
        path: TOML file they were read from.
    """

    paper: Text
    arxiv: str | None = None
    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]
    path: Path


def load_papers(paths: Sequence[Path]) -> list[Paper]:
    """Read files of claims, or all that come with the package where none is named.

    Raises:
        UsageError: A file does not exist or is malformed (file and key are named), or two claims
            have the same name.
    """
    papers = [_read(path) for path in paths or _packaged()]
    homes: dict[str, Path] = {}
    for paper in papers:
        for claim in paper.claims:
            if claim.name in homes:
                raise UsageError(
                    f"{paper.path}: claim {claim.name!r} is in {homes[claim.name]} too; "
                    "rename one of them"
                )
            homes[claim.name] = paper.path
    return papers


def _packaged() -> list[Path]:
    folder = Path(str(files("bench.suites") / "claims"))
    return sorted(folder.glob("*.toml"))


def _read(path: Path) -> Paper:
    if not path.is_file():
        raise UsageError(f"claims file {path} does not exist")
    return fit(Paper, {**read_toml(path), "path": path}, path, "paper")
