"""Blocks of code of Markdown pages, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

SHELL = ("sh", "")
_MARK = re.compile(r"<!-- (.+?) -->")
_TITLE = re.compile(r'title="([^"]+)"')
_SUBSTITUTION = re.compile(r"\$\([^)]*\)")
_ASSIGNMENT = re.compile(r"\w+=\S*")
_JOINED = {"&&", "||", ";", "|"}


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: Its page, from the root of the repository.
        line: Its line there, from 1.
        language: What it is in; empty for an indented block.
        title: File that it is the content of, or empty.
        mark: What the comment before it says, or empty.
        text: The code.
    """

    page: str
    line: int
    language: str
    title: str
    mark: str
    text: str


def read_blocks(page: str, text: str) -> Iterator[Block]:
    """The blocks of code of a page, in order."""
    mark = ""
    for token in MarkdownIt("commonmark").parse(text):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "html_block" and (said := _MARK.fullmatch(token.content.strip())):
            mark = said[1]
            continue
        if token.type in {"fence", "code_block"}:
            title = _TITLE.search(token.info)
            language = token.info.split()[0] if token.info.strip() else ""
            # Without a language only what is indented is for a shell, a fence is what is printed.
            language = "text" if token.type == "fence" and not language else language
            yield Block(page, line, language, title[1] if title else "", mark, token.content)
        mark = ""


def lines_of(text: str) -> Iterator[str]:
    """The commands of a script, each in one line."""
    waiting = ""
    for line in text.replace("\\\n", " ").splitlines():
        waiting = f"{waiting}\n{line}" if waiting else line
        try:
            shlex.split(waiting, comments=True)
        except ValueError:
            # A quotation goes on in the next line.
            continue
        if waiting.strip():
            yield waiting.strip()
        waiting = ""
    if waiting:
        raise ValueError(f"a quotation is not closed: {waiting}")


def commands_of(text: str) -> Iterator[list[str]]:
    """The words of each call of ``bench`` in a script, without ``bench`` and redirections."""
    for line in lines_of(text):
        words = shlex.split(_SUBSTITUTION.sub("X", line), comments=True)
        for part in _parts(words):
            while part and _ASSIGNMENT.fullmatch(part[0]):
                part.pop(0)
            if part[:1] == ["bench"]:
                yield without_target(part[1:])[0]
            elif "-c" in part and "sh" in part:
                yield from commands_of(part[part.index("-c") + 1])


def without_target(words: list[str]) -> tuple[list[str], str | None]:
    """The words of a command, and the file that its output goes to."""
    if ">" not in words:
        return words, None
    place = words.index(">")
    return words[:place], words[place + 1]


def _parts(words: list[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for word in words:
        if word in _JOINED:
            yield part
            part = []
        else:
            part.append(word)
    yield part


def anchors_of(text: str) -> set[str]:
    """What headings of a page are called in links."""
    inside, found = False, set()
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside and (heading := re.match(r"#+ (.+)", line)):
            words = re.sub(r"[^\w\s-]", "", heading[1].lower())
            found.add(re.sub(r"\s+", "-", words.strip()))
    return found


def links_of(text: str) -> Iterator[str]:
    """Targets of the links of a page that lead to no other host."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for token in tokens:
        for child in token.children or ():
            target = str(child.attrs.get("href", ""))
            if target and not re.match(r"\w+:", target):
                yield target


def dead_links(root: Path, page: Path) -> list[str]:
    """Links of a page to files or headings that are not there."""
    dead = []
    for link in links_of(page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if "docs/reference" in target.as_posix():
            # Made with the site, where mkdocs looks after it.
            continue
        if not target.exists() or (anchor and anchor not in anchors_of(target.read_text("utf-8"))):
            dead.append(link)
    return [f"{page.relative_to(root).as_posix()}: {link}" for link in dead]
