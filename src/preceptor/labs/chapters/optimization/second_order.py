"""Methods that follow the curvature."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, more

_NOCEDAL = "Nocedal and Wright, Numerical Optimization, 2006"
_MARQUARDT = "Marquardt, An Algorithm for Least-Squares Estimation of Nonlinear Parameters, 1963"
_DAUPHIN = "Dauphin et al., Identifying and Attacking the Saddle Point Problem, 2014"


def _hessian_step(f: Any, x: Tensor) -> Tensor:
    """Return where Newton's step without a safeguard leads."""
    with torch.enable_grad():
        slope_: Tensor = get("gradient", f, x, kind="derivative")
        H: Tensor = get("hessian", f, x, kind="derivative")
    step: Tensor = torch.linalg.solve(H, slope_)
    return x - step


def _newton_quadratic(seed: int) -> float:
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(8, 8, generator=generator, dtype=torch.float64)
    H, goal = (
        A @ A.T + 0.1 * torch.eye(8, dtype=torch.float64),
        torch.randn(8, generator=generator, dtype=torch.float64),
    )
    w = (10 * torch.randn(8, generator=generator, dtype=torch.float64)).requires_grad_()
    get("newton", kind="optimizer")([w]).step(lambda: 0.5 * (w - goal) @ H @ (w - goal))
    return float((w.detach() - goal).norm() / goal.norm())


def _saddle(p: Tensor) -> Tensor:
    return p[0] ** 2 - p[1] ** 2 + 0.25 * p[1] ** 4


def _to_the_saddle(seed: int) -> tuple[float, float]:
    """Return the distances from the saddle: of Newton without a safeguard, and of the one that has it."""
    start = 0.4 * (torch.rand(2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.5)
    bare = start
    for _ in range(20):
        bare = _hessian_step(_saddle, bare)
    w = start.clone().requires_grad_()
    optimizer = get("newton", kind="optimizer")([w])
    for _ in range(20):
        optimizer.step(lambda: _saddle(w))
    return float(bare.norm()), float(w.detach().norm())


@lab(
    "optimization",
    {
        "newton-one-step": Claim(
            "Newton's method solves a quadratic in one step, without a rate to choose.", source=_NOCEDAL
        ),
        "newton-seeks-saddles": Claim(
            "Without a safeguard Newton's method walks into saddles; with curvatures taken by their size "
            "it leaves them.",
            source=_DAUPHIN,
        ),
    },
    data="random convex quadratics of eight unknowns; x² − y² + y⁴/4 from near the saddle at 0",
    rule="relative error after one step at most 1e-8; after 20 steps at most 1e-6 from the saddle without "
    "the safeguard, more than 1 with it",
    quick=True,
)
def newton_steps(setup: Setup) -> Evidence:
    """Take Newton's steps on quadratics and near a saddle."""
    seeds = setup.seeds(10, 50)
    bare, safe = zip(*(_to_the_saddle(seed) for seed in seeds), strict=True)
    checks = {
        "newton-one-step": [exact("relative error after a step", max(map(_newton_quadratic, seeds)), 1e-8)],
        "newton-seeks-saddles": [
            exact("distance from the saddle, no safeguard", max(bare), 1e-6),
            above("distance from the saddle, with it", safe, 1.0),
        ],
    }
    return Evidence(checks)


def _fit(
    name: str, start: tuple[float, float], scale: float = 1.0, steps: int = 1, **options: Any
) -> list[float]:
    """Return the sums of squares of a fit of a·exp(−b·t) by one iteration after another."""
    t = torch.linspace(0, 4, 40, dtype=torch.float64)
    y = 2 * torch.exp(-1.5 * t)
    w = torch.tensor([start[0] / scale, start[1]], dtype=torch.float64, requires_grad=True)
    optimizer = get(name, kind="optimizer", max_iter=1, **options)([w])

    def residuals() -> Tensor:
        return scale * w[0] * torch.exp(-w[1] * t) - y

    found = []
    for _ in range(steps):
        optimizer.step(residuals)
        found.append(float(residuals().detach().square().sum()))
    return found


def _iterations(levels: list[float], goal: float = 1e-10) -> int:
    return next((i + 1 for i, level in enumerate(levels) if level < goal), len(levels))


def _linear(seed: int) -> tuple[float, float]:
    """Return the relative error of one Gauss–Newton step, and f after over before the doubled one."""
    generator = torch.Generator().manual_seed(seed)
    A, b = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((30, 4), (30,)))
    goal = torch.linalg.lstsq(A, b).solution
    w = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    get("gauss-newton", kind="optimizer", max_iter=1)([w]).step(lambda: A @ w - b)
    doubled = torch.linalg.solve(A.T @ A, 2 * A.T @ b)
    after, before = (A @ doubled - b).square().sum(), b.square().sum()
    return float((w.detach() - goal).norm() / goal.norm()), float(after / before)


@lab(
    "optimization",
    {
        "gauss-newton-one-step": Claim(
            "Gauss and Newton's method solves linear least squares in one step.",
            source=_NOCEDAL,
            reference="3.5e-15",
        ),
        "levenberg-factor-of-two": Claim(
            "The damped step solves (JᵀJ + λI) δ = Jᵀr, half the gradient: with the whole gradient and no "
            "damping a step "
            "lands as far beyond the minimum, and the loss stays as it was.",
            source="Levenberg, A Method for the Solution of Certain Problems in Least Squares, 1944",
            instead_of="(JᵀJ + λI) δ = ∇f.",
        ),
        "levenberg-marquardt-robust": Claim(
            "From far-off starts Levenberg and Marquardt's damped steps arrive more often than Gauss and "
            "Newton's "
            "undamped ones.",
            source=_MARQUARDT,
        ),
        "marquardt-scale-free": Claim(
            "Marquardt's damping does not depend on the parameters' scales; Levenberg's needs more steps "
            "where they differ.",
            source=_MARQUARDT,
        ),
    },
    data="random linear least squares, 30 × 4; a fit of a·exp(−b·t) to 40 exact values, from (1, 1) with a "
    "counted in "
    "units of 1 or 0.001, and from a in ±5, b in −1 … 5 at random",
    rule="relative errors at most 1e-10; the doubled step leaves f within 1e-10 of itself; f below 1e-10 "
    "within 60 "
    "iterations from more of the starts, by a twentieth at least; rescaled, Marquardt's iterations the same, "
    "Levenberg's more by half at least",
)
def damped_least_squares(setup: Setup) -> Evidence:
    """Fit by Gauss and Newton's, Levenberg's and Marquardt's steps."""
    errors, ratios = zip(*(_linear(seed) for seed in setup.seeds(10, 50)), strict=True)
    runs = {(name, scale): _fit(name, (1.0, 1.0), scale, 100) for name in _DAMPED for scale in (1.0, 0.001)}
    needed = {key: _iterations(levels) for key, levels in runs.items()}
    starts = _starts(setup.seeds(1)[0], setup.size(40, 200))
    arrived = [float(min(_fit(_LM, start, steps=60)) < 1e-10) for start in starts]
    bare = [float(_bare(start) < 1e-10) for start in starts]
    same = abs(needed[_LM, 1.0] - needed[_LM, 0.001])
    checks = {
        "gauss-newton-one-step": [exact("relative error after a step", max(errors), 1e-10)],
        "levenberg-factor-of-two": [
            exact("f after over f before, less 1", max(abs(r - 1) for r in ratios), 1e-10)
        ],
        "levenberg-marquardt-robust": [
            more(
                "share of starts that arrive, Levenberg–Marquardt against undamped steps",
                arrived,
                bare,
                by=0.05,
            )
        ],
        "marquardt-scale-free": [
            exact("Marquardt's iterations, difference by scale", same),
            above(
                "Levenberg's iterations, scales 1000 apart over equal",
                [needed["levenberg", 0.001] / needed["levenberg", 1.0]] * 2,
                1.5,
            ),
        ],
    }
    places = range(1, 31)
    shown = {
        f"{name}, unit {scale:g}": [max(v, 1e-32) for v in levels[:30]]
        for (name, scale), levels in runs.items()
    }
    rows = [{"method": name, "unit": scale, "iterations": count} for (name, scale), count in needed.items()]
    return Evidence(checks, Figure("Fits of an exponential", "iteration", "f", shown, places, log="y"), rows)


_LM = "levenberg-marquardt"
_DAMPED = (_LM, "levenberg")


def _starts(seed: int, count: int) -> list[tuple[float, float]]:
    drawn = np.random.default_rng(seed).uniform((-5, -1), (5, 5), (count, 2))
    return [(float(a), float(b)) for a, b in drawn]


def _bare(start: tuple[float, float]) -> float:
    """Return f after 60 steps of Gauss and Newton's without damping or halving."""
    t = np.linspace(0, 4, 40)
    y, place = 2 * np.exp(-1.5 * t), np.array(start)
    with np.errstate(all="ignore"):
        for _ in range(60):
            e = np.exp(-place[1] * t)
            J, r = np.stack([e, -place[0] * t * e], 1), place[0] * e - y
            if not np.isfinite(J).all():
                break
            place = place - np.linalg.lstsq(J, r, rcond=None)[0]
        f = float(np.square(place[0] * np.exp(-place[1] * t) - y).sum())
    return f if np.isfinite(f) else float("inf")
