"""Inspections of a function: contours, level lines, slices of a loss, and tests of convexity."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._registry import registered
from preceptor.catalogue.derivatives.curvature import parameter_function
from preceptor.catalogue.derivatives.first import gradient
from preceptor.errors import ConfigError, DataError

__all__ = ["contour", "convex_combination", "convexity_test", "level_line", "loss_surface"]

Function = Callable[[Tensor], Tensor]

_KIND = "inspection"
_BOYD = "Boyd and Vandenberghe, Convex Optimization, 2004, chapters 2 and 3"


@registered(
    kind=_KIND,
    name="contour",
    aliases=("contour-map", "contour-plot"),
    formula="f on a grid of two variables, with ∇f: it stands at right angles to the lines of equal value "
    "and points uphill; lines lie Δf / ‖∇f‖ apart, the denser the steeper",
    shapes="f: (2,) → () → x, y, z, dx, dy, each (points, points)",
    when="to look at a problem of two variables, or at two directions of a larger one",
    pitfalls="one call of f a point",
    source="Halley, 1701; " + _BOYD,
    example=">>> get('contour', lambda p: (p * p).sum(), points=5)['z'].shape\ntorch.Size([5, 5])",
)
def contour(
    f: Function, low: Sequence[float] = (-2.0, -2.0), high: Sequence[float] = (2.0, 2.0), points: int = 25
) -> Inspection:
    """Contour map of a function of two variables, with its gradients."""
    check_count("contour", "points", points, 2)
    x = torch.linspace(low[0], high[0], points, dtype=torch.float64)
    y = torch.linspace(low[1], high[1], points, dtype=torch.float64)
    X, Y = torch.meshgrid(x, y, indexing="xy")
    grid = torch.stack([X.flatten(), Y.flatten()], 1)
    with torch.no_grad():
        Z = torch.stack([f(p).reshape(()) for p in grid]).reshape(X.shape)
    slopes = torch.stack([gradient(f, p) for p in grid])
    dx, dy = slopes[:, 0].reshape(X.shape), slopes[:, 1].reshape(X.shape)
    lowest = grid[int(Z.argmin())]
    return Inspection(
        "Contour map",
        f"values from {float(Z.min()):.4g} at ({float(lowest[0]):.3g}, {float(lowest[1]):.3g}) to "
        f"{float(Z.max()):.4g}",
        {"x": X, "y": Y, "z": Z, "dx": dx, "dy": dy},
        (Picture("contour", {"x": X, "y": Y, "z": Z, "dx": dx, "dy": dy}),),
    )


@registered(
    kind=_KIND,
    name="level-line",
    aliases=("level-set", "contour-line"),
    formula="points with f(p) = f(start): p ← p + step · t, t at right angles to ∇f, then Newton's "
    "correction along ∇f: p ← p − (f(p) − f(start)) ∇f / ‖∇f‖²",
    shapes="f: (2,) → (), start (2,) → points (count, 2), their gradients, and the angle between line and "
    "gradient",
    when="to check, with numbers, that the gradient stands at right angles to the lines of equal value",
    pitfalls="stops where the gradient is zero: there a level is a point or a crossing",
    source=_BOYD,
    example="""
        >>> seen = get('level-line', lambda p: (p * p).sum(), torch.tensor([1.0, 0.0]), count=10)
        >>> seen['cosine'] < 1e-8
        True
        """,
)
def level_line(f: Function, start: Tensor, step: float = 1e-3, count: int = 100) -> Inspection:
    """Line of equal value through a point, traced and held against the gradient."""
    check_number("level-line", "step", step, 0.0)
    check_count("level-line", "count", count, 3)
    p = start.detach().double()
    with torch.no_grad():
        value = float(f(p))
    points, slopes = [p], [gradient(f, p)]
    for _ in range(count - 1):
        g = slopes[-1]
        size = float(torch.linalg.vector_norm(g))
        if size == 0:
            break
        p = p + step / size * torch.stack([-g[1], g[0]])
        for _ in range(4):
            g = gradient(f, p)
            with torch.no_grad():
                p = p - (f(p) - value) * g / g.square().sum().clamp_min(1e-300)
        points.append(p)
        slopes.append(gradient(f, p))
    if len(points) < 3:
        raise DataError("there is no line here", expected="a gradient that is not zero", received="∇f = 0")
    P, G = torch.stack(points), torch.stack(slopes)
    # Divided differences of five points where there are: their error falls with the fourth power of the step.
    chord = (8 * (P[3:-1] - P[1:-3]) - (P[4:] - P[:-4])) / 12 if len(P) >= 5 else P[2:] - P[:-2]
    own = G[2:-2] if len(P) >= 5 else G[1:-1]
    norm = torch.linalg.vector_norm
    cosine = float(((chord * own).sum(1) / (norm(chord, dim=1) * norm(own, dim=1))).abs().max())
    return Inspection(
        "Level line",
        f"{len(P)} points with f = {value:.4g}; largest cosine between line and gradient {cosine:.1e}",
        {"points": P, "gradients": G, "value": value, "cosine": cosine},
        (Picture("points", {"x": P[:, 0], "y": P[:, 1]}),),
    )


@registered(
    kind=_KIND,
    name="loss-surface",
    aliases=("loss-landscape", "loss-slice"),
    formula="L(θ + α d₁ + β d₂) on a grid; d random, each parameter tensor of d scaled to the norm of its "
    "own weights",
    shapes="model, loss: outputs → (), x (N, …) → α (points,), values (points, points)",
    when="how sharp the place is that training found, and whether a ridge lies near",
    pitfalls="two directions of millions; without the scaling the picture shows the weights' scale instead",
    source="Li et al., Visualizing the Loss Landscape of Neural Nets, 2018",
    differs="scaled by parameter tensor, where the paper scales by filter",
    example="""
        >>> net = torch.nn.Linear(2, 1)
        >>> get('loss-surface', net, lambda z: z.square().mean(), torch.randn(8, 2), points=5)['values'].shape
        torch.Size([5, 5])
        """,
)
def loss_surface(
    model: nn.Module, loss: Function, x: Tensor, points: int = 15, radius: float = 1.0, seed: int = 0
) -> Inspection:
    """Loss surface around the weights, along two random directions."""
    check_count("loss-surface", "points", points, 2)
    check_count("loss-surface", "seed", seed, 0)
    check_number("loss-surface", "radius", radius, 0.0)
    f, theta = parameter_function(model, loss, x)
    sizes = [p.numel() for p in model.parameters() if p.requires_grad]
    generator = torch.Generator().manual_seed(seed)
    norm = torch.linalg.vector_norm

    def direction() -> Tensor:
        d = torch.randn(len(theta), generator=generator).to(theta)
        parts = zip(torch.split(d, sizes), torch.split(theta, sizes), strict=True)
        return torch.cat([a * (norm(b) / norm(a).clamp_min(1e-12)) for a, b in parts])

    first, second = direction(), direction()
    steps = torch.linspace(-radius, radius, points).to(theta)
    with torch.no_grad():
        centre = float(f(theta))
        rows = [[float(f(theta + a * first + b * second)) for a in steps] for b in steps]
    values = torch.tensor(rows)
    A, B = torch.meshgrid(steps.cpu(), steps.cpu(), indexing="xy")
    return Inspection(
        "Loss surface",
        f"{centre:.4g} in the middle, from {float(values.min()):.4g} to {float(values.max()):.4g} within "
        f"{radius:g}",
        {"steps": steps, "values": values, "centre": centre},
        (Picture("contour", {"x": A, "y": B, "z": values}, x_label="first", y_label="second"),),
    )


@registered(
    kind=_KIND,
    name="convexity-test",
    aliases=("convex-tools", "segment-test"),
    formula="f((1 − λ)a + λb) ≤ (1 − λ) f(a) + λ f(b) on random segments a, b from start ± scale and λ from "
    "[0, 1]",
    shapes="f: (n…) → (), start (n…) → the number of violations, the largest, and its segment",
    when="to find out that a loss is not convex: one violation proves it",
    pitfalls="no violation proves nothing, though many segments make it likely; a strongly convex f has one "
    "minimum",
    source="Jensen, 1906; " + _BOYD,
    example="""
        >>> functions = (lambda x: (x * x).sum(), lambda x: x.sin().sum())
        >>> [get('convexity-test', f, torch.zeros(1))['violations'] > 0 for f in functions]
        [False, True]
        """,
)
def convexity_test(
    f: Function, start: Tensor, scale: float = 3.0, segments: int = 300, seed: int = 0
) -> Inspection:
    """Convexity test: whether the function lies below its chords."""
    check_count("convexity-test", "segments", segments)
    check_count("convexity-test", "seed", seed, 0)
    check_number("convexity-test", "scale", scale, 0.0)
    generator = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        return start.detach() + scale * torch.randn(start.shape, generator=generator).to(start)

    worst, violations = 0.0, 0
    segment = None
    with torch.no_grad():
        for _ in range(segments):
            a, b, t = draw(), draw(), float(torch.rand((), generator=generator))
            left, right = float(f(a)), float(f(b))
            chord = (1 - t) * left + t * right
            above = float(f((1 - t) * a + t * b)) - chord
            if above > 1e-5 * max(abs(left), abs(right), 1e-6):
                violations += 1
                if above > worst:
                    worst, segment = above, (a, b, t)
    return Inspection(
        "Convexity test",
        f"{violations} of {segments} segments rise above their chord"
        + (f", by up to {worst:.3g}: not convex" if violations else ": no sign against convexity"),
        {"violations": violations, "worst": worst, "segment": segment},
    )


@registered(
    kind=_KIND,
    name="convex-combination",
    formula="Σ λ_i x_i with λ_i ≥ 0 and Σ λ_i = 1: a set is convex if it holds these of all its points",
    shapes="points (M, n), weights (M,) → (n,)",
    when="averages of predictions or weights, and what lies between points",
    pitfalls="without λ_i ≥ 0 it is an affine combination, which leaves the set: refused",
    source=_BOYD,
    example=">>> get('convex-combination', torch.eye(2), torch.tensor([0.25, 0.75]))\ntensor([0.2500, "
    "0.7500])",
)
def convex_combination(points: Tensor, weights: Tensor) -> Tensor:
    """Convex combination of points, by weights that are not negative and sum to 1."""
    if weights.ndim != 1 or len(weights) != len(points):
        raise ConfigError(
            "one weight a point", expected=f"({len(points)},)", received=str(tuple(weights.shape))
        )
    if bool((weights < 0).any()) or abs(float(weights.sum()) - 1) > 1e-5:
        raise ConfigError(
            "these weights make no convex combination",
            expected="weights ≥ 0 that sum to 1",
            received=f"the least {float(weights.min()):g}, the sum {float(weights.sum()):g}",
        )
    combined: Tensor = torch.tensordot(weights.to(points), points, 1)
    return combined
