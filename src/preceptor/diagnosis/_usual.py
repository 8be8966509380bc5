"""What is usual for an optimizer: the range of rates in its paper, PyTorch's defaults and practice."""

from __future__ import annotations

import math

__all__ = ["ADAPTIVE", "FULL_BATCH", "SECOND_ORDER", "usual_rates"]

ADAPTIVE = frozenset(
    {"Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "SparseAdam", "Adafactor", "Lion", "Rprop"}
)
"""Optimizers whose step has a length of about the rate for every weight, whatever the gradient's size."""
SECOND_ORDER = frozenset({"LBFGS", "BFGS", "Newton", "LeastSquares", "ClosedForm"})
"""Optimizers that follow the curvature: a few steps are many of the others', whatever their rate."""
FULL_BATCH = SECOND_ORDER | {"Rprop"}
"""Optimizers that compare gradients of one step with those of the next: they need the same loss at both."""

_RANGES = {
    "SGD": (1e-2, 0.5),
    "ASGD": (1e-2, 0.5),
    "Adam": (1e-4, 1e-2),
    "AdamW": (1e-4, 1e-2),
    "NAdam": (1e-4, 1e-2),
    "RAdam": (1e-4, 1e-2),
    "SparseAdam": (1e-4, 1e-2),
    "Adamax": (2e-4, 2e-2),
    "RMSprop": (1e-4, 1e-2),
    "Adagrad": (1e-3, 0.1),
    "Adadelta": (0.1, 1.0),
    "Adafactor": (1e-3, 1e-2),
    "Rprop": (1e-3, 1e-1),
    "LBFGS": (0.1, 1.0),
    "Lion": (1e-5, 1e-3),
    "Muon": (1e-3, 1e-1),
}


def usual_rates(kind: str, momentum: float = 0.0) -> tuple[float, float]:
    """Return the usual least and largest rate for training from scratch; (0, ∞) for unknown optimizers.

    With momentum μ the range is multiplied by 1 − μ: a step is η/(1 − μ) long in the end.

    Example:
        >>> usual_rates("SGD"), usual_rates("Adam")
        ((0.01, 0.5), (0.0001, 0.01))

    Source: PyTorch manual, torch.optim (2025); Bengio, Practical Recommendations for Gradient-Based Training
    of Deep Architectures (2012).
    """
    low, high = _RANGES.get(kind, (0.0, math.inf))
    if kind in ("SGD", "ASGD", "RMSprop") and momentum:
        return low * (1 - momentum), high * (1 - momentum)
    return low, high
