"""A page as one text: parts of each suite, claims, and the policy that nothing is loaded."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench import __version__
from bench.core.escape import one_line
from bench.report.html import answers
from bench.report.html.material import Material
from bench.report.html.parts import PARTS


@dataclass(frozen=True)
class Items:
    """Items of a suite.

    Attributes:
        content: See ``bench.report.html.items.content``; None where they are not in the page.
        address: Where they are served, or None.
        why: Why there are none, or an empty string.
    """

    content: Mapping[str, Any] | None = None
    address: str | None = None
    why: str = ""


def render_report(
    materials: Sequence[Material], items: Mapping[str, Items], *, served: bool = False
) -> str:
    """Render the page of some suites, the same text for the same records.

    Args:
        materials: The suites.
        items: Items of each suite, by its name.
        served: Whether items are loaded from the server of the page.
    """
    suites = [
        {
            "id": f"s{number}",
            "name": material.table.suite,
            "records": len(material.stored),
            "methods": len(material.shown),
            "parts": _parts(material),
            "items": items[material.table.suite],
        }
        for number, material in enumerate(materials)
    ]
    stored = [entry for material in materials for entry in material.stored]
    claims = answers.context([material.table.suite for material in materials], stored)
    title = ", ".join(material.table.suite for material in materials)
    return render_page("report.html", title, {"suites": suites, "claims": claims}, served=served)


def _parts(material: Material) -> list[dict[str, Any]]:
    shown = [(part, part.context(material)) for part in PARTS]
    return [
        {"name": part.name, "title": part.title, "template": part.template, "context": context}
        for part, context in shown
        if context is not None
    ]


def render_page(
    template: str, title: str, context: Mapping[str, Any], *, served: bool = False
) -> str:
    """Render a template with the styles and the script of all pages.

    Args:
        template: The template.
        title: Title of the page, text from elsewhere.
        context: What the template needs.
        served: Whether the page may load from its own server.
    """
    style, script = _asset("report.css"), _asset("report.js")
    policy = [
        "default-src 'none'",
        f"style-src '{_hash(style)}'",
        f"script-src '{_hash(script)}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    if served:
        policy.append("connect-src 'self'")
    text = (
        _environment()
        .get_template(template)
        .render(
            title=one_line(title),
            version=__version__,
            style=Markup(style),  # noqa: S704 - a file of the package
            script=Markup(script),  # noqa: S704 - likewise
            policy="; ".join(policy),
            **context,
        )
    )
    return text.rstrip() + "\n"


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("bench.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _asset(name: str) -> str:
    return (files("bench.report.html") / "templates" / name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
