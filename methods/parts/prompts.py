"""Prompts that have a language model sum a sentence up in its next word.

PromptEOL is of arXiv 2307.16645, the other two single ones of 2404.03921, MetaEOL of 2402.18458;
all are used as arXiv 2412.11556 does, which puts a placeholder before the sentence. The framings
of MetaEOL are in this project's own words and named after it: ``metaeol-ours``. Prompts of kinds of
task are in its own words too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PLACEHOLDER = "<PST>"
_PLACEHOLDER = re.compile(re.escape(PLACEHOLDER), re.IGNORECASE)
_THIS = "this sentence"
_ENDINGS = (".", "?", '"', "'")


Position = Literal["after-colon", "before-this-sentence", "inside-quote", "after-sentence"]
Init = Literal["normal", "uniform", "zeros", "ones", "space"]


@dataclass(frozen=True)
class Placeholder:
    """What holds the place of a sentence's summary; the defaults are those of arXiv 2412.11556.

    Attributes:
        position: Where it stands in a prompt.
        init: What its embedding is before any edit.
        count: How many of it stand there side by side, all with one embedding.
        masked: Whether no other token attends to it in the first layer.
    """

    position: Position = "after-colon"
    init: Init = "normal"
    count: int = 1
    masked: bool = False


@dataclass(frozen=True)
class Prompt:
    """What stands around a sentence.

    Attributes:
        before: All before the sentence, to the opening quotation mark.
        after: All behind the sentence.
    """

    before: str
    after: str

    def holding(self, placeholder: Placeholder) -> Prompt:
        """The same prompt with a placeholder at its position, which is one of the prompt.

        Without a prompt it stands before the sentence.
        """
        tokens = PLACEHOLDER * placeholder.count
        mark = '"' if self.after else ""
        opening = self.before.removesuffix(mark)
        match placeholder.position:
            case "after-colon":
                return Prompt(f"{opening}{tokens} {mark}", self.after)
            case "before-this-sentence":
                place = opening.lower().rindex(_THIS)
                return Prompt(f"{opening[:place]}{tokens} {opening[place:]}{mark}", self.after)
            case "inside-quote":
                return Prompt(f"{self.before}{tokens} ", self.after)
            case "after-sentence":
                return Prompt(self.before, f" {tokens}{self.after}")

    def around(self, sentence: str) -> str:
        """Put the prompt around a sentence; without a prompt the sentence stays as it is.

        Beside a placeholder one in the sentence itself is taken apart, so that the prompt's are
        the only ones.
        """
        if self.after:
            sentence = prepared(sentence)
        if PLACEHOLDER in self.before + self.after:
            sentence = _PLACEHOLDER.sub(lambda match: " ".join(match[0]), sentence)
        return self.before + sentence + self.after


def prepared(sentence: str) -> str:
    """Make a sentence end in a full stop, and fit between double quotation marks.

    As in the authors' code: a full stop is added unless the last character is one of ``. ? " '``,
    double quotation marks become single ones, and a final question mark becomes a full stop.
    """
    if sentence and not sentence.endswith(_ENDINGS):
        sentence += "."
    sentence = sentence.replace('"', "'")
    return f"{sentence[:-1]}." if sentence.endswith("?") else sentence


def _closing(framing: str, clause: str, lead: str = "For this task, this sentence : ") -> Prompt:
    return Prompt(f'{framing} {lead}"', f'" {clause} in one word:"')


_SAME = "To enhance the performance of this task, this sentence : "
_METAEOL_OURS = (
    _closing(
        "Sort an excerpt of a text into a broad subject, such as politics, health or business.",
        "should be classified under one general category",
    ),
    _closing(
        "Decide whether a statement tells what someone thinks or what is the case.",
        "discriminates between opinion and fact",
    ),
    _closing(
        "Rate a product from 1, very bad, to 5, very good, by what a customer wrote about it.",
        "reflects the sentiment",
    ),
    _closing(
        "Find the strongest feeling in an entry of a diary, such as joy, anger, fear or love.",
        "conveys the emotion",
    ),
    _closing(
        "Say whether two sentences mean the same: they are identical, similar, different or "
        "unrelated.",
        "means",
        _SAME,
    ),
    _closing(
        "Say whether a phrase could stand for a word of a sentence: yes, no or partially.",
        "means",
        _SAME,
    ),
    _closing(
        "Draw the most important fact from an article of a newspaper.",
        "encapsulates the key fact",
    ),
    _closing(
        "Name the main things in the summary of a scientific paper and how they are related.",
        "highlights the primary entity or relation",
    ),
)
# Of kinds of task, for arXiv 2506.01435, which compares vectors under such; the words are ours.
_BY_TASK: Mapping[str, Prompt] = {
    "classification": _closing(
        "Sort a sentence into a class, such as its topic, its tone or what its writer wants.",
        "belongs to the class called",
        "This sentence : ",
    ),
    "clustering": _closing(
        "Put a sentence into a group of sentences on the same subject.",
        "belongs to the group called",
        "This sentence : ",
    ),
    "query": _closing(
        "Find passages that answer a question or tell more of what is looked for.",
        "looks for a passage about",
        "This sentence : ",
    ),
    "passage": _closing(
        "Let a passage be found by whoever looks for what it says.",
        "says something about",
        "This sentence : ",
    ),
    "sts": _closing(
        "Compare the meaning of a sentence with that of others.", "means", "This sentence : "
    ),
}
_MEANS = '" means in one word:"'
PROMPTS: Mapping[str, tuple[Prompt, ...]] = {
    "prompteol": (Prompt('This sentence : "', _MEANS),),
    "cot": (Prompt('After thinking step by step , this sentence : "', _MEANS),),
    "knowledge": (
        Prompt(
            "The essence of a sentence is often captured by its main subjects and actions, while "
            "descriptive terms provide additional but less central details. With this in mind , "
            'this sentence : "',
            _MEANS,
        ),
    ),
    "metaeol-ours": _METAEOL_OURS,
    **{name: (prompt,) for name, prompt in _BY_TASK.items()},
    "none": (Prompt("", ""),),
}
