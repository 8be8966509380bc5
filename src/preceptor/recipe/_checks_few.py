"""Checks by learning a few examples: one, a handful, a batch; with inputs and without."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from preceptor.data import generators
from preceptor.recipe import _trees as trees
from preceptor.recipe._answers import best_answer
from preceptor.recipe._learning import Learnt, learn, solve
from preceptor.recipe.check import Found, check, failed, passed, skipped
from preceptor.recipe.subject import Subject

__all__ = ["Few", "batch", "few", "handful", "inputs_matter", "one_sample", "share_of"]

_RECIPE = "Karpathy, A Recipe for Training Neural Networks, 2019; Ng, Machine Learning Yearning, 2018"
_REMEDY = (
    "what else fails here says why; else look for frozen or cut parts, a loss of the wrong sign, inputs that "
    "are overwritten; with a constant output, for the last unit"
)
_LEARNT = {True: 0.1, False: 0.25}  # of the way from the lowest loss to a constant answer's: classes, numbers
_ROUGHLY = 0.5  # where training draws at random, or there are outputs by the thousand
_TOGETHER = 0.75  # where it draws, and outputs follow from each other: the lowest loss takes them free
_MANY = 1000  # outputs of an example
_SECONDS = (3.0, 4.0, 6.0)
_STEPS = (150, 200, 300)


@dataclass
class Few:
    """Some examples unlike each other, and the loss at which they count as learnt.

    Attributes:
        x, y: the examples.
        low: the lowest loss that any outputs reach for them.
        goal: the loss at which they are learnt.
    """

    x: Any
    y: Any
    low: float
    goal: float


def few(subject: Subject, count: int) -> Few:
    """Return examples with targets unlike each other, as far as there are such."""
    which = _unlike(subject, count)
    x, y = trees.rows(subject.x, which), trees.rows(subject.y, which)
    like = trees.rows(subject.outputs, torch.zeros(len(which), dtype=torch.long, device=which.device))
    low = best_answer(subject.loss, like, y, subject.unit).loss
    if not math.isfinite(low) or not math.isfinite(subject.chance):
        low = 0.0
        return Few(x, y, low, 0.1 * abs(subject.start))
    span = subject.chance - subject.floor if math.isfinite(subject.floor) else subject.chance - low
    return Few(x, y, low, low + share_of(subject) * max(span, 1e-9))


def share_of(subject: Subject) -> float:
    """Return which share of the way from the lowest loss to a constant answer's may be left."""
    found = trees.floating(subject.outputs)
    each = sum(t.numel() for t in found) // max(1, trees.size(subject.outputs))
    if len(found) > 1 and _draws(subject):
        return _TOGETHER
    return _ROUGHLY if each > _MANY or _draws(subject) else _LEARNT[subject.classes is not None]


def _draws(subject: Subject) -> bool:
    """Whether training mode draws random numbers."""
    model = subject.copy()
    x, _ = subject.some(2)
    made = []
    for seed in (1, 2):
        with generators.seeded(seed), torch.no_grad():
            try:
                made.append(model(x))
            except ValueError:  # batch normalisation of single values
                return False
    pairs = zip(trees.floating(made[0]), trees.floating(made[1]), strict=True)
    return not all(torch.equal(a, b) for a, b in pairs)


def _unlike(subject: Subject, count: int) -> Tensor:
    """Return the rows of examples whose targets lie apart, of each class in turn, and whose inputs differ."""
    first = trees.tensors(subject.x)[0]
    pool = min(len(subject), max(64, 8 * count))
    chosen: list[int] = []
    for row in _apart(trees.tensors(subject.y), pool, count):
        if len(chosen) < count and not any(torch.equal(first[row], first[other]) for other in chosen):
            chosen.append(row)
    return torch.tensor(chosen, device=first.device)


def _apart(y: list[Tensor], pool: int, count: int) -> list[int]:
    """Return rows in the order in which they are to be taken."""
    if not y:
        return list(range(pool))
    key = y[0][:pool].reshape(pool, -1).double().mean(1).cpu()
    if not y[0].is_floating_point() and y[0][0].numel() == 1:
        place = torch.zeros(pool)
        for value in key.unique():
            at = (key == value).nonzero().flatten()
            place[at] = torch.arange(len(at), dtype=place.dtype)
        return [int(row) for row in place.argsort(stable=True)]
    order = [int(row) for row in key.argsort(stable=True)]
    spread = [order[round(at)] for at in torch.linspace(0, pool - 1, min(count, pool)).tolist()]
    return list(dict.fromkeys([*spread, *order]))


def _learnt(subject: Subject, what: str, count: int, level: int) -> Found:
    given = few(subject, count)
    if trees.size(given.x) < count:
        return skipped(f"{what} not checked: {trees.size(given.x)} examples differ, {count} are needed")
    found = learn(subject, given.x, given.y, goal=given.goal, steps=_STEPS[level], seconds=_SECONDS[level])
    if not found.reached and subject.linear and subject.left > 0:
        found = solve(subject, given.x, given.y, goal=given.goal)
    facts: dict[str, Any] = {
        "loss": found.loss,
        "enough": given.goal,
        "lowest": given.low,
        "steps": found.steps,
        "lr": found.lr,
    }
    if level == 2:
        subject.known["batch"] = (given, found)
    if found.reached:
        return passed(f"{what} learnt in {found.steps} step{'s' if found.steps != 1 else ''}", **facts)
    if not found.in_time:
        return skipped(f"{what} not learnt in {found.steps} steps, and there was no more time", **facts)
    return failed(
        f"{what} not learnt: loss {found.loss:.3g} after {found.steps} steps, {given.low:.2g} is possible",
        **facts,
    )


@check(
    "one-sample",
    decides="whether the network can learn one example by heart",
    remedy=_REMEDY,
    source=_RECIPE,
    stops=True,
)
def one_sample(subject: Subject) -> Found:
    """Train on one example."""
    return _learnt(subject, "one sample", 1, 0)


@check(
    "handful",
    decides="whether it tells four examples with unlike targets apart",
    remedy=_REMEDY + "; draw the inputs as forward gets them",
    source=_RECIPE,
    stops=True,
)
def handful(subject: Subject) -> Found:
    """Train on four examples."""
    return _learnt(subject, "a handful of 4", 4, 1)


@check(
    "one-batch",
    decides="whether it learns one batch by heart",
    remedy=_REMEDY + "; a network too small for the task",
    source=_RECIPE,
    stops=True,
)
def batch(subject: Subject) -> Found:
    """Train on a batch, of no more examples than the network has room for."""
    found = trees.floating(subject.outputs)
    each = sum(t.numel() for t in found) // max(1, trees.size(subject.outputs))
    room = subject.parameters // max(1, 2 * each)
    count = min(32, max(subject.batch_size, 8), len(subject), max(4, room))
    if count < 5:
        return passed("one batch: a handful")
    return _learnt(subject, f"a batch of {count}", count, 2)


@check(
    "inputs-matter",
    decides="whether a network that is given zeros does worse than with its inputs",
    remedy="follow the inputs through forward: overwritten, multiplied by zero, cut off, all units dead?",
    source=_RECIPE,
    stops=True,
)
def inputs_matter(subject: Subject) -> Found:
    """Train on the same batch with every input zero, for as long as it took to learn."""
    if "batch" not in subject.known:
        return skipped("inputs not compared with zeros: no batch was learnt")
    given, with_inputs = subject.known["batch"]
    zeros = trees.mapped(torch.zeros_like, given.x)
    without: Learnt = learn(
        subject, zeros, given.y, goal=given.goal, steps=max(20, with_inputs.steps), seconds=3.0,
        rates=(with_inputs.lr,),
    )  # fmt: skip
    facts: dict[str, Any] = {"with inputs": with_inputs.loss, "with zeros": without.loss}
    if without.reached or without.loss - with_inputs.loss < 0.1 * max(subject.chance - given.low, 0.0):
        return failed(
            f"zeros in place of inputs do as well: loss {without.loss:.3g}, else {with_inputs.loss:.3g}",
            **facts,
        )
    return passed("inputs matter", **facts)
