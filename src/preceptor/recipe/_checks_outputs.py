"""Checks of outputs, loss and targets: where the loss begins, what it can reach, what it compares."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from preceptor.recipe import _trees as trees
from preceptor.recipe._answers import best_answer
from preceptor.recipe.check import Found, check, failed, passed, skipped
from preceptor.recipe.subject import Subject

__all__ = ["gradients", "initial_loss", "loss_mean", "loss_range", "outputs_suit_loss", "shapes", "targets"]

_KARPATHY = "Karpathy, A Recipe for Training Neural Networks, 2019"
_GOODFELLOW = "Goodfellow, Bengio and Courville, Deep Learning, 2016, section "
_HIGH = {
    True: 3.0,
    False: 10.0,
}  # times the way from the lowest loss to a constant answer's: classes, numbers
_LOST = 0.1  # of that way, which the last unit may keep a network from
_CLOSE = 1e-4
_FAR = 80.0  # a logit that a network too sure of itself has; e⁸⁰ is a number yet


@check(
    "gradients",
    decides="whether the first loss and its gradient are finite, and every parameter gets one",
    remedy="use what is left out, or remove it; a cut is .detach(), .data, .item(), no_grad() or argmax",
    source=_KARPATHY,
)
def gradients(subject: Subject) -> Found:
    """Take the gradient of the first batch's loss, in training mode."""
    model = subject.copy()
    x, y = subject.some(max(2, subject.batch_size))
    loss = subject.loss(model(x), y)
    value = float(loss.detach())
    if not math.isfinite(value):
        return failed(
            f"the first loss is {value}",
            "look for NaN in the data, a logarithm of 0, a division by 0",
            stops=True,
            loss=value,
        )
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not learned or not loss.requires_grad:
        return failed("the loss has no gradient", stops=True, loss=value)
    found = torch.autograd.grad(loss, list(learned.values()), allow_unused=True)
    missing = [name for name, g in zip(learned, found, strict=True) if g is None]
    present = [g for g in found if g is not None]
    if not all(bool(g.isfinite().all()) for g in present):
        return failed("the first gradient is not finite", stops=True, loss=value)
    if not any(bool(g.any()) for g in present):
        return failed("the first gradient is zero everywhere", stops=True, loss=value)
    if missing:
        named = ", ".join(missing[:4]) + (", …" if len(missing) > 4 else "")
        return failed(
            f"no gradient reaches {len(missing)} of {len(learned)} parameters: {named}", missing=missing
        )
    return passed(f"gradients reach all {len(learned)} parameters", loss=value)


@check(
    "initial-loss",
    decides="whether the loss begins near that of the best constant answer",
    remedy="smaller weights in the last layer, inputs and targets standardised; its bias at the mean of the "
    "targets, or at the logarithms of the classes' shares",
    source=_KARPATHY,
)
def initial_loss(subject: Subject) -> Found:
    """Compare the first loss with that of one answer for all, such as ln K of K classes alike in number."""
    start, chance, floor = subject.start, subject.chance, subject.floor
    if not math.isfinite(start):
        return failed(f"initial loss {start}", "look for NaN in the data, a logarithm of 0", stops=True)
    if not subject.constant.known:
        return skipped(f"initial loss {start:.3g}; that of a constant answer is not known", loss=start)
    facts: dict[str, Any] = {"loss": start, "constant answer": chance}
    low = floor if math.isfinite(floor) else 0.0
    if start - low > _HIGH[subject.classes is not None] * max(chance - low, 1e-12):
        zeros = _zeros_of_scaled(subject)
        if start - low <= _HIGH[True] * (zeros - low):
            return passed(
                f"initial loss {start:.3g}, near that of zeros, {zeros:.3g}, for targets of a scale to learn",
                **facts,
                zeros=zeros,
            )
        return failed(
            f"initial loss {start:.3g}, but {_expected(subject)} is the loss of a constant answer", **facts
        )
    if start - low < 0.5 * (chance - low):
        return passed(
            f"initial loss {start:.3g}, below {_expected(subject)}: it knows something already", **facts
        )
    return passed(f"initial loss {start:.3g} ≈ {_expected(subject)}", **facts)


def _zeros_of_scaled(subject: Subject) -> float:
    """The loss of zeros as outputs, where targets are numbers no larger than standardised ones are; else NaN.

    Of many outputs with a mean each, close together, a constant answer has a loss far below that of zeros;
    but means of such a size are learnt in some steps.
    """
    y, outputs = subject.looked_at[1], subject.outputs
    if not isinstance(y, Tensor) or not isinstance(outputs, Tensor) or not y.is_floating_point():
        return math.nan
    if subject.classes is not None or subject.unit is not None or float(y.square().mean()) > 1.0:
        return math.nan
    return float(subject.loss(torch.zeros_like(outputs), y))


def _expected(subject: Subject) -> str:
    """The loss of a constant answer, as a logarithm where it is one."""
    classes, chance = subject.classes, subject.chance
    if classes is not None and isinstance(subject.outputs, Tensor):
        count = 2 if classes.axis is None else int(subject.outputs.shape[classes.axis])
        if abs(chance - math.log(count)) < 0.03 * math.log(count):
            return f"ln {count}"
    return f"{chance:.3g}"


@check(
    "outputs-suit-loss",
    decides="whether the loss takes what the network puts out: logits, probabilities, any number",
    remedy="leave out the last unit, for the loss applies its own; or a loss for such outputs",
    source=_GOODFELLOW + "6.2.2",
    stops=True,
)
def outputs_suit_loss(subject: Subject) -> Found:
    """Ask which loss the outputs can reach as the last unit bounds them, and which without it."""
    unit, free = subject.unit, subject.free
    raw = best_answer(subject.loss, subject.outputs, subject.looked_at[1])
    if unit is None:
        if raw.loss == -math.inf:
            return failed(
                "the loss has no lowest value: it falls for ever as outputs grow",
                "nll_loss takes log-probabilities: cross_entropy in its place; or is the sign wrong?",
            )
        return passed("raw outputs suit the loss", lowest=raw.loss)
    name = unit.name.replace("_", "-")
    facts: dict[str, Any] = {"unit": name, f"lowest with {name}": free.loss, "lowest without": raw.loss}
    classes = subject.classes is not None and subject.classes.axis is not None
    if unit.name == "relu" and classes:
        return failed(
            "a ReLU on the logits: no class can be said to be unlikely", "leave the ReLU out", **facts
        )
    if unit.name == "softmax" and classes and free.loss < -_LOST:
        return failed(
            "the loss of probabilities is negative: it takes their logarithms",
            "log_softmax, or cross_entropy",
            **facts,
        )
    if free.known and raw.known and raw.loss > min(0.0, free.loss) - _LOST:
        lost = (free.loss - raw.loss) / max(subject.chance - raw.loss, 1e-12)
        if lost > _LOST:
            return failed(f"a {name} at the end keeps the loss above {free.loss:.3g}", **facts, lost=lost)
    return passed(f"a {name} at the end suits the loss", **facts)


@check(
    "loss-range",
    decides="whether the loss and its slope are finite for outputs as large as training may make them",
    remedy="cross_entropy, binary_cross_entropy_with_logits, log_softmax or logsumexp for log and exp; "
    "eps under a root",
    source=_GOODFELLOW + "4.1",
)
def loss_range(subject: Subject) -> Found:
    """Stretch the outputs, and take the loss."""
    if subject.unit is not None:
        return passed("outputs are bounded")
    most = max((float(t.detach().abs().max()) for t in trees.floating(subject.outputs)), default=0.0)
    if not most > 0:
        return skipped("outputs are all zero")
    far = trees.mapped(
        lambda t: (t.detach() * (_FAR / most)).requires_grad_(t.is_floating_point()), subject.outputs
    )
    with torch.enable_grad():
        loss = subject.loss(far, subject.looked_at[1])
        slopes = (
            torch.autograd.grad(loss, trees.floating(far), allow_unused=True) if loss.requires_grad else ()
        )
    if not math.isfinite(float(loss.detach())):
        return failed(f"the loss is {float(loss.detach())} for outputs of ±{_FAR:g}", largest=_FAR)
    if not all(bool(g.isfinite().all()) for g in slopes if g is not None):
        return failed(f"the loss has no finite slope for outputs of ±{_FAR:g}", largest=_FAR)
    return passed("the loss stays finite", largest=_FAR, loss=float(loss.detach()))


@check(
    "shapes",
    decides="whether outputs and targets pair up, none broadcast against the other",
    remedy="bring both to one shape: outputs.squeeze(1), or targets.unsqueeze(1)",
    source=_KARPATHY,
    stops=True,
)
def shapes(subject: Subject) -> Found:
    """Compare the loss of outputs as they come with that of the same in the targets' shape."""
    outputs, y = trees.mapped(Tensor.detach, subject.outputs), subject.looked_at[1]
    if not isinstance(outputs, Tensor) or not isinstance(y, Tensor):
        return passed("several outputs")
    said = f"outputs {tuple(outputs.shape)}, targets {tuple(y.shape)}"
    if outputs.shape != y.shape and outputs.numel() == y.numel() and y.is_floating_point():
        # Unlike each other, so that it shows which target each is compared with.
        unlike = outputs * torch.linspace(0.5, 1, len(outputs)).to(outputs).view(
            -1, *[1] * (outputs.ndim - 1)
        )
        given = float(subject.loss(unlike, y))
        meant = float(subject.loss(unlike.reshape(y.shape), y))
        if abs(given - meant) > _CLOSE * max(abs(given), abs(meant), 1e-9):
            return failed(f"{said}: every output is compared with every target", given=given, meant=meant)
    return passed(said)


@check(
    "loss-mean",
    decides="whether the loss is a mean over the batch, so that steps do not grow with it",
    remedy="reduction='mean', or divide by the number of examples",
    source=_GOODFELLOW + "8.1.3",
)
def loss_mean(subject: Subject) -> Found:
    """Compare the loss of a batch with those of its halves."""
    y = subject.looked_at[1]
    outputs = trees.mapped(Tensor.detach, subject.outputs)
    half = trees.size(y) // 2
    if not half or trees.size(outputs) != trees.size(y):
        return skipped("loss of half a batch not known")
    parts = [slice(0, 2 * half), slice(0, half), slice(half, 2 * half)]
    whole, *halves = (float(subject.loss(trees.rows(outputs, p), trees.rows(y, p))) for p in parts)
    total = sum(halves)
    close = 0.02 * max(map(abs, halves), default=0.0) + 1e-9
    if abs(whole - total) < close and abs(whole - total / 2) > 10 * close:
        return failed(
            "the loss is a sum over the batch: steps grow with the batch size", batch=whole, halves=halves
        )
    return passed("the loss is a mean", batch=whole, halves=halves)


def _of_one(subject: Subject, y: Any, other: int) -> bool:
    """Say whether the loss of one example alone changes with its target.

    An absolute error has the same slope for all targets on one side of the outputs.
    """
    outputs, moved = trees.mapped(Tensor.detach, subject.outputs), trees.mapped(lambda t: t.roll(other, 0), y)
    if trees.size(outputs) != trees.size(y):
        return False
    for at in range(min(trees.size(y), 8)):
        one = slice(at, at + 1)
        values = [float(subject.loss(trees.rows(outputs, one), trees.rows(t, one))) for t in (y, moved)]
        if values[0] != values[1]:
            return True
    return False


@check(
    "targets",
    decides="whether targets differ, and the loss depends on which one belongs to which example",
    remedy="look at the targets as the loss gets them: the right column, the right type, not overwritten",
    source=_KARPATHY,
    stops=True,
)
def targets(subject: Subject) -> Found:
    """Take the gradient by the outputs with the targets as they are, and with those of other examples."""
    _, y = subject.looked_at
    found = [t for t in trees.tensors(y) if len(t) > 1] if trees.tensors(y) else []
    if not found:
        return skipped("targets are no tensor")
    if all(bool((t == t[:1]).all()) for t in found):
        return failed("all targets are alike", targets=found[0][0].flatten()[:4].tolist())
    other = next(
        by for by in range(1, trees.size(y)) if any(not torch.equal(t, t.roll(by, 0)) for t in found)
    )
    slopes = [_slopes(subject, y), _slopes(subject, trees.mapped(lambda t: t.roll(other, 0), y))]
    alike = bool(slopes[0]) and all(torch.equal(a, b) for a, b in zip(*slopes, strict=True))
    if alike and not _of_one(subject, y, other):
        return failed("the loss does not depend on the targets", loss=subject.start)
    return passed("the loss depends on the targets")


def _slopes(subject: Subject, y: Any) -> list[Tensor]:
    free: list[Tensor] = []

    def leaf(t: Tensor) -> Tensor:
        if not t.is_floating_point():
            return t
        free.append(t.detach().requires_grad_())
        return free[-1]

    outputs = trees.mapped(leaf, subject.outputs)
    with torch.enable_grad():
        loss = subject.loss(outputs, y)
        found = torch.autograd.grad(loss, free, allow_unused=True) if loss.requires_grad else ()
    return [g for g in found if g is not None]
