"""Estimation principles: how parameters follow from samples, and what the losses are derived from."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_choice, check_number
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError, DataError

__all__ = [
    "gaussian_maximum_likelihood",
    "log_likelihood",
    "maximum_a_posteriori",
    "maximum_likelihood",
]

_KIND = "estimation"
_FAMILIES = ("normal", "bernoulli", "categorical")
_TOLERANCE = 1e-12


def _samples(owner: str, samples: Tensor) -> Tensor:
    if samples.ndim < 1 or not samples.numel():
        raise DataError(
            f"{owner} needs samples",
            expected="(m,), m of at least 1",
            received=f"shape {tuple(samples.shape)}",
        )
    return samples.double()


@registered(
    kind=_KIND,
    name="log-likelihood",
    aliases=("gaussian-log-likelihood",),
    formula="l(θ) = Σ_i log p(x_i; θ); normal: θ = (mean, std); bernoulli: θ = p; categorical: θ = "
    "(p_0, …, p_{K−1})",
    shapes="samples (m,), theta a number or (P,) → scalar",
    when="to see the curve whose highest point is the estimate",
    pitfalls="a sum over the samples: it grows with their number; of a density it may be positive",
    source="Fisher, On the Mathematical Foundations of Theoretical Statistics, 1922",
    example=">>> get('log-likelihood', torch.tensor([1.0, 0.0]), torch.tensor([0.5]), family='bernoulli')\n"
    "tensor(-1.3863, dtype=torch.float64)",
)
def log_likelihood(samples: Tensor, theta: Tensor, family: str = "normal") -> Tensor:
    """Log-likelihood of samples under a normal, Bernoulli or categorical distribution, in double precision.

    Raises:
        DataError: there are no samples.
        ConfigError: no such family, or a wrong number of parameters.
    """
    x = _samples("log-likelihood", samples)
    check_choice("log-likelihood", "family", family, _FAMILIES)
    theta = theta.double().reshape(-1)
    count = {"normal": 2, "bernoulli": 1}.get(family, max(1, len(theta)))
    if len(theta) != count:
        raise ConfigError(
            f"log-likelihood: theta does not suit {family}",
            expected=f"{count} numbers",
            received=f"shape {tuple(theta.shape)}",
        )
    if family == "normal":
        mean, std = theta[0], theta[1]
        return -(((x - mean) / std).square() / 2 + std.log() + math.log(2 * math.pi) / 2).sum()
    if family == "bernoulli":
        each: Tensor = torch.special.xlogy(x, theta) + torch.special.xlogy(1 - x, 1 - theta)
        return each.sum()
    return theta.log()[x.long()].sum()


def _from_free(family: str, free: Tensor) -> Tensor:
    """Turn numbers without bounds into parameters within theirs."""
    if family == "normal":
        return torch.stack([free[0], free[1].exp()])
    return free.sigmoid() if family == "bernoulli" else free.softmax(0)


def _ascend(objective: Callable[[Tensor], Tensor], start: Tensor, steps: int = 200) -> Tensor:
    """Return the point that L-BFGS climbs to; the objective must be smooth."""
    point = start.detach().double().clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [point],
        max_iter=steps,
        tolerance_grad=_TOLERANCE,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -objective(point)
        torch.autograd.backward(loss)
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return point.detach()


@registered(
    kind=_KIND,
    name="maximum-likelihood",
    aliases=("mle", "maximum-likelihood-estimation", "ml-estimation"),
    formula="θ̂ = argmax_θ Π_i p(x_i; θ) = argmax_θ Σ_i log p(x_i; θ): logarithm, gradient, set to zero; "
    "normal: mean and 1/m-deviation; bernoulli: mean; categorical: shares",
    shapes="samples (m,) → θ̂ (P,), float64; method 'gradient' climbs the log-likelihood by L-BFGS, "
    "'closed-form' solves it",
    when="a family is known, the samples are independent, and there are many of them for each parameter",
    pitfalls="overfits few samples: the deviation comes out too small by √((m − 1)/m), a category never seen "
    "gets "
    "probability 0",
    source="Fisher, On the Mathematical Foundations of Theoretical Statistics, 1922",
    example=">>> get('mle', torch.tensor([1.0, 1.0, 0.0, 1.0]), family='bernoulli').tolist()\n[0.75]",
)
def maximum_likelihood(
    samples: Tensor, family: str | Callable[[Tensor, Tensor], Tensor] = "normal", method: str = "closed-form",
    start: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Maximum likelihood: the parameters under which the samples are most probable.

    Arguments:
        samples: (m,), or whatever a ``family`` of your own takes.
        family: ``"normal"``, ``"bernoulli"``, ``"categorical"``, or a function (samples, θ) → log p of each.
        method: ``"closed-form"`` or ``"gradient"``; a family of your own has no closed form.
        start: θ to climb from, for a family of your own.

    Raises:
        DataError: there are no samples.
        ConfigError: no such family or method, or a family of your own without a start.
    """
    check_choice("maximum-likelihood", "method", method, ("closed-form", "gradient"))
    if callable(family):
        if start is None:
            raise ConfigError(
                "maximum-likelihood: a family of your own needs a place to start",
                expected="start=torch.tensor([…]), one number for each parameter",
                received="start=None",
            )
        return _ascend(lambda theta: family(samples, theta).sum(), start)
    x = _samples("maximum-likelihood", samples)
    check_choice("maximum-likelihood", "family", family, _FAMILIES)
    classes = int(x.max()) + 1 if family == "categorical" else 0
    if method == "closed-form":
        if family == "normal":
            return torch.stack([x.mean(), x.std(correction=0)])
        if family == "bernoulli":
            return x.mean().reshape(1)
        return torch.bincount(x.long(), minlength=classes).double() / len(x)
    free = torch.zeros({"normal": 2, "bernoulli": 1}.get(family, classes), dtype=torch.float64)
    mean = float(x.mean()) if family == "normal" else 0.0
    spread = max(float((x - mean).abs().max()), _TOLERANCE) if family == "normal" else 1.0
    unit = (x - mean) / spread if family == "normal" else x  # a scale of one keeps the line search short
    found = _from_free(
        family, _ascend(lambda f: log_likelihood(unit, _from_free(family, f), family) / len(x), free)
    )
    return found * spread + torch.tensor([mean, 0.0], dtype=torch.float64) if family == "normal" else found


@registered(
    kind=_KIND,
    name="gaussian-maximum-likelihood",
    aliases=("gauss-mle", "gaussian-mle", "normal-mle"),
    formula="μ̂ = (1/m) Σ_i x_i, σ̂² = (1/m) Σ_i (x_i − μ̂)²; with unbiased, 1/(m − 1)",
    shapes="samples (m,) → (mean, variance), two float64 scalars",
    when="the mean and spread of measurements",
    pitfalls="E[σ̂²] = σ² (m − 1)/m: with nine samples an eighth too small, unless unbiased",
    source="Gauss, 1809",
    differs="torch.var divides by m − 1 by default, numpy.var by m",
    example=">>> [v.item() for v in get('gaussian-mle', torch.tensor([1.0, 2.0, 6.0]))]\n"
    "[3.0, 4.666666666666667]",
)
def gaussian_maximum_likelihood(samples: Tensor, unbiased: bool = False) -> tuple[Tensor, Tensor]:
    """Maximum likelihood of a Gaussian: the sample mean, and the mean squared deviation from it.

    Raises:
        DataError: there are no samples.
    """
    x = _samples("gaussian-maximum-likelihood", samples)
    return x.mean(), x.var(correction=int(unbiased))


@registered(
    kind=_KIND,
    name="maximum-a-posteriori",
    aliases=("map", "map-estimation", "posterior-mode"),
    formula="θ̂ = argmax_θ [log p(x | θ) + log p(θ)]; prior uniform: maximum likelihood; gaussian N(0, "
    "1/precision): "
    "− ½ precision ‖θ‖², an L2 penalty; laplace: − precision ‖θ‖₁, an L1 penalty",
    shapes="a function θ → log-likelihood, start (P,) → θ̂ (P,), float64",
    when="few samples, and something is known of the parameters before",
    pitfalls="p(x | θ) p(θ) is the joint density, no likelihood; the mode moves when the parameters are "
    "expressed "
    "otherwise",
    source="Bayes, 1763; Tibshirani, Regression Shrinkage and Selection via the Lasso, 1996",
    example="""
    >>> x = torch.tensor([1.0, 2.0, 3.0])
    >>> fit = lambda theta: -(x - theta).square().sum() / 2
    >>> round(get('map', fit, torch.zeros(1), prior='gaussian', precision=1.0).item(), 4)
    1.5
    """,
)
def maximum_a_posteriori(
    log_likelihood: Callable[[Tensor], Tensor],
    start: Tensor,
    prior: str = "gaussian",
    precision: float = 1.0,
) -> Tensor:
    """Maximum a posteriori: the mode of likelihood times prior.

    Raises:
        ConfigError: no such prior, or a negative precision.
    """
    check_choice("maximum-a-posteriori", "prior", prior, ("uniform", "gaussian", "laplace"))
    weight = check_number("maximum-a-posteriori", "precision", precision, 0.0)
    if prior == "laplace":
        return _sparse_ascend(log_likelihood, start, weight)
    weight = weight if prior == "gaussian" else 0.0
    return _ascend(lambda theta: log_likelihood(theta) - weight * theta.square().sum() / 2, start)


def _sparse_ascend(smooth: Callable[[Tensor], Tensor], start: Tensor, weight: float) -> Tensor:
    """Climb by accelerated proximal gradients with backtracking (Beck and Teboulle, 2009)."""
    point = ahead = start.detach().double().clone()
    step, momentum = 1.0, 1.0
    for _ in range(5000):
        ahead = ahead.detach().requires_grad_()
        with torch.enable_grad():
            value = -smooth(ahead)
        (slope,) = torch.autograd.grad(value, ahead)
        while True:
            moved = ahead.detach() - step * slope
            new = moved.sign() * (moved.abs() - step * weight).clamp(min=0)
            gap = new - ahead.detach()
            bound = value.detach() + (slope * gap).sum() + gap.square().sum() / (2 * step)
            if -smooth(new) <= bound + 1e-12 * bound.abs() or step < _TOLERANCE:
                break
            step /= 2
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead, change = new + (momentum - 1) / following * (new - point), (new - point).abs().max()
        point, momentum = new, following
        if change <= _TOLERANCE * (1 + point.abs().max()):
            break
    return point
