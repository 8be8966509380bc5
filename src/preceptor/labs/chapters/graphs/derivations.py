"""Derivatives by hand, by automatic differentiation, and by finite differences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, beyond, exact, lab

_RUMELHART = "Rumelhart, Hinton and Williams, Learning Representations by Back-Propagating Errors, 1986"
_BENGIO = (
    "Bengio, Practical Recommendations for Gradient-Based Training of Deep Architectures, 2012, section 4.1"
)


@lab(
    "graphs",
    {
        "derivatives-by-hand-are-those-of-autodiff": Claim(
            "Derivatives worked out by hand are those of automatic differentiation, up to rounding.",
            source=_RUMELHART,
        ),
        "backpropagation-is-a-sum-over-paths": Claim(
            "The gradient of a weight is a sum over all paths from it to the outputs.", source=_RUMELHART
        ),
    },
    data="random numbers in float64: a sigmoid neuron, eight identities of matrix calculus, a recurrent unit "
    "over 12 steps, networks of 3 tanh layers",
    rule="relative errors at most 1e-7, the worst of ten draws",
    quick=True,
)
def hand_derivatives(setup: Setup) -> Evidence:
    """Compare derivations by hand with automatic differentiation."""
    errors: dict[str, list[float]] = {"neuron": [], "identities": [], "recurrent unit": [], "paths": []}
    for seed in setup.seeds(10, 50):
        generator = torch.Generator().manual_seed(seed)
        errors["neuron"].append(_neuron(generator))
        errors["identities"].append(max(get("matrix-calculus", seed=seed)["errors"].values()))
        errors["recurrent unit"].append(_recurrent(generator))
        errors["paths"].append(_paths(generator))
    worst = {name: max(each) for name, each in errors.items()}
    paths = worst.pop("paths")
    return Evidence(
        {
            "derivatives-by-hand-are-those-of-autodiff": [
                exact(f"relative error, {name}", error, 1e-7) for name, error in worst.items()
            ],
            "backpropagation-is-a-sum-over-paths": [exact("relative error, 3 layers", paths, 1e-7)],
        },
        Figure(
            "Worst relative error",
            "derivation",
            "relative error",
            {"by hand against autodiff": [*worst.values(), paths]},
            [*worst, "paths"],
            kind="bars",
            log="y",
        ),
    )


def _draw(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _apart(found: Any, truth: Any) -> float:
    a, b = (torch.as_tensor(value, dtype=torch.float64).flatten() for value in (found, truth))
    return float((a - b).norm() / b.norm().clamp_min(1e-30))


def _neuron(generator: torch.Generator) -> float:
    x, w = _draw(generator, 5), _draw(generator, 5)
    by_hand = get("sigmoid-neuron", x, w, 1.0)["w"]
    return _apart(by_hand, get("gradient", lambda w: (torch.sigmoid(w @ x) - 1) ** 2 / 2, w))


def _recurrent(generator: torch.Generator) -> float:
    x, target, start = _draw(generator, 12), _draw(generator, 12), _draw(generator, 3)
    u, w, v = start.tolist()
    by_hand = get("backpropagation-through-time", x, target, u=u, w=w, v=v, kind="worked-example")[
        "gradients"
    ]

    def loss(p: Tensor) -> Tensor:
        h, total = x.new_zeros(()), x.new_zeros(())
        for value, wanted in zip(x, target, strict=True):
            h = torch.tanh(p[0] * value + p[1] * h)
            total = total + (torch.tanh(p[2] * h) - wanted) ** 2 / 2
        return total

    return _apart([by_hand[name] for name in "uwv"], get("gradient", loss, start))


def _paths(generator: torch.Generator) -> float:
    weights = [_draw(generator, 4, 3), _draw(generator, 5, 4), _draw(generator, 2, 5)]
    x, y = _draw(generator, 3), _draw(generator, 2)
    sums = get("path-sum", weights, x, y)["gradients"]
    leaves = [W.requires_grad_() for W in weights]
    a = x
    for W in leaves:
        a = torch.tanh(W @ a)
    slopes = torch.autograd.grad((a - y).square().sum() / 2, leaves)
    return max(_apart(s, g) for s, g in zip(sums, slopes, strict=True))


class _Layer(torch.autograd.Function):
    """tanh(x Wᵀ) with a backward pass of its own, which may be wrong."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, W: Tensor, fault: str) -> Tensor:
        """Return the outputs, and keep what the backward pass needs."""
        y = torch.tanh(x @ W.T)
        ctx.save_for_backward(x, W, y)
        ctx.fault = fault
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients of inputs and weights, with the fault that was asked for."""
        x, W, y = ctx.saved_tensors
        at_z = grads[0] * (1 + y * y if ctx.fault == "wrong sign" else 1 - y * y)
        at_W = at_z.T @ x
        if ctx.fault == "no average":
            at_W = at_W * len(x)
        return at_z @ (W.T if ctx.fault == "transposed weights" else W), at_W, None


def _layer(x: Tensor, W: Tensor, fault: str) -> Tensor:
    y: Tensor = _Layer.apply(x, W, fault)  # type: ignore[no-untyped-call]  # torch's has no types
    return y


_FAULTS = ("", "wrong sign", "no average", "transposed weights")


@lab(
    "graphs",
    {
        "finite-differences-find-wrong-gradients": Claim(
            "Finite differences tell a wrong backward pass from a right one.", source=_BENGIO
        ),
        "float32-hides-wrong-gradients": Claim(
            "The check needs float64: in float32 rounding alone gives a right gradient a large error.",
            source=_BENGIO,
        ),
    },
    data="a square tanh layer, right, with a wrong sign, without an average, with transposed weights",
    rule="relative error (the worst of inputs and weights) below 1e-6 where right, and above 1e-2 for each "
    "fault, in each of ten draws; in float32 the right one has more than 1e-4",
    quick=True,
)
def gradient_checks(setup: Setup) -> Evidence:
    """Check a layer's backward pass, right and wrong, against finite differences."""
    errors: dict[str, list[float]] = {fault: [] for fault in _FAULTS}
    single = []
    for seed in setup.seeds(10, 50):
        generator = torch.Generator().manual_seed(seed)
        x, W = _draw(generator, 4, 3), _draw(generator, 3, 3)
        for fault in _FAULTS:
            errors[fault].append(max(_checked(x, W, fault)))
        single.append(_in_float32(x.float(), W.float()))
    return Evidence(
        {
            "finite-differences-find-wrong-gradients": [
                exact("relative error of the right one, the worst draw", max(errors[""]), 1e-6),
                *(
                    beyond(f"relative error with {fault}, the least of the draws", min(errors[fault]), 1e-2)
                    for fault in _FAULTS[1:]
                ),
            ],
            "float32-hides-wrong-gradients": [
                beyond(
                    "relative error of the right one in float32, the least of the draws", min(single), 1e-4
                )
            ],
        },
        Figure(
            "Finite differences against the backward pass",
            "backward pass",
            "relative error",
            {"float64": [max(errors[""]), *(min(errors[f]) for f in _FAULTS[1:])]},
            ["right", *_FAULTS[1:]],
            kind="bars",
            log="y",
            levels={"passes below": 1e-6},
        ),
    )


def _checked(x: Tensor, W: Tensor, fault: str) -> list[float]:
    """Return the relative errors of the gradients of inputs and weights."""
    functions = (lambda p: _layer(p, W, fault), lambda p: _layer(x, p, fault))
    return [get("gradient-check", f, p)["relative_error"] for f, p in zip(functions, (x, W), strict=True)]


def _in_float32(x: Tensor, W: Tensor, h: float = 1e-6) -> float:
    """Return the error of central differences by the same step in single precision."""
    given = get("gradient", lambda p: _layer(x, p, "").sum(), W)
    numeric = torch.zeros_like(W)
    for i in range(W.numel()):
        step = torch.zeros(W.numel()).index_fill(0, torch.tensor(i), h).view_as(W)
        up, down = (_layer(x, W + s, "").sum() for s in (step, -step))
        numeric.view(-1)[i] = (up - down) / (2 * h)
    return _apart(numeric, given)
