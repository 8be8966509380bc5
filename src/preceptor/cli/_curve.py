"""The curve on an entry's page: an activation, a loss over its error, a schedule over its epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from preceptor.catalogue import Entry

__all__ = ["curve_of"]

_EPOCHS = 100


def curve_of(entry: Entry) -> str:
    """Return the entry's curve as text; empty where no curve says what it is."""
    from preceptor.report.curve import draw_curve

    kind = _KINDS.get(entry.kind)
    points = kind(entry) if kind else None
    return "" if points is None else draw_curve(*points)


_Points = tuple[list[float], list[float]] | None


def _activation(entry: Entry) -> _Points:
    import torch

    if "pieces" in entry.traits:  # of several inputs at once
        return None
    x = torch.linspace(-4, 4, 161)
    with torch.no_grad():
        return x.tolist(), entry.build()(x).tolist()


def _loss(entry: Entry) -> _Points:
    """Numbers: over the error. Classes: over the lead of the true class's logit, or over its probability."""
    import torch

    takes, kind = entry.traits.get("takes"), entry.traits["targets"]
    if kind in ("texts", "tags", "trees"):  # of sequences
        return None
    x = torch.linspace(0.01, 0.99, 99) if takes else torch.linspace(-4, 4, 161)
    if kind == "numbers":
        output, target = x[:, None], torch.zeros(len(x), 1)
    elif kind in ("binary", "densities"):
        output, target = x, torch.ones(len(x))
    else:
        output = torch.stack([x, 1 - x], 1).log() if takes else torch.stack([x, torch.zeros_like(x)], 1)
        target = torch.zeros(len(x), dtype=torch.int64)
    each = entry.build(reduction="none")(output, target)
    return x.tolist(), each.reshape(-1).tolist()


def _schedule(entry: Entry) -> _Points:
    import torch

    if entry.traits.get("metric"):  # follows what is measured
        return None
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    made = entry.factory(optimizer, total_steps=_EPOCHS, steps_per_epoch=1, **entry.options())
    rates = []
    for _ in range(_EPOCHS):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        made.step()
    return [float(epoch) for epoch in range(_EPOCHS)], rates


_KINDS: dict[str, Callable[[Entry], _Points]] = {
    "activation": _activation,
    "loss": _loss,
    "schedule": _schedule,
}
