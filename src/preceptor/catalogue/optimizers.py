"""Optimizers: each returns a class of torch.optim, with the defaults stated here.

The stochastic-gradient family is one implementation; its members differ in how many examples a step sees and
in the momentum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError, ModelError

__all__ = [
    "adagrad",
    "adam",
    "adamw",
    "gradient_descent",
    "lbfgs",
    "momentum",
    "nesterov",
    "online_sgd",
    "rmsprop",
    "sgd",
]

Params: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]]

_O = TypeVar("_O", bound=torch.optim.Optimizer)
_KIND = "optimizer"
_HIGHEST = {
    **dict.fromkeys(("lr", "weight_decay", "eps", "tolerance_grad", "tolerance_change"), math.inf),
    **dict.fromkeys(("momentum", "alpha"), 1.0),
}
_SHAPES = "parameters of any shape, updated in place; gradients are read from .grad"
_BOTTOU = "Bottou, Curtis and Nocedal, Optimization Methods for Large-Scale Machine Learning, 2018"


def _show(
    name: str, shown: str, *, start: float = 0.0, gradient: float = 1.0, steps: int = 1, **options: float
) -> str:
    """Return the example that moves one weight under a constant gradient."""
    chosen = "".join(f", {k}={v!r}" for k, v in options.items())
    return f"""
        >>> w = torch.tensor([{start}], requires_grad=True)
        >>> optimizer = get({name!r}{chosen})([w])
        >>> w.grad = torch.tensor([{gradient}])
        >>> for _ in range({steps}):
        ...     _ = optimizer.step()
        >>> round(w.item(), 5)
        {shown}
        """


def _make(cls: type[_O], params: Params, *, fused_on: tuple[str, ...], **options: Any) -> _O:
    """Make the optimizer, with the fused kernel where every parameter lies on a device that has it."""
    groups: list[Any] = list(params)
    tensors = [t for g in groups for t in (list(g["params"]) if isinstance(g, dict) else [g])]
    if not tensors:
        raise ModelError(
            "there is nothing to optimise",
            expected="at least one parameter",
            received="none",
            hint="does the model have layers with weights, and were they assigned in __init__?",
        )
    for option in options.keys() & _HIGHEST.keys():
        check_number(cls.__name__, option, options[option], 0.0, _HIGHEST[option])
    if fused_on and all(t.device.type in fused_on and t.is_floating_point() for t in tensors):
        options["fused"] = True
    try:
        return cls(groups, **options)
    except (TypeError, ValueError) as problem:
        raise ConfigError(
            f"torch.optim.{cls.__name__} does not take these settings",
            received=", ".join(f"{k}={v!r}" for k, v in options.items() if k != "fused"),
            hint=str(problem),
        ) from problem


def _sgd(
    params: Params, lr: float, weight_decay: float, beta: float = 0.0, nesterov: bool = False
) -> torch.optim.SGD:
    return _make(
        torch.optim.SGD,
        params,
        fused_on=("cpu", "cuda"),
        lr=lr,
        momentum=beta,
        nesterov=nesterov,
        weight_decay=weight_decay,
    )


@registered(
    kind=_KIND,
    name="gradient-descent",
    aliases=("gd", "batch-gradient-descent", "full-batch"),
    formula="θ ← θ − lr · g, g = ∇ (1/n) Σ_i L_i(θ) over all n training examples",
    shapes=_SHAPES,
    when="small data and smooth problems, where every step should go downhill",
    pitfalls="one step costs a pass over the data; for lr < 2/L (L the largest curvature) the loss never "
    "rises, above it it diverges",
    source="Cauchy, 1847; " + _BOTTOU,
    differs="torch has no class of its own for it: SGD with the whole training set as one batch",
    example=_show("gradient-descent", "0.8", start=1.0, gradient=2.0),
    traits={"torch": "SGD", "batch": "full"},
)
def gradient_descent(params: Params, lr: float = 0.1, weight_decay: float = 0.0) -> torch.optim.SGD:
    """Gradient descent on the whole training set: one exact step per epoch."""
    return _sgd(params, lr, weight_decay)


@registered(
    kind=_KIND,
    name="online-sgd",
    aliases=("sgd1", "online-gradient-descent"),
    formula="θ ← θ − lr · ∇L_i(θ) for one example i; the expectation over i is the full gradient",
    shapes=_SHAPES,
    when="data that arrive one by one",
    pitfalls="the noisiest gradient and the slowest epoch; needs a small or decaying lr to settle",
    source="Robbins and Monro, A Stochastic Approximation Method, 1951",
    differs="torch has no class of its own for it: SGD with batches of one",
    example=_show("online-sgd", "0.98", start=1.0, gradient=2.0),
    traits={"torch": "SGD", "batch": 1},
)
def online_sgd(params: Params, lr: float = 0.01, weight_decay: float = 0.0) -> torch.optim.SGD:
    """Stochastic gradient descent with one example per step."""
    return _sgd(params, lr, weight_decay)


@registered(
    kind=_KIND,
    name="sgd",
    aliases=("minibatch-sgd", "mini-batch-sgd", "stochastic-gradient-descent"),
    formula="θ ← θ − lr · g, g = (1/m) Σ_{i in batch} ∇L_i(θ); Var g ∝ 1/m; momentum and nesterov as in the "
    "entries of those names",
    shapes=_SHAPES,
    when="the base line; large convolutional networks, with momentum and a schedule",
    pitfalls="one lr for all parameters: sensitive to scaling and to lr itself",
    source=_BOTTOU,
    differs="torch's default lr is 0.001, textbooks start from 0.1 to 0.01",
    example=_show("sgd", "0.5", start=1.0, gradient=2.0, lr=0.25),
    traits={"torch": "SGD"},
)
def sgd(
    params: Params, lr: float = 0.1, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
) -> torch.optim.SGD:
    """Stochastic gradient descent on mini-batches."""
    return _sgd(params, lr, weight_decay, momentum, nesterov)


@registered(
    kind=_KIND,
    name="momentum",
    aliases=("sgd-momentum", "heavy-ball", "polyak-momentum"),
    formula="β = momentum. lr outside the velocity (torch, here): v ← β v + g; θ ← θ − lr · v. lr inside "
    "(many texts): v ← β v − lr · g; θ ← θ + v. Equal for a constant lr; under a constant gradient the step "
    "grows to lr · g / (1 − β)",
    shapes=_SHAPES,
    when="narrow valleys: averages out the zigzag of plain gradient descent",
    pitfalls="the effective step is 1/(1 − β) times as large: lower lr by that factor when switching from "
    "sgd; when lr changes in mid-run the two conventions differ",
    source="Polyak, Some Methods of Speeding up the Convergence of Iteration Methods, 1964",
    differs="torch's SGD has momentum 0 by default, textbooks 0.9; Keras keeps lr inside the velocity",
    example=_show("momentum", "-0.029", steps=2),
    traits={"torch": "SGD"},
)
def momentum(
    params: Params, lr: float = 0.01, momentum: float = 0.9, weight_decay: float = 0.0
) -> torch.optim.SGD:
    """Stochastic gradient descent with momentum: a velocity accumulates past gradients."""
    return _sgd(params, lr, weight_decay, momentum)


@registered(
    kind=_KIND,
    name="nesterov",
    aliases=("nesterov-momentum", "nag", "nesterov-accelerated-gradient"),
    formula="β = momentum. Definition: v ← β v − lr · ∇f(θ + β v); θ ← θ + v. Here, as in torch, the "
    "look-ahead point φ = θ + β v itself is stored: b ← β b + g(φ); φ ← φ − lr · (g + β b)",
    shapes=_SHAPES,
    when="as momentum, with less overshoot",
    pitfalls="the stored weights are the look-ahead point, which differs from θ until the velocity dies down",
    source="Nesterov, 1983; Sutskever, Martens, Dahl and Hinton, On the Importance of Initialization and "
    "Momentum in Deep Learning, 2013",
    differs="torch offers it as SGD(nesterov=True) and has momentum 0 by default",
    example=_show("nesterov", "-0.019"),
    traits={"torch": "SGD"},
)
def nesterov(
    params: Params, lr: float = 0.01, momentum: float = 0.9, weight_decay: float = 0.0
) -> torch.optim.SGD:
    """Momentum whose gradient is taken at the point where the velocity leads."""
    return _sgd(params, lr, weight_decay, momentum, nesterov=True)


@registered(
    kind=_KIND,
    name="adagrad",
    formula="r ← r + g²; θ ← θ − lr · g / (√r + eps), element by element",
    shapes=_SHAPES,
    when="sparse features, such as rare words",
    pitfalls="steps shrink for ever: under a constant gradient as lr/√t",
    source="Duchi, Hazan and Singer, Adaptive Subgradient Methods, 2011",
    differs="eps = 1e-10 as in torch, where textbooks have 1e-7",
    example=_show("adagrad", "-0.01", gradient=5.0),
    traits={"torch": "Adagrad"},
)
def adagrad(
    params: Params, lr: float = 0.01, eps: float = 1e-10, weight_decay: float = 0.0
) -> torch.optim.Adagrad:
    """AdaGrad: every parameter's rate falls with the sum of its squared gradients."""
    # torch 2.6 has the fused kernel on the CPU alone, later releases on CUDA too.
    return _make(torch.optim.Adagrad, params, fused_on=("cpu",), lr=lr, eps=eps, weight_decay=weight_decay)


@registered(
    kind=_KIND,
    name="rmsprop",
    formula="r ← alpha · r + (1 − alpha) · g²; θ ← θ − lr · g / (√r + eps), element by element",
    shapes=_SHAPES,
    when="recurrent networks and other non-stationary problems",
    pitfalls="r starts at zero and is not corrected: the first steps are 1/√(1 − alpha) times as large",
    source="Hinton, Srivastava and Swersky, Neural Networks for Machine Learning, lecture 6, 2012",
    differs="torch has alpha = 0.99 and lr = 0.01 by default, the lecture 0.9 and 0.001; some texts put eps "
    "under the root",
    example=_show("rmsprop", "-0.00316", gradient=5.0),
    traits={"torch": "RMSprop"},
)
def rmsprop(
    params: Params,
    lr: float = 0.001,
    alpha: float = 0.9,
    eps: float = 1e-8,
    momentum: float = 0.0,
    centered: bool = False,
    weight_decay: float = 0.0,
) -> torch.optim.RMSprop:
    """RMSProp: gradients divided by a running root of their mean square."""
    return _make(
        torch.optim.RMSprop,
        params,
        fused_on=(),
        lr=lr,
        alpha=alpha,
        eps=eps,
        momentum=momentum,
        centered=centered,
        weight_decay=weight_decay,
    )


def _is_decay(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value < 1


def _adam(cls: type[_O], params: Params, betas: tuple[float, float], **options: Any) -> _O:
    if not (isinstance(betas, (tuple, list)) and len(betas) == 2 and all(map(_is_decay, betas))):
        raise ConfigError(
            "betas is not usable",
            expected="two numbers in [0, 1)",
            received=f"betas={betas!r}",
            hint="betas=[0.9, 0.999]",
        )
    return _make(cls, params, fused_on=("cpu", "cuda"), betas=tuple(betas), **options)


@registered(
    kind=_KIND,
    name="adam",
    formula="m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; m̂ = m/(1 − β₁ᵗ); v̂ = v/(1 − β₂ᵗ), t from 1; θ "
    "← θ − lr · m̂ / (√v̂ + eps); (β₁, β₂) = betas",
    shapes=_SHAPES,
    when="the default: works with little tuning on most networks",
    pitfalls="weight_decay is added to the gradient and so scaled away for large gradients: use adamw for "
    "decay",
    source="Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015",
    differs="eps = 1e-8 as in the paper and torch, 1e-7 in Keras",
    example=_show("adam", "-0.001", gradient=5.0),
    traits={"torch": "Adam"},
)
def adam(
    params: Params,
    lr: float = 0.001,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
) -> torch.optim.Adam:
    """Adam: momentum and RMSProp together, both corrected for their start at zero."""
    return _adam(torch.optim.Adam, params, betas, lr=lr, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)


@registered(
    kind=_KIND,
    name="adamw",
    aliases=("adam-w",),
    formula="θ ← θ − lr · weight_decay · θ, then Adam's step",
    shapes=_SHAPES,
    when="transformers, and wherever Adam is used with weight decay",
    pitfalls="the decay per step is lr · weight_decay: it changes when lr does",
    source="Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019",
    differs="weight_decay = 0.01 as in torch; optax has 1e-4, and common recipes 0.05 to 0.1",
    example=_show("adamw", "0.999", start=1.0, gradient=0.0, lr=0.1),
    traits={"torch": "AdamW"},
)
def adamw(
    params: Params,
    lr: float = 0.001,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    amsgrad: bool = False,
) -> torch.optim.AdamW:
    """Adam with weight decay that is applied to the weights themselves."""
    return _adam(torch.optim.AdamW, params, betas, lr=lr, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)


@registered(
    kind=_KIND,
    name="l-bfgs",
    aliases=("lbfgs",),
    formula="θ ← θ − t · H g, H the inverse curvature implied by the last history_size steps, t by line "
    "search from lr",
    shapes=_SHAPES,
    when="small data, smooth losses and high precision: linear models, physics",
    pitfalls="needs the loss of the whole training set, several times a step; on mini-batches it breaks down",
    source="Liu and Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, 1989",
    differs="line_search_fn is 'strong_wolfe', history_size 10 and tolerance_change 0; torch has None, 100 "
    "and 1e-9, at which float32 stops short of the minimum",
    example="""
        >>> w = torch.tensor([1.0, 5.0], requires_grad=True)
        >>> optimizer = get('l-bfgs')([w])
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (w * w).sum()
        ...     loss.backward()
        ...     return loss
        >>> _ = optimizer.step(closure)
        >>> bool(w.abs().max() < 1e-6)
        True
        """,
    traits={"torch": "LBFGS", "closure": True, "batch": "full"},
)
def lbfgs(
    params: Params,
    lr: float = 1.0,
    max_iter: int = 20,
    max_eval: int | None = None,
    tolerance_grad: float = 1e-7,
    tolerance_change: float = 0.0,
    history_size: int = 10,
    line_search_fn: str | None = "strong_wolfe",
) -> torch.optim.LBFGS:
    """Quasi-Newton method of limited memory, with a line search."""
    if line_search_fn is not None:
        check_choice("l-bfgs", "line_search_fn", line_search_fn, ("strong_wolfe",))
    for option, count in (("max_iter", max_iter), ("max_eval", max_eval), ("history_size", history_size)):
        if option != "max_eval" or count is not None:
            check_count("l-bfgs", option, count)
    return _make(
        torch.optim.LBFGS,
        params,
        fused_on=(),
        lr=lr,
        max_iter=max_iter,
        max_eval=max_eval,
        tolerance_grad=tolerance_grad,
        tolerance_change=tolerance_change,
        history_size=history_size,
        line_search_fn=line_search_fn,
    )
