"""Checks by learning more and more examples: where generalisation begins, and that labels are its cause."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from preceptor.recipe import _trees as trees
from preceptor.recipe._answers import Answer
from preceptor.recipe._checks_few import few
from preceptor.recipe._learning import RATES, learn
from preceptor.recipe.check import Found, check, failed, passed, skipped
from preceptor.recipe.subject import Subject
from preceptor.training.evaluate import evaluation

__all__ = ["ladder", "shuffled_labels"]

_RUNGS = {5: 60, 10: 80, 100: 150, 1000: 300, 4000: 600}  # examples and steps
_ENOUGH = 1000  # examples: more only where nothing generalises yet
_BATCH = 32
_SECONDS = 6.0  # a rung
_SURE = 3.0  # standard errors
_CLEARLY = 0.05  # of the way from naming the commonest class, of each place, to perfection
_CHUNKS = 8
_WORTH = 0.02  # of a constant answer's loss
_TURNS = 3  # orders of shuffled labels, of which one that generalises nothing is enough
_BY_HEART = 50
_HELD_BACK = "does a rate, regularisation or the scale of inputs keep it from fitting what it has room for?"
_ROOM = 100  # numbers learned for each output: enough to learn anything by heart


@check(
    "ladder",
    decides="from how many examples on it does better on others than a constant answer",
    remedy="do inputs and targets belong together, in both parts? are both prepared alike? is there enough "
    "to learn from: a larger model, more examples?",
    source="Ng, Machine Learning Yearning, 2018, chapters 28–32",
    gate=False,
)
def ladder(subject: Subject) -> Found:
    """Train on 5, 10, 100 and 1,000 examples, and measure others; on 4,000 where that is not enough."""
    if subject.held_out is None:
        return skipped("ladder not climbed: no examples held out")
    if subject.classes is None and not subject.constant.known:
        return skipped("ladder not climbed: the loss of a constant answer is not known")
    climbed: list[int] = []
    scores: dict[int, float] = {}
    held: list[int] = []  # rungs from which on all generalise
    in_time = True
    for count in _RUNGS:
        if count > len(subject) and climbed and len(subject) < 2 * climbed[-1]:
            break
        rung = _Rung(subject)
        in_time = rung.climb(*subject.some(count))
        climbed.append(min(count, len(subject)))
        scores[climbed[-1]] = rung.score
        held = [*held, climbed[-1]] if rung.generalises else []
        if count >= len(subject) or not in_time or (held and count >= _ENOUGH):
            break
    facts: dict[str, Any] = {"score on others": scores}
    rungs = ", ".join(map(str, climbed))
    if held:
        begins = held[0]
        subject.known["generalises"] = (begins, scores[begins])
        return passed(f"ladder {rungs}: generalises from {begins}", **facts, begins=begins)
    if not in_time:
        return skipped(f"ladder {rungs}: no generalisation yet, and there was no more time", **facts)
    return failed(f"ladder {rungs}: no generalisation", **facts)


@check(
    "shuffled-labels",
    decides="whether shuffled labels are learnt by heart, and nothing is learnt from them about others",
    remedy="do held-out examples stand in the training part? does the loss see the right targets?",
    source="Zhang et al., Understanding Deep Learning Requires Rethinking Generalization, 2017",
    gate=False,
)
def shuffled_labels(subject: Subject) -> Found:
    """Train on the same inputs with targets of other examples."""
    memorised = _by_heart(subject)
    said = f"{memorised['examples']} shuffled labels " + (
        f"learnt by heart in {memorised['steps']} steps" if memorised["learnt"] else "not learnt by heart"
    )
    if not memorised["learnt"] and memorised["has room"] and memorised["in time"]:
        return failed(said, _HELD_BACK, **memorised)
    if "generalises" not in subject.known or subject.held_out is None:
        return passed(said, **memorised)
    begins, true = subject.known["generalises"]
    if true < _CLEARLY:
        return passed(f"{said}, too little learnt about others to compare", **memorised)
    x, y = subject.some(begins)
    for turn in range(_TURNS):  # of few labels some stay right in one order or another
        order = torch.randperm(begins, generator=torch.Generator().manual_seed(subject.seed + turn))
        rung = _Rung(subject)
        rung.climb(x, trees.rows(y, order))
        score = rung.score
        facts = {**memorised, "score with true labels": true, "score with shuffled labels": score}
        if score <= max(0.0, true / 2):
            return passed(f"{said}, nothing learnt about others", **facts)
    return failed(f"shuffled labels generalise as well: {score:.0%}, true ones {true:.0%}", **facts)


def _by_heart(subject: Subject) -> dict[str, Any]:
    given = few(subject, min(_BY_HEART, len(subject)))
    count = trees.size(given.x)
    y = trees.mapped(lambda t: t.roll(count // 2, 0) if t.ndim else t, given.y)
    found = learn(subject, given.x, y, goal=given.goal, steps=400, seconds=_SECONDS)
    outputs = sum(t.numel() for t in trees.floating(subject.outputs)) // max(1, trees.size(subject.outputs))
    return {
        "examples": count,
        "learnt": found.reached,
        "steps": found.steps,
        "loss": found.loss,
        "has room": subject.parameters >= _ROOM * count * outputs,
        "in time": found.in_time,
    }


class _Rung:
    """A training on some examples, and how well others are done on the way: too long a one unlearns it.

    Attributes:
        score: how far the way from a constant answer to perfection is gone on others, at best; 1: all.
        generalises: whether others were done better than by a constant answer, by more than chance.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.score, self.generalises = -1.0, False

    def climb(self, x: Any, y: Any) -> bool:
        """Train; say whether there was time for all of it."""
        subject, count = self.subject, trees.size(x)
        steps = next(s for n, s in _RUNGS.items() if count <= n)
        size = None if count <= _BATCH else max(_BATCH, min(subject.batch_size, 64))
        learnt = learn(
            subject, x, y, goal=-math.inf, steps=steps, seconds=_SECONDS, rates=(subject.lr or RATES[0],),
            batch_size=size, look=self._look,
        )  # fmt: skip
        return learnt.in_time

    def _look(self, model: nn.Module) -> None:
        assert self.subject.held_out is not None  # noqa: S101 - asked for only then
        x, y = self.subject.held_out
        with evaluation(model):
            outputs = model(x)
        self.score = max(self.score, _score(self.subject, outputs, y))
        self.generalises = self.generalises or _generalises(self.subject, outputs, y)


def _score(subject: Subject, outputs: Any, y: Any) -> float:
    if subject.classes is not None:
        right, count = subject.classes.right(outputs, y)
        base = subject.classes.commonest(y, subject.y)
        return (right / max(count, 1) - base) / max(1 - base, 1e-9)
    loss, constant = float(subject.loss(outputs, y)), _constant(subject.constant, subject, y)
    span = constant - (subject.floor if math.isfinite(subject.floor) else 0.0)
    return max(-1.0, (constant - loss) / span) if span > 0 and math.isfinite(loss) else -1.0


def _constant(answer: Answer, subject: Subject, y: Any) -> float:
    return float(subject.loss(answer.to(trees.size(y)), y)) if answer.outputs is not None else math.nan


def _generalises(subject: Subject, outputs: Any, y: Any) -> bool:
    """Whether others are done better than by a constant answer, beyond chance: in classes, or in loss."""
    count = trees.size(y)
    if subject.classes is not None:
        right, places = subject.classes.right(outputs, y)
        base = subject.classes.commonest(y, subject.y)
        least = max(_SURE * math.sqrt(base * (1 - base) / count), _CLEARLY * (1 - base))
        if right / max(places, 1) > base + least:
            return True
    if subject.constant.outputs is None:
        return False
    gains = []
    for at in torch.arange(count).chunk(_CHUNKS):
        part = slice(int(at[0]), int(at[-1]) + 1)
        loss = float(subject.loss(trees.rows(outputs, part), trees.rows(y, part)))
        gains.append(_constant(subject.constant, subject, trees.rows(y, part)) - loss)
    mean = sum(gains) / len(gains)
    spread = math.sqrt(sum((g - mean) ** 2 for g in gains) / max(1, len(gains) - 1))
    worth = _WORTH * abs(subject.chance)
    return bool(math.isfinite(mean) and mean > worth and mean > _SURE * spread / math.sqrt(len(gains)))
