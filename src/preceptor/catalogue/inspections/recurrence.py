"""Inspections of recurrences: eigenvalues of their matrices, basins of attraction, and iterated maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._registry import registered
from preceptor.errors import DataError, ModelError

__all__ = ["attractor_map", "logistic_map", "recurrent_spectrum"]

_KIND = "inspection"
_PASCANU = "Pascanu, Mikolov and Bengio, On the Difficulty of Training Recurrent Neural Networks, 2013"


@registered(
    kind=_KIND,
    name="recurrent-spectrum",
    aliases=("spec", "eigenvalue-monitor", "recurrent-eigenvalues", "spectral-radius"),
    formula="of every recurrent matrix W: eigenvalues λ, spectral radius ρ = max |λ|, largest singular "
    "value σ, "
    "and ‖Wᵏ‖₂ over steps = k. In a linear recurrence ∂h_{t+k} / ∂h_t = Wᵏ: it vanishes for ρ < 1 and "
    "explodes "
    "for ρ > 1; with tanh each factor is diag(1 − h²) W, and σ · max(1 − h²) bounds it",
    shapes="model or matrix (H, H), states (…, H) or None → by matrix; gates of an LSTM or GRU one by one",
    when="every some hundred steps of training a recurrent network, or once at its start",
    pitfalls="exact for the linear recurrence alone: a saturated network with ρ > 1 still has vanishing "
    "gradients; where W is not normal, ‖Wᵏ‖ rises before it falls",
    source=_PASCANU,
    differs="torch.linalg.eigvals gives the eigenvalues of one matrix",
    example=">>> seen = get('recurrent-spectrum', 1.1 * torch.eye(3))\n"
    ">>> round(seen['radius']['matrix'], 4), round(seen['growth']['matrix'], -1)\n(1.1, 13780.0)",
)
def recurrent_spectrum(
    model: nn.Module | Tensor, states: Tensor | None = None, steps: int = 100
) -> Inspection:
    """Eigenvalues of the recurrent matrices: whether gradients vanish or explode over time."""
    check_count("recurrent-spectrum", "steps", steps)
    found = {"matrix": model.detach()} if isinstance(model, Tensor) else dict(_recurrent(model))
    if not found or any(W.ndim != 2 or W.shape[0] != W.shape[1] for W in found.values()):
        raise ModelError(
            "no recurrent matrix to look at",
            expected="a model with recurrent layers, or a square matrix",
            received=f"{tuple(model.shape)}" if isinstance(model, Tensor) else type(model).__name__,
        )
    double = {name: W.double().cpu() for name, W in found.items()}
    values = {name: torch.linalg.eigvals(W) for name, W in double.items()}
    radius = {name: float(v.abs().max()) for name, v in values.items()}
    singular = {name: float(torch.linalg.matrix_norm(W, 2)) for name, W in double.items()}
    power = {name: torch.linalg.matrix_power(W, steps) for name, W in double.items()}
    growth = {name: float(torch.linalg.matrix_norm(W, 2)) for name, W in power.items()}
    data: dict[str, Any] = {
        "eigenvalues": values, "radius": radius, "singular": singular, "growth": growth
    }  # fmt: skip
    said = f"spectral radius {min(radius.values()):.3g} to {max(radius.values()):.3g}"
    if states is not None:
        slope = float((1 - states.detach().double().square()).clamp_min(0).amax())
        data["bound"] = {name: slope * s for name, s in singular.items()}
        most = max(data["bound"].values())
        said += f"; with the states' slopes a step multiplies gradients by at most {most:.3g}"
    return Inspection("Recurrent spectrum", said, data, tuple(map(_circle, values, values.values())))


def _circle(name: str, values: Tensor) -> Picture:
    around = torch.linspace(0, 2 * math.pi, 100, dtype=torch.float64)
    x, y = torch.cat([around.cos(), values.real]), torch.cat([around.sin(), values.imag])
    labels = ["|λ| = 1"] * len(around) + ["λ"] * len(values)
    return Picture("points", {"x": x, "y": y, "labels": labels}, title=name, x_label="Re λ", y_label="Im λ")


def _recurrent(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield every square recurrent matrix, gate by gate, as torch's layers and our cells name them."""
    factors = {name.rpartition(".")[0]: p for name, p in model.named_parameters() if "weight_fh" in name}
    for name, p in model.named_parameters():
        if "weight_hh" not in name or name.rpartition(".")[0] in factors:
            continue
        H = p.shape[1]
        gates = torch.split(p.detach(), H) if p.ndim == 2 and len(p) % H == 0 else ()
        for at, gate in enumerate(gates):
            yield (f"{name}[{at}]" if len(gates) > 1 else name), gate


@registered(
    kind=_KIND,
    name="attractor-map",
    aliases=("attractor", "gradient-basin-map", "basins-of-attraction"),
    formula="for every start h₀ of a grid: h_T = f(f(… f(h₀))), the attractor that it lies at, and "
    "‖∂h_T/∂h₀‖₂",
    shapes="f: a state (2,) → the next state, or a matrix (2, 2) for tanh(W h) → grid (points, points): "
    "norms, basins, ends",
    when="to see why gradients vanish inside a basin and explode at its boundary",
    pitfalls="two units only; starts on a boundary need more steps than others to decide",
    source="Doya, Bifurcations in the Learning of Recurrent Neural Networks, 1992; " + _PASCANU,
    example=">>> seen = get('attractor-map', torch.tensor([[2.0, 0.0], [0.0, 2.0]]), points=20)\n"
    ">>> seen['attractors'], bool(seen['norms'].max() > 10 * seen['norms'].median())\n(4, True)",
)
def attractor_map(
    f: Callable[[Tensor], Tensor] | Tensor, steps: int = 30, points: int = 41, reach: float = 1.0
) -> Inspection:
    """Attractors of a recurrence of two units, and the gradient that is left by where it starts."""
    check_count("attractor-map", "steps", steps)
    check_count("attractor-map", "points", points, 3)
    check_number("attractor-map", "reach", reach, 1e-9)
    W = f
    step = (lambda h: (W.double() @ h).tanh()) if isinstance(W, Tensor) else W

    def run(h: Tensor) -> tuple[Tensor, Tensor]:
        for _ in range(steps):
            h = step(h)
        return h, h

    axis = torch.linspace(-reach, reach, points, dtype=torch.float64)
    starts = torch.cartesian_prod(axis, axis)
    with torch.no_grad():  # f's own weights need no gradients
        slopes, ends = torch.func.vmap(torch.func.jacrev(run, has_aux=True))(starts)
    if ends.shape[-1:] != (2,):
        raise DataError(
            "two units are needed", expected="f: (2,) → (2,)", received=f"{tuple(ends.shape[1:])}"
        )
    norms = torch.linalg.matrix_norm(slopes, 2).reshape(points, points)
    basins, attractors = _basins(ends, norms.flatten())
    picture = Picture("image", {"log₁₀ norm": norms.clamp_min(1e-30).log10()}, title="gradient by start")
    return Inspection(
        "Attractor map",
        f"{attractors} attractors; ‖∂h_T/∂h₀‖ from {float(norms.min()):.2g} to {float(norms.max()):.2g}",
        {
            "norms": norms,
            "ends": ends.reshape(points, points, 2),
            "basins": basins.reshape(points, points),
            "attractors": attractors,
            "axis": axis,
        },
        (picture, Picture("image", {"attractor": basins.reshape(points, points)}, title="basins")),
    )


def _basins(ends: Tensor, norms: Tensor) -> tuple[Tensor, int]:
    """Number the ends that lie together; those that still move, at boundaries, have −1."""
    basins, settled, count = torch.full((len(ends),), -1), norms < 0.1, 0
    while bool((left := settled & (basins < 0)).any()):
        near = torch.linalg.vector_norm(ends - ends[left.nonzero()[0, 0]], dim=1) < 0.05
        basins[near & (basins < 0)] = count
        count += 1
    return basins, count


@registered(
    kind=_KIND,
    name="logistic-map",
    aliases=("iterated-logistic-map", "iterated-map"),
    formula="f(x) = r x (1 − x); x_{n+1} = f(x_n). Lyapunov exponent: the mean of ln |f′(x_n)|, ln 2 for r "
    "= 4; "
    "fⁿ is a polynomial of degree 2ⁿ, with 2ⁿ − 1 turning points for r = 4",
    shapes="r in [0, 4], x₀ in (0, 1) → trajectory (steps + 1,), exponent, turning points of f^composed",
    when="to see how one simple function, composed with itself, becomes complicated, as depth and time do",
    pitfalls="beyond r ≈ 3.57 neighbouring starts part by e^exponent a step: after some 50 steps, no digit "
    "is "
    "right",
    source="May, Simple Mathematical Models with Very Complicated Dynamics, 1976",
    example=">>> seen = get('logistic-map', r=4.0)\n"
    ">>> round(seen['lyapunov'], 2), seen['turning_points']\n(0.69, 63)",
)
def logistic_map(r: float = 4.0, x0: float = 0.3, steps: int = 10_000, composed: int = 6) -> Inspection:
    """Iterated logistic map: order, doubling and chaos from one parabola."""
    owner = "logistic-map"
    check_number(owner, "r", r, 0.0, 4.0)
    check_number(owner, "x0", x0, 0.0, 1.0)
    check_count(owner, "steps", steps)
    if check_count(owner, "composed", composed) > 14:
        raise DataError("too many turning points to see", expected="composed ≤ 14", received=f"{composed}")
    trajectory = [x0]
    for _ in range(steps):
        x = trajectory[-1]
        trajectory.append(r * x * (1 - x))
    slopes = [abs(r * (1 - 2 * x)) for x in trajectory[:-1]]
    exponent = sum(math.log(max(s, 1e-300)) for s in slopes) / steps
    grid = torch.sin(torch.linspace(0, math.pi / 2, 200 * 2**composed + 1, dtype=torch.float64)).square()
    y = grid
    for _ in range(composed):
        y = r * y * (1 - y)
    rises = y.diff().sign()
    rises = rises[rises != 0]
    turning = int((rises[1:] != rises[:-1]).sum())
    return Inspection(
        "Iterated logistic map",
        f"r = {r:g}: Lyapunov exponent {exponent:.3g}, {turning} turning points of f^{composed}",
        {"trajectory": torch.tensor(trajectory), "lyapunov": exponent, "turning_points": turning},
        (
            Picture("lines", {"x": trajectory[:100]}, x_label="step"),
            Picture("lines", {f"f^{composed}": y}, grid, x_label="x"),
        ),
    )
