"""What holds where nothing else is asked for, and the profiles that there are."""

from __future__ import annotations

from typing import Literal, get_args

Profile = Literal["smoke", "local", "paper"]
PROFILES: tuple[str, ...] = get_args(Profile)
# Of suites that say nothing else.
USUAL: Profile = "local"
# Columns of a page of text where no terminal says how many it has.
PAGE = 100
DEFAULT_SUITE = "mini"
DEFAULT_METHODS = ("random", "tfidf", "minilm", "simcse", "sct")
