"""Penalties: terms that are added to the loss so that weights stay small, sparse or alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.regularizers.moments import Regularizer
from preceptor.errors import ConfigError

__all__ = ["L1", "ElasticNet", "ParameterTying", "elastic_net", "l2", "parameters_named", "soft_threshold"]

_KIND = "regularizer"
_SHAPES = "the weights of a model → a number; biases and normalisations' scales are left out unless bias"
_TRAITS = {"moment": "penalty"}


def soft_threshold(w: Tensor, by: float) -> Tensor:
    """Return sign(w) · max(|w| − by, 0).

    Example:
        >>> soft_threshold(torch.tensor([-2.0, 0.5]), 1.0)
        tensor([-1., 0.])
    """
    return torch.sign(w) * (w.abs() - by).clamp(min=0)


class ElasticNet(Regularizer):
    """The penalty strength · (ratio · Σ|w| + (1 − ratio) · half · Σw²).

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> layer.weight.data = torch.tensor([[3.0, -4.0]])
        >>> ElasticNet("elastic-net", 0.1, ratio=0.0).attach(layer).penalty().item()
        1.25
    """

    def __init__(
        self, owner: str, strength: float, ratio: float, half: bool = True, bias: bool = False
    ) -> None:
        self.strength = check_number(owner, "strength", strength, 0.0)
        self.ratio = check_number(owner, "ratio", ratio, 0.0, 1.0)
        self.factor = 0.5 if half else 1.0
        self.every = bias

    def penalty(self) -> Tensor:
        """Return the penalty."""
        terms = []
        for w in self.weights:
            if self.ratio > 0:
                terms.append(self.ratio * w.abs().sum())
            if self.ratio < 1:
                terms.append((1 - self.ratio) * self.factor * w.square().sum())
        return self.strength * torch.stack(terms).sum() if terms else torch.zeros(())


@registered(
    kind=_KIND,
    name="l2",
    aliases=("l2-penalty", "ridge", "tikhonov", "weight-penalty"),
    formula="L + ½ · strength · Σ w²; half=False: L + strength · Σ w². With gradient descent "
    "w ← (1 − lr · strength) w − lr ∇L",
    shapes=_SHAPES,
    when="the usual first regularizer: smooth functions, weights shared out among correlated features",
    pitfalls="with Adam and its kin the penalty's gradient is rescaled with the rest: weight-decay acts on "
    "the "
    "weights themselves; without ½ the same strength shrinks twice as much; what is subtracted is the "
    "penalty's gradient, never its value",
    source="Hoerl and Kennard, Ridge Regression, 1970; Krogh and Hertz, A Simple Weight Decay, 1992",
    differs="torch's weight_decay is the ½ form on all parameters, biases included; Keras' l2 has no ½",
    example=">>> layer = torch.nn.Linear(2, 1)\n>>> layer.weight.data = torch.tensor([[3.0, -4.0]])\n"
    ">>> get('l2', kind='regularizer', strength=0.1).attach(layer).penalty().item()\n1.25",
    traits=_TRAITS,
)
def l2(strength: float = 1e-4, half: bool = True, bias: bool = False) -> Regularizer:
    """L2 penalty: the sum of the squared weights is added to the loss."""
    return ElasticNet("l2", strength, 0.0, half, bias)


@registered(
    kind=_KIND,
    name="l1",
    aliases=("l1-penalty", "lasso", "l1reg"),
    formula="L + strength · Σ |w|. method='subgradient': its slope strength · sign(w) joins the gradient, "
    "w ← w − lr · strength · sign(w) − lr ∇L; 'proximal': after each step w ← sign(w) · max(|w| − lr · "
    "strength, 0)",
    shapes=_SHAPES,
    when="few of many features matter: weights become zero",
    pitfalls="by subgradient weights swing about zero and are never exactly zero: for zeros take "
    "method='proximal', with an optimizer whose step is lr times the gradient; a step shrinks by lr · "
    "strength, "
    "not by strength",
    source="Tibshirani, Regression Shrinkage and Selection via the Lasso, 1996",
    example=">>> layer = torch.nn.Linear(2, 1)\n>>> layer.weight.data = torch.tensor([[3.0, -0.1]])\n"
    ">>> get('l1', kind='regularizer', strength=2.0, method='proximal').attach(layer).after_step(lr=0.1)\n"
    ">>> layer.weight.data\ntensor([[2.8000, -0.0000]])",
    traits={"moment": "penalty"},
)
class L1(ElasticNet):
    """L1 penalty: the sum of the weights' absolute values is added to the loss."""

    def __init__(self, strength: float = 1e-5, method: str = "subgradient", bias: bool = False) -> None:
        super().__init__("l1", strength, 1.0, bias=bias)
        self.proximal = check_choice("l1", "method", method, ("subgradient", "proximal")) == "proximal"

    def penalty(self) -> Tensor:
        """Return the penalty; zero where the steps themselves shrink the weights."""
        return torch.zeros((), device=self.weights[0].device) if self.proximal else super().penalty()

    @torch.no_grad()
    def after_step(self, lr: float) -> None:
        """Shrink every weight towards zero, and stop there."""
        if self.proximal:
            for w in self.weights:
                w.copy_(soft_threshold(w, lr * self.strength))


@registered(
    kind=_KIND,
    name="elastic-net",
    formula="L + strength · (ratio · Σ |w| + ½ (1 − ratio) · Σ w²)",
    shapes=_SHAPES,
    when="sparse weights, but groups of correlated features kept together",
    pitfalls="two numbers to choose; by subgradient, no weight is exactly zero",
    source="Zou and Hastie, Regularization and Variable Selection via the Elastic Net, 2005",
    differs="as scikit-learn's alpha and l1_ratio, there on a loss that is ½ the mean square",
    example=">>> layer = torch.nn.Linear(2, 1)\n>>> layer.weight.data = torch.tensor([[3.0, -4.0]])\n"
    ">>> round(get('elastic-net', strength=0.1).attach(layer).penalty().item(), 4)\n0.975",
    traits=_TRAITS,
)
def elastic_net(strength: float = 1e-4, ratio: float = 0.5, bias: bool = False) -> Regularizer:
    """Elastic net: L1 and L2 penalty together."""
    return ElasticNet("elastic-net", strength, ratio, bias=bias)


@registered(
    kind=_KIND,
    name="parameter-tying",
    aliases=("tie-soft", "soft-sharing", "soft-tying"),
    formula="L + strength · Σ ‖w_A − w_B‖² over the pairs",
    shapes="pairs of parameter names → a number",
    when="two models, or parts of one, that should be alike but not the same",
    pitfalls="the parameters must have one shape; parameter-sharing makes them one",
    source="Lasserre, Bishop and Minka, Principled Hybrids of Generative and Discriminative Models, 2006",
    example=">>> model = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))\n"
    ">>> for layer, value in zip(model, (1.0, 3.0)):\n...     layer.weight.data.fill_(value)\n"
    "tensor([[1.]])\ntensor([[3.]])\n"
    ">>> get('parameter-tying', [('0.weight', '1.weight')], "
    "strength=0.5).attach(model).penalty().item()\n2.0",
    traits=_TRAITS,
)
class ParameterTying(Regularizer):
    """Parameter tying: the distance between parameters is added to the loss."""

    def __init__(self, pairs: Sequence[Sequence[str]], strength: float = 1e-2) -> None:
        self.strength = check_number("parameter-tying", "strength", strength, 0.0)
        self.names = [parameters_named("parameter-tying", pair) for pair in pairs]

    def attach(self, model: nn.Module) -> ParameterTying:
        """Find the parameters."""
        known = dict(model.named_parameters(remove_duplicate=False))
        for name in (name for group in self.names for name in group):
            if name not in known:
                raise ConfigError(
                    "parameter-tying: there is no such parameter",
                    expected=", ".join(list(known)[:12]),
                    received=name,
                )
        self.groups = [[known[name] for name in group] for group in self.names]
        return self

    def penalty(self) -> Tensor:
        """Return the squared distances of each group's parameters from its first."""
        pairs = [(first, other) for first, *others in self.groups for other in others]
        return self.strength * torch.stack([(a - b).square().sum() for a, b in pairs]).sum()


def parameters_named(owner: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return a group of at least two parameter names.

    Raises:
        ConfigError: fewer, or something else.
    """
    group = () if isinstance(names, str) else tuple(names)
    if len(group) < 2 or not all(isinstance(name, str) for name in group):
        raise ConfigError(
            f"{owner} needs parameters",
            expected="lists of at least two names, as model.named_parameters() has them",
            received=repr(names),
            hint='[["0.weight", "2.weight"]]',
        )
    return group
