"""Regularizers that are ways to train: stopping early, clipping gradients, small batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.regularizers.moments import Regularizer

__all__ = ["EarlyStopping", "GradientClipping", "SGDNoise"]

_KIND = "regularizer"


@registered(
    kind=_KIND,
    name="early-stopping",
    aliases=("early-stop",),
    formula="stop once the monitored value has not fallen by more than min_delta for patience epochs; the "
    "parameters of the best epoch are returned",
    shapes="settings training.patience, training.min_delta and training.restore_best",
    when="always: it costs nothing but validation examples. For a quadratic loss and gradient descent from "
    "0, "
    "the number of steps acts as the inverse of an L2 penalty",
    pitfalls="without patience the first bad epoch of a noisy curve ends the training; validation examples "
    "that "
    "chose the epoch no longer measure without bias",
    source="Prechelt, Early Stopping – But When?, 1998",
    example=">>> dict(get('early-stopping', patience=3).settings())['training.patience']\n3",
    traits={"moment": "settings"},
)
class EarlyStopping(Regularizer):
    """Early stopping: training ends where validation has been best, and returns to there."""

    def __init__(self, patience: int = 10, min_delta: float = 0.0, restore_best: bool = True) -> None:
        self.patience = check_count("early-stopping", "patience", patience)
        self.min_delta = check_number("early-stopping", "min_delta", min_delta, 0.0)
        self.restore_best = restore_best

    def settings(self) -> Mapping[str, Any]:
        """Return the settings."""
        return {
            "training.patience": self.patience,
            "training.min_delta": self.min_delta,
            "training.restore_best": self.restore_best,
        }


@registered(
    kind=_KIND,
    name="gradient-clipping",
    aliases=("clip", "gradient-norm-clipping", "grad-clip"),
    formula="g ← g · max_norm / ‖g‖ if ‖g‖ > max_norm, ‖g‖ over all parameters together",
    shapes="the gradients of a model, changed in place; the setting training.max_grad_norm",
    when="recurrent networks, and wherever single steps are far too large",
    pitfalls="when most steps are clipped the threshold has become the step size: the history's column "
    "clipped "
    "has their share",
    source="Pascanu, Mikolov and Bengio, On the Difficulty of Training Recurrent Neural Networks, 2013",
    differs="torch's function divides by ‖g‖ + 1e-6",
    example=">>> w = torch.zeros(2, requires_grad=True)\n>>> w.grad = torch.tensor([3.0, 4.0])\n"
    ">>> clip = get('gradient-clipping', max_norm=1.0)\n>>> clip([w]).item(), clip.share\n(5.0, 1.0)\n"
    ">>> w.grad\ntensor([0.6000, 0.8000])",
    traits={"moment": "settings"},
)
class GradientClipping(Regularizer):
    """Gradient clipping: steps are no longer than a threshold allows, and keep their direction."""

    def __init__(self, max_norm: float = 1.0) -> None:
        self.max_norm = check_number("gradient-clipping", "max_norm", max_norm, 1e-30)
        self.clipped: Tensor | float = 0.0
        self.calls = 0

    def __call__(self, parameters: Iterable[Tensor]) -> Tensor:
        """Clip the gradients of some parameters; return the norm that they had."""
        norm = clip_grad_norm_(parameters, self.max_norm)
        self.clipped = self.clipped + (norm > self.max_norm)
        self.calls += 1
        return norm

    @property
    def share(self) -> float:
        """The share of calls in which something was clipped."""
        return float(self.clipped) / max(self.calls, 1)

    def settings(self) -> Mapping[str, Any]:
        """Return the setting."""
        return {"training.max_grad_norm": self.max_norm}

    def state_dict(self) -> dict[str, Any]:
        """Return the counts."""
        return {"clipped": float(self.clipped), "calls": self.calls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the counts."""
        self.clipped, self.calls = float(state["clipped"]), int(state["calls"])


@registered(
    kind=_KIND,
    name="sgd-noise",
    aliases=("small-batches", "minibatch-noise"),
    formula="g_B = ∇L + noise of covariance Σ / batch_size, Σ that of single examples' gradients: the "
    "scale of "
    "the noise in the weights grows with lr / batch_size",
    shapes="the setting training.batch_size; noise(gradients (N, D)) → a number",
    when="to leave sharp minima; large batches generalise worse at the same learning rate",
    pitfalls="smaller batches use a GPU badly; halving the batch and doubling the rate are alike only "
    "while both "
    "are small",
    source="Keskar et al., On Large-Batch Training for Deep Learning, 2017; Smith and Le, 2018",
    example=">>> sgd = get('sgd-noise', batch_size=2)\n"
    ">>> sgd.noise(torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])).item(), sgd.settings()\n"
    "(0.5, {'training.batch_size': 2})",
    traits={"moment": "settings"},
)
class SGDNoise(Regularizer):
    """Noise of mini-batch gradients, set by the size of the batches."""

    def __init__(self, batch_size: int = 16) -> None:
        self.batch_size = check_count("sgd-noise", "batch_size", batch_size)

    def noise(self, gradients: Tensor) -> Tensor:
        """Return E‖g_B − ∇L‖² for batches drawn with replacement, from each example's gradient (N, D)."""
        centred = gradients - gradients.mean(0)
        return torch.mean(centred.square().sum(1)) / self.batch_size

    def settings(self) -> Mapping[str, Any]:
        """Return the setting."""
        return {"training.batch_size": self.batch_size}
