"""The terms of a page, each explained at its end: where one stands, it leads there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from preceptor import catalogue
from preceptor.diagnosis.causes import CAUSES
from preceptor.errors import UnknownName
from preceptor.observation.signals import SIGNALS
from preceptor.report._format import clean, label

if TYPE_CHECKING:
    from preceptor.diagnosis.cause import Cause

__all__ = ["Word", "Words"]

_KINDS = {
    "optimizer.name": "optimizer",
    "loss.name": "loss",
    "schedule.name": "schedule",
    "model.name": "architecture",
    "model.activation": "activation",
}
"""The settings whose value names an entry of the catalogue, with its kind."""
_OWN = {
    "loss": "What training makes small: how far predictions are from what is right, one number an example or "
    "a batch. On training examples it shows whether the network learns, on validation examples whether that "
    "carries over.",
    "epochs": "An epoch is one pass over all training examples. The best epoch has the best value of the "
    "monitored measure; its weights are kept.",
    "learning rate": "How far a step moves the weights, for a gradient of a given size.",
    "training steps": "A step is what lies between two updates of the weights by one optimizer.",
    "parameters": "The numbers that training adjusts: weights and biases.",
    "confusion matrix": "For each true class (row), how often each class was predicted (column). "
    "Right answers are on the diagonal.",
    "precision": "Of the examples that were given a class, the share that belong to it.",
    "recall": "Of the examples that belong to a class, the share that were given it.",
    "f1": "2 · precision · recall / (precision + recall), between 0 and 1.",
    "residuals": "Predicted minus actual value, of each example.",
    "update ÷ weight": f"{SIGNALS['update_ratio'].formula}. About 1e-3 is usual: much less learns nothing, "
    "much more undoes what was learned.",
    "gradient norm": f"{SIGNALS['grad_norm'].formula}. Where it fades from the last layer to the first, the "
    "gradient vanishes.",
    "weight norm": f"{SIGNALS['weight_norm'].formula}.",
    "norm of the whole gradient": f"{SIGNALS['total_grad_norm'].formula}.",
    "zero gradients": f"{SIGNALS['zero_grad_share'].formula}.",
    "updates lost": f"{SIGNALS['lost_update_share'].formula}. Rounding swallows an update that is too small "
    "beside its weight.",
    "inactive": f"{SIGNALS['inactive_units'].formula}. A unit that is never active passes no gradient on.",
    "saturated": f"{SIGNALS['saturated_share'].formula}. At a bound the slope is nearly 0.",
    "constant": f"{SIGNALS['constant_output'].formula}. Such a unit tells nothing about its input.",
    "standard deviation": f"{SIGNALS['act_std'].formula}.",
    "gradient scale": f"{SIGNALS['grad_scale'].formula}. It keeps small gradients from becoming 0 in half "
    "precision.",
    "cost of watching": "The share of the program's time that looking at it took.",
    "95 % interval": "In 95 of 100 repetitions such an interval holds the true value.",
    "seed": "The start of all random numbers of a run: runs that differ by their seed alone show how "
    "much of a difference is chance.",
    "best epoch": "The epoch with the best value of the monitored measure; its weights are kept.",
    "importance": "How much of the differences between trials a hyperparameter accounts for.",
}


@dataclass(frozen=True)
class Word:
    """One term, as it is explained.

    Attributes:
        key: its id on the page.
        name: as it stands in the list.
        text: what it means.
        more: further lines: label and text.
    """

    key: str
    name: str
    text: str
    more: tuple[tuple[str, str], ...] = ()


class Words:
    """The terms that one page has used, in the order in which it did.

    Example:
        >>> words = Words()
        >>> words.link("Recall"), words.link("my column")
        (Markup('<a class="word" href="#word-recall">Recall</a>'), 'my column')
        >>> [word.name for word in words.used]
        ['recall']
    """

    def __init__(self) -> None:
        self._used: dict[str, Word] = {}

    @property
    def used(self) -> list[Word]:
        """The terms that were linked, sorted by name."""
        return sorted(self._used.values(), key=lambda word: word.name.lower())

    def link(self, text: str) -> str:
        """Return a text as a link to what it means; as it is where it is no term of ours."""
        if isinstance(text, Markup) or not text:
            return text
        word = _own(text) or _entry("metric", _measure(text))
        return text if word is None else self._linked(word, text)

    def setting(self, key: str, text: str) -> str:
        """Return a setting's value as a link, where it names an entry of the catalogue."""
        kind = _KINDS.get(key)
        word = _entry(kind, text) if kind else None
        return text if word is None else self._linked(word, text)

    def cause(self, cause: str) -> str:
        """Return a cause's id as a link to all that is known of it."""
        return self._linked(_of_cause(CAUSES[cause]), cause)

    def _linked(self, word: Word, text: str) -> Markup:
        self._used[word.key] = word
        return Markup('<a class="word" href="#{}">{}</a>').format(word.key, clean(text))


def _own(text: str) -> Word | None:
    name = text.lower().partition(", ")[0].partition(" (")[0]
    found = _OWN.get(name)
    return None if found is None else Word(_key(name), name, found)


def _measure(text: str) -> str:
    """Return the measure that a heading, a column or a tile is about: "Test accuracy" is of accuracy."""
    words = re.sub(r"^(train|val|test|validation|training)[_ ]", "", text.lower())
    return words.replace("_", "-").replace(" ", "-")


@lru_cache(maxsize=512)
def _entry(kind: str, name: str) -> Word | None:
    try:
        found = catalogue.entry(name, kind)
    except UnknownName:
        return None
    told = (
        ("formula", found.formula),
        ("when", found.when),
        ("pitfalls", found.pitfalls),
        ("source", found.source),
    )
    more = tuple((what, clean(text, 600)) for what, text in told if text)
    return Word(_key(f"{kind}-{found.name}"), label(f"{found.name} ({kind})", 80), found.summary, more)


def _of_cause(cause: Cause) -> Word:
    confused = "; ".join(f"{other}: {told}" for other, told in cause.confused.items())
    told = (
        ("why it hurts", cause.mechanism),
        ("how it is known", cause.recognised),
        ("looks like", confused),
        ("remedy", cause.remedy),
        ("source", cause.source),
    )
    return Word(f"word-cause-{cause.id}", cause.id, cause.meaning, tuple((what, t) for what, t in told if t))


def _key(name: str) -> str:
    return "word-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
