"""Specs of methods, from options that many tests share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bench.method import method_class


def acting(name: str, options: Mapping[str, Any], profile: str = "local") -> str:
    """The spec of a method without those of some options that would do nothing beside the others.

    Args:
        name: The method.
        options: Its options.
        profile: Profile that it is made in.
    """
    cls = method_class(name)
    given = {key: str(value) for key, value in options.items()}
    try:
        idle = cls.Config.model_validate({**cls.profiles.get(profile, {}), **given}).idle()
    except ValidationError:
        # Left to what the test wants to see refused.
        idle = {}
    inner = ",".join(f"{key}={value}" for key, value in given.items() if key not in idle)
    return f"{name}[{inner}]"
