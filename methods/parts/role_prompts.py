"""Settings of methods that put a prompt before texts, by the role that a text has."""

from __future__ import annotations

from bench.method import MethodConfig


class RolePrompts(MethodConfig):
    """What is put before texts.

    Attributes:
        prompt: Text put before every text, or None for the model's own prompts.
        query_prompt: The same before queries, in place of ``prompt``.
        document_prompt: The same before documents, in place of ``prompt``.
    """

    prompt: str | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None


def chosen_prompt(config: RolePrompts, role: str | None) -> str | None:
    """The prompt of the settings for texts of a role, or None where they have none.

    Args:
        config: The settings.
        role: ``query``, ``document`` or None.
    """
    by_role = {"query": config.query_prompt, "document": config.document_prompt}
    own = by_role.get(str(role))
    return config.prompt if own is None else own
