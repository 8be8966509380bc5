"""Noise on weights, gradients and targets, and losses that expect some."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.regularizers.moments import Regularizer
from preceptor.errors import ConfigError

__all__ = ["ConfidencePenalty", "GradientNoise", "LabelSmoothing", "TargetNoise", "WeightNoise"]

_KIND = "regularizer"


@registered(
    kind=_KIND,
    name="weight-noise",
    aliases=("noise-weight", "parameter-noise"),
    formula="∇L is taken at w + std · ε, ε ~ N(0, 1) drawn once a step; the step starts from w",
    shapes="the weights of a model, changed between the passes forward and backward alone",
    when="recurrent networks: one noise for a whole sequence; flat minima",
    pitfalls="std is in the units of the weights, which differ from layer to layer",
    source="Jim, Giles and Horne, An Analysis of Noise in Recurrent Neural Networks, 1996; Graves, 2011",
    example=">>> layer = torch.nn.Linear(2, 1)\n>>> before = layer.weight.data.clone()\n"
    ">>> noise = get('weight-noise', std=0.1).attach(layer)\n>>> noise.perturb()\n"
    ">>> changed = not torch.equal(layer.weight, before)\n>>> noise.restore()\n"
    ">>> changed, torch.equal(layer.weight, before)\n(True, True)",
    traits={"moment": "perturb", "random": True},
)
class WeightNoise(Regularizer):
    """Noise on the weights: the gradient is taken a little beside them."""

    def __init__(self, std: float = 0.01, bias: bool = False) -> None:
        self.std = check_number("weight-noise", "std", std, 0.0)
        self.every = bias

    def attach(self, model: nn.Module) -> WeightNoise:
        """Take hold of the weights."""
        super().attach(model)
        self._clean: list[Tensor] = []
        return self

    @torch.no_grad()
    def perturb(self) -> None:
        """Add noise to the weights."""
        self._clean = [w.clone() for w in self.weights]
        for w in self.weights:
            w.add_(torch.randn_like(w), alpha=self.std)

    @torch.no_grad()
    def restore(self) -> None:
        """Put the weights back, to the bit."""
        for w, clean in zip(self.weights, self._clean, strict=False):
            w.copy_(clean)
        self._clean = []


@registered(
    kind=_KIND,
    name="annealed-gradient-noise",
    formula="g ← g + √(eta / (1 + t)^gamma) · ε, ε ~ N(0, 1), t the steps taken",
    shapes="the gradients of a model, changed in place",
    when="very deep networks, or large batches, whose gradients have little noise of their own",
    pitfalls="adaptive optimizers rescale it with the gradient",
    source="Neelakantan et al., Adding Gradient Noise Improves Learning for Very Deep Networks, 2015",
    example=">>> layer = torch.nn.Linear(1, 1)\n>>> layer.weight.grad = torch.zeros(1, 1)\n"
    ">>> get('annealed-gradient-noise', eta=1.0).attach(layer).gradients()\n>>> "
    "bool(layer.weight.grad != 0)\nTrue",
    traits={"moment": "gradients", "random": True},
)
class GradientNoise(Regularizer):
    """Noise on the gradients, fading with the steps."""

    every = True

    def __init__(self, eta: float = 0.01, gamma: float = 0.55) -> None:
        self.eta = check_number("annealed-gradient-noise", "eta", eta, 0.0)
        self.gamma = check_number("annealed-gradient-noise", "gamma", gamma, 0.0)
        self.steps = 0

    def attach(self, model: nn.Module) -> GradientNoise:
        """Take hold of the weights, and begin to count."""
        super().attach(model)
        self.steps = 0
        return self

    def gradients(self) -> None:
        """Add noise to what gradients there are."""
        std = (self.eta / (1 + self.steps) ** self.gamma) ** 0.5
        for w in self.weights:
            if w.grad is not None:
                w.grad.add_(torch.randn_like(w), alpha=std)
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps."""
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the number of steps."""
        self.steps = int(state["steps"])


@registered(
    kind=_KIND,
    name="target-noise",
    aliases=("label-noise", "output-noise"),
    formula="classes: with probability share a target becomes that of another example of the batch, drawn at "
    "random; numbers: y + std · ε, ε ~ N(0, 1)",
    shapes="targets (N,) or (N, D) → the same shape",
    when="targets known to be wrong now and then; label-smoothing has the same aim without the noise",
    pitfalls="std is in the units of the targets as the loss sees them: standardised ones, by default",
    source="Xie et al., DisturbLabel: Regularizing CNN on the Loss Layer, 2016",
    example=">>> y = torch.arange(4)\n>>> get('target-noise', share=0.0).examples(None, "
    "y)[1].tolist()\n[0, 1, 2, 3]",
    traits={"moment": "examples", "random": True},
)
class TargetNoise(Regularizer):
    """Noise on the targets."""

    def __init__(self, share: float = 0.1, std: float = 0.1) -> None:
        self.share = check_number("target-noise", "share", share, 0.0, 1.0)
        self.std = check_number("target-noise", "std", std, 0.0)

    def examples(self, x: Any, y: Tensor) -> tuple[Any, Tensor]:
        """Disturb the targets."""
        if y.is_floating_point():
            return x, y + self.std * torch.randn_like(y)
        swapped = torch.rand(len(y), device=y.device) < self.share
        others = y[torch.randint(len(y), (len(y),), device=y.device)]
        return x, torch.where(swapped.reshape(-1, *[1] * (y.ndim - 1)), others, y)


def _log_probabilities(owner: str, output: Tensor, y: Tensor) -> Tensor:
    """Return log p of every class, (N, K); one raw output stands for two classes."""
    if output.is_floating_point() and not y.is_floating_point():
        if output.ndim == 2 and output.shape[1] > 1:
            return output.log_softmax(1)
        z = output.reshape(-1)
        return torch.stack([functional.logsigmoid(-z), functional.logsigmoid(z)], dim=1)
    raise ConfigError(
        f"{owner} needs classes",
        expected="raw outputs of classes, and targets that are their numbers",
        received=f"output {tuple(output.shape)}, target {y.dtype}",
    )


@registered(
    kind=_KIND,
    name="label-smoothing",
    formula="(1 − epsilon) · L + epsilon / K · Σ_k −log p_k, L the cross-entropy, K the number of classes: "
    "the "
    "cross-entropy with targets (1 − epsilon) · onehot + epsilon / K",
    shapes="loss, outputs (N, K) or (N,), classes (N,) → a number",
    when="classifiers that become too sure of themselves, and noisy labels",
    pitfalls="only for cross-entropy and binary cross-entropy; the smallest loss is above zero; validation "
    "is "
    "measured without",
    source="Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016",
    differs="the option label_smoothing of the loss cross-entropy is in validation as well",
    example=">>> z, y = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0])\n"
    ">>> smooth = get('label-smoothing', kind='regularizer', epsilon=0.1)\n"
    ">>> ours = smooth.objective(torch.nn.functional.cross_entropy(z, y), z, y)\n"
    ">>> torch.allclose(ours, torch.nn.functional.cross_entropy(z, y, label_smoothing=0.1))\nTrue",
    traits={"moment": "objective", "losses": ("cross-entropy", "binary-cross-entropy")},
)
class LabelSmoothing(Regularizer):
    """Label smoothing: a little of each target's probability goes to the other classes."""

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = check_number("label-smoothing", "epsilon", epsilon, 0.0, 1.0)

    def objective(self, loss: Tensor, output: Tensor, y: Tensor) -> Tensor:
        """Mix the loss with that of uniform targets."""
        even = -_log_probabilities("label-smoothing", output.float(), y).mean()
        return (1 - self.epsilon) * loss + self.epsilon * even


@registered(
    kind=_KIND,
    name="confidence-penalty",
    aliases=("entropy-penalty", "entropy-regularization"),
    formula="L − strength · mean H(p), H(p) = −Σ_k p_k log p_k",
    shapes="loss, outputs (N, K) or (N,), classes (N,) → a number",
    when="as label-smoothing; where wrong classes should keep their order",
    pitfalls="the loss can become negative",
    source="Pereyra et al., Regularizing Neural Networks by Penalizing Confident Output Distributions, 2017",
    example=">>> z, y = torch.zeros(1, 2), torch.tensor([0])\n"
    ">>> round(get('confidence-penalty', strength=1.0).objective(torch.tensor(0.0), z, y).item(), "
    "4)\n-0.6931",
    traits={"moment": "objective"},
)
class ConfidencePenalty(Regularizer):
    """Confidence penalty: predictions of low entropy cost something."""

    def __init__(self, strength: float = 0.1) -> None:
        self.strength = check_number("confidence-penalty", "strength", strength, 0.0)

    def objective(self, loss: Tensor, output: Tensor, y: Tensor) -> Tensor:
        """Take the mean entropy off the loss."""
        log_p = _log_probabilities("confidence-penalty", output.float(), y)
        return loss + self.strength * (log_p.exp() * log_p).sum(1).mean()
