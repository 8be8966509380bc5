"""Entries of the adaptive family: every parameter's step is divided by what its gradients have been."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.optimizers._make import KIND, SHAPES, Params, check_betas, make, show
from preceptor.catalogue.optimizers.first_order import Adaptive
from preceptor.errors import ConfigError

__all__ = [
    "adadelta",
    "adagrad",
    "adam",
    "adam_uncorrected",
    "adamax",
    "adamw",
    "amsgrad",
    "nadam",
    "radam",
    "rmsprop",
    "rprop",
]

_ADAM = "Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015"
_Adam: TypeAlias = torch.optim.Adam | Adaptive


@registered(
    kind=KIND,
    name="adagrad",
    aliases=("ada-grad", "adaptive-gradient"),
    formula="r ← r + g²; θ ← θ − lr · g / (√r + eps), element by element; with eps_inside: / √(r + eps)",
    shapes=SHAPES,
    when="sparse features, such as rare words",
    pitfalls="steps shrink for ever: under a constant gradient as lr/√t",
    source="Duchi, Hazan and Singer, Adaptive Subgradient Methods, 2011",
    differs="eps = 1e-10 as in torch, where textbooks have 1e-7",
    example=show("adagrad", "-0.01", gradient=5.0),
    traits={"torch": "Adagrad"},
)
def adagrad(
    params: Params,
    lr: float = 0.01,
    eps: float = 1e-10,
    eps_inside: bool = False,
    weight_decay: float = 0.0,
) -> torch.optim.Adagrad | Adaptive:
    """AdaGrad: every parameter's rate falls with the sum of its squared gradients."""
    if eps_inside:
        return _inside(params, lr=lr, keep=1.0, add=1.0, eps=eps, weight_decay=weight_decay)
    # torch 2.6 has the fused kernel on the CPU alone, later releases on CUDA too.
    return make(torch.optim.Adagrad, params, fused_on=("cpu",), lr=lr, eps=eps, weight_decay=weight_decay)


@registered(
    kind=KIND,
    name="rmsprop",
    aliases=("rms-prop",),
    formula="r ← alpha · r + (1 − alpha) · g²; θ ← θ − lr · g / (√r + eps), element by element; with "
    "eps_inside: / √(r + eps)",
    shapes=SHAPES,
    when="recurrent networks and other non-stationary problems",
    pitfalls="r starts at zero and is not corrected: the first steps are 1/√(1 − alpha) times as large",
    source="Hinton, Srivastava and Swersky, Neural Networks for Machine Learning, lecture 6, 2012",
    differs="torch has alpha = 0.99 and lr = 0.01 by default, the lecture 0.9 and 0.001, and texts that "
    "write the weight of the new square mean 1 − alpha by it; eps_inside puts eps under the root, as some do",
    example=show("rmsprop", "-0.00316", gradient=5.0),
    traits={"torch": "RMSprop"},
)
def rmsprop(
    params: Params,
    lr: float = 0.001,
    alpha: float = 0.9,
    eps: float = 1e-8,
    eps_inside: bool = False,
    momentum: float = 0.0,
    centered: bool = False,
    weight_decay: float = 0.0,
) -> torch.optim.RMSprop | Adaptive:
    """RMSProp: gradients divided by a running root of their mean square."""
    if eps_inside:
        _alone("rmsprop", momentum=momentum, centered=centered)
        check_number("rmsprop", "alpha", alpha, 0.0, 1.0)
        return _inside(params, lr=lr, keep=alpha, add=1 - alpha, eps=eps, weight_decay=weight_decay)
    return make(
        torch.optim.RMSprop,
        params,
        foreach=True,
        lr=lr,
        alpha=alpha,
        eps=eps,
        momentum=momentum,
        centered=centered,
        weight_decay=weight_decay,
    )


def _inside(params: Params, **options: Any) -> Adaptive:
    return make(Adaptive, params, eps_inside=True, **options)


def _alone(owner: str, **others: Any) -> None:
    """Refuse options of torch's own kernels beside eps_inside, which those have not."""
    for option, value in others.items():
        if value:
            raise ConfigError(
                f"{owner}: eps_inside stands alone",
                expected=f"{option}={type(value)()!r} with eps_inside",
                received=f"{option}={value!r}",
                hint=f"leave eps outside the root, or {option} out",
            )


def _adam(cls: Any, params: Params, betas: tuple[float, float], fused: bool = True, **options: Any) -> Any:
    return make(
        cls,
        params,
        fused_on=("cpu", "cuda") if fused else (),
        betas=check_betas(betas),
        **options,
        **({} if fused else {"foreach": True}),
    )


@registered(
    kind=KIND,
    name="adam",
    aliases=("adaptive-moments",),
    formula="m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; m̂ = m/(1 − β₁ᵗ); v̂ = v/(1 − β₂ᵗ), t from 1; θ "
    "← θ − lr · m̂ / (√v̂ + eps); (β₁, β₂) = betas; with eps_inside: / √(v̂ + eps)",
    shapes=SHAPES,
    when="the default: works with little tuning on most networks",
    pitfalls="weight_decay is added to the gradient and so scaled away for large gradients: use adamw for "
    "decay",
    source=_ADAM,
    differs="eps = 1e-8 as in the paper and torch, 1e-7 in Keras",
    example=show("adam", "-0.001", gradient=5.0),
    traits={"torch": "Adam"},
)
def adam(
    params: Params,
    lr: float = 0.001,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    eps_inside: bool = False,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
) -> _Adam:
    """Adam: momentum and RMSProp together, both corrected for their start at zero."""
    if eps_inside:
        _alone("adam", amsgrad=amsgrad)
        return _plain_adam(
            params, betas, corrected=True, lr=lr, eps=eps, eps_inside=True, weight_decay=weight_decay
        )
    made: torch.optim.Adam = _adam(
        torch.optim.Adam, params, betas, lr=lr, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad
    )
    return made


def _plain_adam(params: Params, betas: tuple[float, float], **options: Any) -> Adaptive:
    beta, keep = check_betas(betas)
    return make(Adaptive, params, beta=beta, keep=keep, add=1 - keep, **options)


@registered(
    kind=KIND,
    name="adam-uncorrected",
    aliases=("adam-lite", "reduced-adam", "adam-without-bias-correction"),
    formula="m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; θ ← θ − lr · m / (√v + eps); (β₁, β₂) = betas",
    shapes=SHAPES,
    when="to see what the bias correction is for",
    pitfalls="the first steps are too large: under a constant gradient 3.16 lr at once and 6.57 lr at step "
    "12",
    source=_ADAM + ", section 3 and 6.4",
    differs="no library has it: Adam without its two divisions by 1 − βᵗ",
    example=show("adam-uncorrected", "-0.00316", gradient=5.0),
)
def adam_uncorrected(
    params: Params,
    lr: float = 0.001,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    eps_inside: bool = False,
    weight_decay: float = 0.0,
) -> Adaptive:
    """Adam without the correction of its start at zero."""
    return _plain_adam(params, betas, lr=lr, eps=eps, eps_inside=eps_inside, weight_decay=weight_decay)


@registered(
    kind=KIND,
    name="amsgrad",
    aliases=("ams-grad",),
    formula="as Adam, with the largest v so far in place of v: u ← max(u, v); θ ← θ − lr · m̂ / (√û + eps)",
    shapes=SHAPES,
    when="rare large gradients, after which Adam's rate would grow again",
    pitfalls="one outlier lowers the rate for good; seldom better than Adam in practice",
    source="Reddi, Kale and Kumar, On the Convergence of Adam and Beyond, 2018",
    differs="the same as adam with amsgrad=True; torch divides u by 1 − β₂ᵗ, the paper corrects nothing",
    example=show("amsgrad", "-0.001", gradient=5.0),
    traits={"torch": "Adam"},
)
def amsgrad(
    params: Params,
    lr: float = 0.001,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> torch.optim.Adam:
    """Adam whose rates never grow: it divides by the largest mean square so far."""
    made: torch.optim.Adam = _adam(
        torch.optim.Adam, params, betas, lr=lr, eps=eps, weight_decay=weight_decay, amsgrad=True
    )
    return made


@registered(
    kind=KIND,
    name="adamw",
    aliases=("adam-w",),
    formula="θ ← θ − lr · weight_decay · θ, then Adam's step",
    shapes=SHAPES,
    when="transformers, and wherever Adam is used with weight decay",
    pitfalls="the decay per step is lr · weight_decay: it changes when lr does",
    source="Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019",
    differs="weight_decay = 0.01 as in torch; optax has 1e-4, and common recipes 0.05 to 0.1",
    example=show("adamw", "0.999", start=1.0, gradient=0.0, lr=0.1),
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
    made: torch.optim.AdamW = _adam(
        torch.optim.AdamW, params, betas, lr=lr, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad
    )
    return made


@registered(
    kind=KIND,
    name="nadam",
    aliases=("n-adam", "nesterov-adam"),
    formula="as Adam, with the first moment one step ahead: θ ← θ − lr · [μ_(t+1) m/(1 − Π_(i≤t+1) μ_i) + (1 "
    "− μ_t) g/(1 − Π_(i≤t) μ_i)] / (√v̂ + eps), μ_t = β₁ (1 − ½ · 0.96^(t · momentum_decay))",
    shapes=SHAPES,
    when="as Adam, where momentum helps",
    pitfalls="seldom better than Adam by more than the choice of lr",
    source="Dozat, Incorporating Nesterov Momentum into Adam, 2016",
    differs="lr = 0.002 and momentum_decay = 0.004 as in torch and Keras",
    example=show("nadam", "-0.00211", gradient=5.0),
    traits={"torch": "NAdam"},
)
def nadam(
    params: Params,
    lr: float = 0.002,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    momentum_decay: float = 4e-3,
    weight_decay: float = 0.0,
) -> torch.optim.NAdam:
    """Adam with Nesterov's look-ahead in its first moment."""
    made: torch.optim.NAdam = _adam(
        torch.optim.NAdam, params, betas, fused=False, lr=lr, eps=eps, momentum_decay=momentum_decay,
        weight_decay=weight_decay,
    )  # fmt: skip
    return made


@registered(
    kind=KIND,
    name="radam",
    aliases=("r-adam", "rectified-adam"),
    formula="Adam's step times √[(ρ_t − 4)(ρ_t − 2) ρ_∞ / ((ρ_∞ − 4)(ρ_∞ − 2) ρ_t)], ρ_t = ρ_∞ − 2 t β₂ᵗ/(1 "
    "− β₂ᵗ), ρ_∞ = 2/(1 − β₂) − 1; while ρ_t ≤ 5: θ ← θ − lr · m̂",
    shapes=SHAPES,
    when="in place of Adam with a warm-up",
    pitfalls="the first steps are plain momentum: their size follows the gradient's",
    source="Liu, Jiang, He, Chen, Liu, Gao and Han, On the Variance of the Adaptive Learning Rate, 2020",
    differs="the defaults of torch",
    example=show("radam", "-0.005", gradient=5.0),
    traits={"torch": "RAdam"},
)
def radam(
    params: Params,
    lr: float = 0.001,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> torch.optim.RAdam:
    """Adam that waits with its division until the mean square is known well enough."""
    made: torch.optim.RAdam = _adam(
        torch.optim.RAdam, params, betas, fused=False, lr=lr, eps=eps, weight_decay=weight_decay
    )
    return made


@registered(
    kind=KIND,
    name="adamax",
    aliases=("ada-max",),
    formula="m ← β₁ m + (1 − β₁) g; u ← max(β₂ u, |g| + eps); θ ← θ − lr/(1 − β₁ᵗ) · m/u; (β₁, β₂) = betas",
    shapes=SHAPES,
    when="embeddings and other sparse gradients",
    pitfalls="one large gradient lowers the step for 1/(1 − β₂) steps",
    source=_ADAM + ", section 7.1",
    differs="lr = 0.002 as in the paper and torch",
    example=show("adamax", "-0.002", gradient=5.0),
    traits={"torch": "Adamax"},
)
def adamax(
    params: Params,
    lr: float = 0.002,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> torch.optim.Adamax:
    """Adam with the largest gradient of late in place of the root mean square."""
    made: torch.optim.Adamax = _adam(
        torch.optim.Adamax, params, betas, fused=False, lr=lr, eps=eps, weight_decay=weight_decay
    )
    return made


@registered(
    kind=KIND,
    name="adadelta",
    aliases=("ada-delta",),
    formula="r ← rho · r + (1 − rho) g²; Δ = √(s + eps)/√(r + eps) · g; s ← rho · s + (1 − rho) Δ²; θ ← θ − "
    "lr · Δ",
    shapes=SHAPES,
    when="where no rate is to be chosen: steps have the units of the parameters",
    pitfalls="starts slowly, as s starts at zero: eps sets the first steps",
    source="Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012",
    differs="lr = 1 and rho = 0.9 as in torch; the paper has no lr and 0.95, Keras lr = 0.001",
    example=show("adadelta", "-0.00316", gradient=5.0),
    traits={"torch": "Adadelta"},
)
def adadelta(
    params: Params, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0
) -> torch.optim.Adadelta:
    """AdaDelta: the root mean square of past updates over that of past gradients."""
    return make(
        torch.optim.Adadelta, params, foreach=True, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay
    )


@registered(
    kind=KIND,
    name="rprop",
    aliases=("resilient-propagation", "resilient-backpropagation"),
    formula="step size d, from lr: times etas[1] where g has the sign of the step before, times etas[0] "
    "where it has not (and no step is made there); within step_sizes; θ ← θ − d · sign(g)",
    shapes=SHAPES,
    when="small data in full batches: needs no choice of a rate",
    pitfalls="compares the signs of successive gradients: with mini-batches these are noise",
    source="Riedmiller and Braun, A Direct Adaptive Method for Faster Backpropagation Learning, 1993",
    differs="lr = 0.01 as in torch is the first step size alone",
    example=show("rprop", "-0.022", gradient=5.0, steps=2),
    traits={"torch": "Rprop", "batch": "full"},
)
def rprop(
    params: Params,
    lr: float = 0.01,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50.0),
) -> torch.optim.Rprop:
    """Resilient propagation: the signs of gradients alone, with a step size for each parameter."""
    for option, pair in (("etas", etas), ("step_sizes", step_sizes)):
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and 0 < pair[0] < pair[1]):
            raise ConfigError(
                f"rprop: {option} is not usable",
                expected="two rising numbers above zero",
                received=f"{option}={pair!r}",
            )
    return make(
        torch.optim.Rprop, params, foreach=True, lr=lr, etas=tuple(etas), step_sizes=tuple(step_sizes)
    )
