"""Entries of the stochastic-gradient family: one rule, told apart by batch, momentum and where g is taken."""

from __future__ import annotations

import torch

from preceptor.catalogue._registry import registered
from preceptor.catalogue.optimizers._make import KIND, SHAPES, Params, make, show
from preceptor.catalogue.optimizers.first_order import LookAhead, Velocity

__all__ = [
    "gradient_descent",
    "momentum",
    "nesterov",
    "nesterov_look_ahead",
    "online_sgd",
    "sgd",
]

_BOTTOU = "Bottou, Curtis and Nocedal, Optimization Methods for Large-Scale Machine Learning, 2018"
_SUTSKEVER = (
    "Sutskever, Martens, Dahl and Hinton, On the Importance of Initialization and Momentum in Deep Learning, "
    "2013"
)


def _sgd(
    params: Params, lr: float, weight_decay: float, beta: float = 0.0, nesterov: bool = False
) -> torch.optim.SGD:
    return make(
        torch.optim.SGD,
        params,
        fused_on=("cpu", "cuda"),
        lr=lr,
        momentum=beta,
        nesterov=nesterov,
        weight_decay=weight_decay,
    )


@registered(
    kind=KIND,
    name="gradient-descent",
    aliases=("gd", "batch-gradient-descent", "full-batch"),
    formula="θ ← θ − lr · g, g = ∇ (1/n) Σ_i L_i(θ) over all n training examples",
    shapes=SHAPES,
    when="small data and smooth problems, where every step should go downhill",
    pitfalls="one step costs a pass over the data; for lr < 2/L (L the largest curvature) the loss never "
    "rises, above it it diverges",
    source="Cauchy, 1847; " + _BOTTOU,
    differs="torch has no class of its own for it: SGD with the whole training set as one batch",
    example=show("gradient-descent", "0.8", start=1.0, gradient=2.0),
    traits={"torch": "SGD", "batch": "full"},
)
def gradient_descent(params: Params, lr: float = 0.1, weight_decay: float = 0.0) -> torch.optim.SGD:
    """Gradient descent on the whole training set: one exact step per epoch."""
    return _sgd(params, lr, weight_decay)


@registered(
    kind=KIND,
    name="online-sgd",
    aliases=("sgd1", "online-gradient-descent"),
    formula="θ ← θ − lr · ∇L_i(θ) for one example i; the expectation over i is the full gradient",
    shapes=SHAPES,
    when="data that arrive one by one",
    pitfalls="the noisiest gradient and the slowest epoch; needs a small or decaying lr to settle",
    source="Robbins and Monro, A Stochastic Approximation Method, 1951",
    differs="torch has no class of its own for it: SGD with batches of one",
    example=show("online-sgd", "0.98", start=1.0, gradient=2.0),
    traits={"torch": "SGD", "batch": 1},
)
def online_sgd(params: Params, lr: float = 0.01, weight_decay: float = 0.0) -> torch.optim.SGD:
    """Stochastic gradient descent with one example per step."""
    return _sgd(params, lr, weight_decay)


@registered(
    kind=KIND,
    name="sgd",
    aliases=("minibatch-sgd", "mini-batch-sgd", "stochastic-gradient-descent"),
    formula="θ ← θ − lr · g, g = (1/m) Σ_{i in batch} ∇L_i(θ); Var g ∝ 1/m; momentum and nesterov as in the "
    "entries of those names",
    shapes=SHAPES,
    when="the base line; large convolutional networks, with momentum and a schedule",
    pitfalls="one lr for all parameters: sensitive to scaling and to lr itself",
    source=_BOTTOU,
    differs="torch's default lr is 0.001, textbooks start from 0.1 to 0.01",
    example=show("sgd", "0.5", start=1.0, gradient=2.0, lr=0.25),
    traits={"torch": "SGD"},
)
def sgd(
    params: Params, lr: float = 0.1, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
) -> torch.optim.SGD:
    """Stochastic gradient descent on mini-batches."""
    return _sgd(params, lr, weight_decay, momentum, nesterov)


@registered(
    kind=KIND,
    name="momentum",
    aliases=("sgd-momentum", "heavy-ball", "polyak-momentum"),
    formula="β = momentum. lr outside the velocity (torch): v ← β v + g; θ ← θ − lr · v. With lr_inside "
    "(many texts): v ← β v − lr · g; θ ← θ + v. Equal for a constant lr; under a constant gradient the step "
    "grows to lr · g / (1 − β)",
    shapes=SHAPES,
    when="narrow valleys: averages out the zigzag of plain gradient descent",
    pitfalls="the effective step is 1/(1 − β) times as large: lower lr by that factor when switching from "
    "sgd; when lr changes in mid-run the two conventions differ: inside, a change takes 1/(1 − β) steps to "
    "be felt",
    source="Polyak, Some Methods of Speeding up the Convergence of Iteration Methods, 1964",
    differs="torch's SGD has momentum 0 by default, textbooks 0.9; Keras keeps lr inside the velocity",
    example=show("momentum", "-0.029", steps=2),
    traits={"torch": "SGD"},
)
def momentum(
    params: Params,
    lr: float = 0.01,
    momentum: float = 0.9,
    lr_inside: bool = False,
    weight_decay: float = 0.0,
) -> torch.optim.SGD | Velocity:
    """Stochastic gradient descent with momentum: a velocity accumulates past gradients."""
    if lr_inside:
        return make(Velocity, params, lr=lr, momentum=momentum, weight_decay=weight_decay)
    return _sgd(params, lr, weight_decay, momentum)


@registered(
    kind=KIND,
    name="nesterov",
    aliases=("nesterov-momentum", "nag", "nag-cv", "nesterov-accelerated-gradient"),
    formula="β = momentum. Definition: v ← β v − lr · ∇f(θ + β v); θ ← θ + v. Here, as in torch, the "
    "look-ahead point φ = θ + β v itself is stored, which is a change of variables: φ ← φ − β v_t + (1 + β) "
    "v_(t+1); with b = −v/lr: b ← β b + g(φ); φ ← φ − lr · (g + β b)",
    shapes=SHAPES,
    when="as momentum, with less overshoot",
    pitfalls="the stored weights are the look-ahead point, which differs from θ until the velocity dies down",
    source="Nesterov, 1983; " + _SUTSKEVER,
    differs="torch offers it as SGD(nesterov=True) and has momentum 0 by default",
    example=show("nesterov", "-0.019"),
    traits={"torch": "SGD"},
)
def nesterov(
    params: Params, lr: float = 0.01, momentum: float = 0.9, weight_decay: float = 0.0
) -> torch.optim.SGD:
    """Momentum whose gradient is taken at the point where the velocity leads."""
    return _sgd(params, lr, weight_decay, momentum, nesterov=True)


@registered(
    kind=KIND,
    name="nesterov-look-ahead",
    aliases=("nesterov-lookahead", "look-ahead-momentum", "nag-look-ahead"),
    formula="β = momentum; v ← β v − lr · ∇f(θ + β v); θ ← θ + v",
    shapes="parameters of any shape, updated in place; the closure leaves gradients in .grad",
    when="to study the method as it is defined: the model holds θ itself",
    pitfalls="the loss of a step is that of the look-ahead point, not of θ; needs a closure",
    source="Nesterov, 1983; " + _SUTSKEVER,
    differs="torch has the change of variables alone, which is the entry nesterov: its weights are these "
    "look-ahead points",
    example="""
        >>> w = torch.tensor([1.0], requires_grad=True)
        >>> optimizer = get('nesterov-look-ahead', lr=0.1)([w])
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (w * w).sum() / 2
        ...     loss.backward()
        ...     return loss
        >>> for _ in range(2):
        ...     _ = optimizer.step(closure)
        >>> round(w.item(), 5)
        0.729
        """,
    traits={"closure": "gradient"},
)
def nesterov_look_ahead(
    params: Params, lr: float = 0.01, momentum: float = 0.9, weight_decay: float = 0.0
) -> LookAhead:
    """Nesterov's momentum in the form of its definition: the weights stay where the velocity has not led."""
    return make(LookAhead, params, lr=lr, momentum=momentum, weight_decay=weight_decay)
