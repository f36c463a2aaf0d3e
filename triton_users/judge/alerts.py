"""What an operator asks of a run, in the order of the asking, with one sentence each. A pure function of a verdict.

Is it right, is it fast, is it stable, can I believe it: each sentence of a verdict is about one of these, and the
reasons and warnings stand in this order too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

About = Literal["right", "fast", "stable", "believable"]

QUESTIONS: Mapping[About, str] = {
    "right": "Is it right?",
    "fast": "Is it fast?",
    "stable": "Is it stable?",
    "believable": "Can I believe it?",
}
"""What a sentence is about -> the question that it answers; in the order in which they are asked."""

MAX_SENTENCE = 300
"""Characters of a sentence that an answer has; what a failed program printed stands below, with the whole sentence."""

Answer = Literal["yes", "no", "with care", "not judged"]


@dataclass(frozen=True)
class Alert:
    """One question with its answer."""

    question: str
    answer: Answer
    text: str
    """One sentence: what speaks against it, or what was found."""


def in_order(sentences: Iterable[str], about: Mapping[str, About]) -> tuple[str, ...]:
    """The sentences in the order of the questions that they are about."""
    order = list(QUESTIONS)
    return tuple(sorted(sentences, key=lambda sentence: order.index(about.get(sentence, "right"))))


def alerts(
    reasons: Iterable[str],
    warnings: Iterable[str],
    about: Mapping[str, About],
    found: Mapping[About, str],
    unjudged: Mapping[About, str] | None = None,
) -> list[Alert]:
    """The four. `found`: what was found where nothing speaks against it; nothing there says that nobody looked.

    `unjudged`: what to say then, where there is more to say.
    """
    against = _by_question(reasons, about)
    aside = _by_question(warnings, about)
    made = []
    for name, question in QUESTIONS.items():
        if name in against:
            made.append(Alert(question, "no", _first_of(against[name])))
        elif name in aside:
            made.append(Alert(question, "with care", _first_of(aside[name])))
        elif found.get(name):
            made.append(Alert(question, "yes", found[name]))
        else:
            made.append(Alert(question, "not judged", (unjudged or {}).get(name) or _NOT_JUDGED[name]))
    return made


_NOT_JUDGED: Mapping[About, str] = {
    "right": "no answer was compared with what is right",
    "fast": "no limit was given; see --thresholds",
    "stable": "nobody looked at the server while it ran",
    "believable": "nothing was counted yet",
}


def _by_question(sentences: Iterable[str], about: Mapping[str, About]) -> dict[About, list[str]]:
    found: dict[About, list[str]] = {}
    for sentence in sentences:
        found.setdefault(about.get(sentence, "right"), []).append(sentence)
    return found


def _first_of(sentences: list[str]) -> str:
    more = len(sentences) - 1
    first, _, below = sentences[0].partition("\n")  # a log's lines
    if below:
        first = first.removesuffix(":")
    if len(first) > MAX_SENTENCE:
        first = f"{first[:MAX_SENTENCE].rpartition(' ')[0]} ..."
    return first + (f" (and {more} more, below)" if more else "")
