"""What repeated multiplication does: to gradients, and to states."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, above, exact, lab, told

_PASCANU = "Pascanu, Mikolov and Bengio, On the Difficulty of Training Recurrent Neural Networks, 2013"
_UNITS, _STEPS = 64, 100


@lab(
    "sequences",
    {
        "eigenvalue-powers": Claim(
            "In a linear recurrence gradients change by the eigenvalue at every step: below 1 they vanish, "
            "above 1 they explode.",
            source=_PASCANU,
        ),
        "saturated-recurrence": Claim(
            "With tanh units the eigenvalues of the matrix do not decide: each step multiplies by diag(1 − "
            "h²) as well, and saturated units let gradients vanish at a spectral radius of 1.5.",
            source=_PASCANU,
            instead_of="Gradients explode if an eigenvalue exceeds 1, and vanish if all are below 1.",
        ),
        "growth-before-decay": Claim(
            "A matrix with all eigenvalues at 0.9 can multiply gradients by more than ten before they "
            "vanish: bounds need singular values.",
            source=_PASCANU,
            instead_of="Gradients explode if an eigenvalue exceeds 1, and vanish if all are below 1.",
        ),
    },
    data="64 units over 100 steps: a random orthogonal matrix times 0.9, 1 and 1.1 without a nonlinearity; "
    "times 1.5 with tanh and inputs of deviation 3; and a matrix of 8 × 8 with 0.9 on the diagonal and 0.5 "
    "above it",
    rule="linear: the norm of ∂h_T/∂h_0 is λ^100 within 0.1 %; tanh: its logarithm is below −2 in the mean "
    "over seeds, and never above that of the bound by singular values; triangular: it exceeds 10 on the way "
    "and is below 1 at 1,000 steps",
    quick=True,
)
def gradient_through_time(setup: Setup) -> Evidence:
    """Multiply the Jacobians of a recurrence, step by step."""
    linear, error = {}, 0.0
    for gain in (0.9, 1.0, 1.1):
        grown, _ = _passed(gain * _orthogonal(setup.seed), torch.zeros(_STEPS, _UNITS), tanh=False)
        linear[f"linear, λ = {gain:g}"] = grown
        error = max(error, abs(grown[-1] / gain**_STEPS - 1))
    driven, over = [], 0.0
    for seed in setup.seeds(5, 20):
        numbers = torch.Generator().manual_seed(seed)
        inputs = 3 * torch.randn(_STEPS, _UNITS, generator=numbers, dtype=torch.float64)
        grown, bound = _passed(1.5 * _orthogonal(seed), inputs)
        driven.append(grown)
        over = max(over, grown[-1] / bound - 1)
    ends = [math.log10(grown[-1]) for grown in driven]
    W = 0.9 * torch.eye(8, dtype=torch.float64) + 0.5 * torch.diag(torch.ones(7, dtype=torch.float64), 1)
    skewed = [
        float(torch.linalg.matrix_norm(torch.linalg.matrix_power(W, k), 2)) for k in range(1, _STEPS + 1)
    ]
    late = float(torch.linalg.matrix_norm(torch.linalg.matrix_power(W, 1000), 2))
    checks = {
        "eigenvalue-powers": [
            exact("‖∂h_T/∂h_0‖ against λ^100", error, 1e-3),
            *(told(f"norm, {name}", grown[-1]) for name, grown in linear.items()),
        ],
        "saturated-recurrence": [
            above("−log₁₀ ‖∂h_T/∂h_0‖ at a spectral radius of 1.5", [-end for end in ends], 2),
            exact("share above the bound Π σ max(1 − h²)", max(over, 0.0)),
        ],
        "growth-before-decay": [
            Check(f"largest ‖Wᵏ‖ with eigenvalues of 0.9: {max(skewed):,.0f}, above 10", max(skewed) > 10),
            exact("‖Wᵏ‖ at 1,000 steps", late, 1.0),
            told("largest singular value", get("recurrent-spectrum", W)["singular"]["matrix"]),
        ],
    }
    figure = Figure(
        "Gradients over time",
        "steps",
        "‖∂h_t/∂h_0‖",
        {**linear, "tanh, λ = 1.5": driven, "triangular, λ = 0.9": skewed},
        range(1, _STEPS + 1),
        log="y",
    )
    return Evidence(checks, figure)


@lab(
    "sequences",
    {
        "bounded-states": Claim(
            "Forwards tanh keeps every state within √H; backwards nothing does: where units are sensitive, "
            "gradients grow with every step.",
            source=_PASCANU,
        ),
    },
    data="64 tanh units, a random matrix of gain 2, small random starts, 50 steps",
    rule="no state is longer than √64; the logarithm of ‖∂h_T/∂h_0‖ is above 1 in the mean over ten seeds",
    quick=True,
)
def squashed_forward(setup: Setup) -> Evidence:
    """Run a tanh network forwards, and multiply its Jacobians beside it."""
    longest, norms = 0.0, []
    for seed in setup.seeds(10, 50):
        numbers = torch.Generator().manual_seed(seed)
        W = 2 / math.sqrt(_UNITS) * torch.randn(_UNITS, _UNITS, generator=numbers, dtype=torch.float64)
        h = 0.1 * torch.randn(_UNITS, generator=numbers, dtype=torch.float64)
        slope, grown = torch.eye(_UNITS, dtype=torch.float64), []
        for _ in range(50):
            h = (W @ h).tanh()
            slope = (1 - h.square())[:, None] * (W @ slope)
            longest = max(longest, float(h.norm()))
            grown.append(float(torch.linalg.matrix_norm(slope, 2)))
        norms.append(grown)
    checks = [
        exact("length of a state beyond √H", max(0.0, longest - math.sqrt(_UNITS))),
        above("log₁₀ ‖∂h_T/∂h_0‖", [math.log10(grown[-1]) for grown in norms], 1),
        told("longest state", longest),
    ]
    figure = Figure(
        "Bounded forwards, unbounded backwards",
        "steps",
        "‖∂h_t/∂h_0‖",
        {"gradient": norms},
        range(1, 51),
        log="y",
        levels={"√H, which bounds the states": math.sqrt(_UNITS)},
    )
    return Evidence({"bounded-states": checks}, figure)


def _orthogonal(seed: int) -> Tensor:
    W = torch.randn(_UNITS, _UNITS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    Q: Tensor = torch.linalg.qr(W).Q
    return Q


def _passed(W: Tensor, inputs: Tensor, *, tanh: bool = True) -> tuple[list[float], float]:
    """Return ‖∂h_t/∂h_0‖ at each step, and the product of the largest singular value and slope of each."""
    h, slope = torch.zeros(len(W), dtype=W.dtype), torch.eye(len(W), dtype=W.dtype)
    norms, bound, most = [], 1.0, float(torch.linalg.matrix_norm(W, 2))
    for x in inputs.to(W.dtype):
        h = W @ h + x
        h = h.tanh() if tanh else h
        slopes = 1 - h.square() if tanh else torch.ones_like(h)
        slope = slopes[:, None] * (W @ slope)
        norms.append(float(torch.linalg.matrix_norm(slope, 2)))
        bound *= most * float(slopes.max())
    return norms, bound
