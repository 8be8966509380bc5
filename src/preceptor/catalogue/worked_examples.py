"""Worked examples: derivations done by hand, to be held against automatic differentiation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from math import prod

import torch
from torch import Tensor, nn

from preceptor.catalogue._inspection import Inspection
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError, ModelError

__all__ = [
    "backpropagation_through_time",
    "input_scale",
    "matrix_calculus",
    "path_sum",
    "sigmoid_neuron",
    "xor_network",
]

_KIND = "worked-example"
_RUMELHART = "Rumelhart, Hinton and Williams, Learning Representations by Back-Propagating Errors, 1986"
_MOST_PATHS = 100_000


@registered(
    kind=_KIND,
    name="sigmoid-neuron",
    aliases=("hand-backpropagation", "hand-bp"),
    formula="z = wᵀx, f = σ(z), L = ½(f − y)²: ∂L/∂f = f − y; ∂L/∂z = (f − y) eᶻ/(1 + eᶻ)²; ∂L/∂w_i = ∂L/∂z "
    "· x_i",
    shapes="x (D,), w (D,), y a number → f, z, and the three gradients",
    when="the chain rule for the first time",
    pitfalls="eᶻ/(1 + eᶻ)² is computed as f (1 − f), which does not overflow",
    source=_RUMELHART,
    example="""
        >>> found = get('sigmoid-neuron', torch.tensor([1.0, 2.0]), torch.zeros(2), 1.0)
        >>> found['w'].tolist(), found['f']
        ([-0.125, -0.25], 0.5)
        """,
)
def sigmoid_neuron(x: Tensor, w: Tensor, y: float) -> Inspection:
    """Back-propagation by hand through one sigmoid neuron with a squared error."""
    if x.shape != w.shape or x.ndim != 1:
        raise ModelError("one weight an input", expected="x (D,), w (D,)", received=f"{x.shape}, {w.shape}")
    z = float(w @ x)
    f = float(torch.sigmoid(torch.tensor(z, dtype=torch.float64)))
    at_f = f - y
    at_z = at_f * f * (1 - f)
    data = {"z": z, "f": f, "loss": at_f * at_f / 2, "at_f": at_f, "at_z": at_z, "w": at_z * x.detach()}
    return Inspection("Sigmoid neuron", f"f = {f:.4g}, ∂L/∂f = {at_f:.4g}, ∂L/∂z = {at_z:.4g}", data)


@registered(
    kind=_KIND,
    name="path-sum",
    aliases=("sum-over-paths", "mlp-backpropagation", "mlp-bp"),
    formula="∂L/∂w⁽ⁱ⁾_{jk} = a⁽ⁱ⁻¹⁾_k Σ over all paths j = o_i, o_{i+1}, …, o_l of φ'(z⁽ⁱ⁾_j) ∏_{m>i} "
    "w⁽ᵐ⁾_{o_m o_{m−1}} φ'(z⁽ᵐ⁾_{o_m}) · ∂L/∂a⁽ˡ⁾_{o_l}: o_l runs over the outputs, o_{i+1} over the units "
    "of layer i + 1, and for the first layer k runs over the inputs",
    shapes="weights: l matrices (m_i, m_{i−1}), x (m₀,), y (m_l,) → l gradients of the same shapes",
    when="to see that back-propagation only orders a sum over paths, which grows as the product of the "
    "widths",
    pitfalls="for toys: refuses more than a hundred thousand paths",
    source=_RUMELHART,
    example="""
        >>> eye = torch.eye(2)
        >>> [g.shape for g in get('path-sum', [eye, eye, eye], torch.ones(2), torch.zeros(2))['gradients']]
        [torch.Size([2, 2]), torch.Size([2, 2]), torch.Size([2, 2])]
        """,
)
def path_sum(weights: Sequence[Tensor], x: Tensor, y: Tensor) -> Inspection:
    """Gradient of a network of tanh layers with a squared error ½‖a − y‖², as a sum over all paths."""
    sizes = [x.numel(), *(len(W) for W in weights)]
    if any(tuple(W.shape) != (m, n) for W, n, m in zip(weights, sizes[:-1], sizes[1:], strict=True)):
        raise ModelError(
            "the layers do not follow each other",
            expected="matrices (m_i, m_{i−1}) from the inputs on",
            received=", ".join(str(tuple(W.shape)) for W in weights) + f" for {len(x)} inputs",
        )
    paths = prod(sizes[1:])
    if paths > _MOST_PATHS:
        raise ConfigError("too many paths", expected=f"at most {_MOST_PATHS:,}", received=f"{paths:,}")
    a = [x]
    for W in weights:
        a.append(torch.tanh(W @ a[-1]))
    slopes = [1 - v * v for v in a]
    error = a[-1] - y
    gradients = [torch.zeros_like(W) for W in weights]
    for i, gradient in enumerate(gradients, 1):
        for path in product(*(range(m) for m in sizes[i:])):
            term = slopes[i][path[0]] * error[path[-1]]
            for layer, (before, unit) in enumerate(pairwise(path), i + 1):
                term = term * weights[layer - 1][unit, before] * slopes[layer][unit]
            gradient[path[0]] += term * a[i - 1]
    loss = float(error.square().sum() / 2)
    return Inspection(
        "Sum over paths",
        f"{paths} paths from a unit of the first layer to an output of {len(weights)} layers",
        {"gradients": gradients, "paths": paths, "loss": loss},
    )


@registered(
    kind=_KIND,
    name="backpropagation-through-time",
    aliases=("bptt",),
    formula="forward: z_t = u x_t + w h_{t−1}, h_t = φ(z_t), r_t = v h_t, y_t = φ(r_t), L = ½ Σ_t (y_t − "
    "d_t)². Backward, t = T … 1: ȳ_t = y_t − d_t; r̄_t = ȳ_t φ'(r_t); h̄_t = r̄_t v + z̄_{t+1} w; z̄_t = "
    "h̄_t φ'(z_t); ū = Σ z̄_t x_t, w̄ = Σ z̄_{t+1} h_t, v̄ = Σ r̄_t h_t; φ = tanh",
    shapes="x (T,), targets d (T,), three numbers → three gradients, and h̄_t by time",
    when="to see where gradients vanish or explode: every step back multiplies by w φ'(z_t)",
    pitfalls="T steps must be kept; truncated-bptt keeps a chunk",
    source="Werbos, Backpropagation Through Time: What It Does and How to Do It, 1990",
    example="""
        >>> found = get('bptt', torch.ones(3), torch.zeros(3), kind='worked-example')
        >>> sorted(found['gradients'])
        ['u', 'v', 'w']
        """,
)
def backpropagation_through_time(
    x: Tensor, targets: Tensor, u: float = 0.5, w: float = 0.9, v: float = 1.0
) -> Inspection:
    """Back-propagation through time by hand, for a recurrent network of one unit."""
    if x.shape != targets.shape or x.ndim != 1:
        raise ModelError(
            "one target a step", expected="x (T,), targets (T,)", received=f"{x.shape}, {targets.shape}"
        )
    inputs, wanted = x.double().tolist(), targets.double().tolist()
    h, y = [0.0], []
    for value in inputs:
        h.append(_tanh(u * value + w * h[-1]))
        y.append(_tanh(v * h[-1]))
    at_h = [0.0] * len(inputs)
    totals = {"u": 0.0, "v": 0.0, "w": 0.0}
    at_z = 0.0  # of the step that follows; nothing follows the last
    for t in reversed(range(len(inputs))):
        at_r = (y[t] - wanted[t]) * (1 - y[t] ** 2)
        at_h[t] = at_r * v + at_z * w
        totals["w"] += at_z * h[t + 1]
        at_z = at_h[t] * (1 - h[t + 1] ** 2)
        totals["u"] += at_z * inputs[t]
        totals["v"] += at_r * h[t + 1]
    loss = sum((a - b) ** 2 for a, b in zip(y, wanted, strict=True)) / 2
    shown = ", ".join(f"∂L/∂{name} = {value:.4g}" for name, value in totals.items())
    return Inspection(
        "Back-propagation through time", shown, {"gradients": totals, "at_h": at_h, "loss": loss}
    )


def _tanh(value: float) -> float:
    return float(torch.tanh(torch.tensor(value, dtype=torch.float64)))


@registered(
    kind=_KIND,
    name="input-scale",
    aliases=("multiply-gate-effect", "mul-gate"),
    formula="z = wᵀx: ∂L/∂w = ∂L/∂z · x, so that inputs × s give gradients × s for the same ∂L/∂z; XᵀX, and "
    "with it the largest stable rate 2/λ_max(XᵀX/N), changes by s²",
    shapes="X (N, D), residuals ∂L/∂z (N,) → the ratio of the gradients and of the stable rates",
    when="why inputs are standardised: unscaled inputs need rates smaller by the square of the scale",
    pitfalls="lowering the rate by s alone still diverges: by s² it must be",
    source="LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998",
    example="""
        >>> found = get('input-scale', torch.eye(2), torch.ones(2))
        >>> found['gradient_ratio'], round(found['rate_ratio'], 9)
        (1000.0, 1e-06)
        """,
)
def input_scale(X: Tensor, residuals: Tensor, scale: float = 1000.0) -> Inspection:
    """Scale of the inputs, as a linear model's gradient and stable learning rate see it."""
    X, residuals = X.double(), residuals.double()
    plain, scaled = X.T @ residuals, (scale * X).T @ residuals
    norm = torch.linalg.vector_norm
    rates = [2 * len(A) / float(torch.linalg.matrix_norm(A, 2)) ** 2 for A in (X, scale * X)]
    ratio, rate = float(norm(scaled) / norm(plain)), rates[1] / rates[0]
    return Inspection(
        "Scale of the inputs",
        f"inputs × {scale:g}: gradient × {ratio:g}, largest stable learning rate × {rate:.3g}",
        {
            "gradient_ratio": ratio,
            "rate_ratio": rate,
            "stable_rate": rates[0],
            "stable_rate_scaled": rates[1],
        },
    )


@registered(
    kind=_KIND,
    name="xor-network",
    aliases=("xor-net", "relu-xor"),
    formula="h₁ = relu(x₁ − x₂), h₂ = relu(x₂ − x₁), y = h₁ + h₂",
    shapes="(N, 2) of 0 and 1 → (N, 1)",
    when="two hidden units are enough for what no linear model can do",
    pitfalls="trained from a random start, two units often get stuck: take eight",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.1 (with other weights)",
    example="""
        >>> get('xor-net')(torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])).flatten().tolist()
        [0.0, 1.0, 1.0, 0.0]
        """,
)
def xor_network() -> nn.Module:
    """Network of two rectified units whose weights are set by hand to compute XOR."""
    hidden = nn.Linear(2, 2, bias=False, device="meta")  # without drawing weights that nobody wants
    output = nn.Linear(2, 1, bias=False, device="meta")
    hidden.weight = nn.Parameter(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
    output.weight = nn.Parameter(torch.ones(1, 2))
    return nn.Sequential(hidden, nn.ReLU(), output)


@registered(
    kind=_KIND,
    name="matrix-calculus",
    aliases=("matrix-identities", "wls-grad", "weighted-least-squares-gradient"),
    formula="(AB)ᵀ = BᵀAᵀ; (AB)⁻¹ = B⁻¹A⁻¹; (kA)⁻¹ = A⁻¹/k; ∇_w(½wᵀAw + bᵀw + γ) = ½(A + Aᵀ)w + b; "
    "∂(aᵀXb)/∂X = abᵀ; ∂(xᵀBx)/∂x = (B + Bᵀ)x; for symmetric W: ∂/∂s (x − As)ᵀW(x − As) = −2AᵀW(x − As), "
    "∂/∂x … = 2W(x − As)",
    shapes="size n → the error of every identity on random n × n matrices",
    when="to derive gradients of linear models, and to check one's own derivation the same way",
    pitfalls="the factor 2 needs a symmetric W; without it stands W + Wᵀ",
    source="Petersen and Pedersen, The Matrix Cookbook, 2012",
    example=">>> max(get('matrix-calculus')['errors'].values()) < 1e-9\nTrue",
)
def matrix_calculus(n: int = 4, seed: int = 0) -> Inspection:
    """Identities of matrix calculus, each held against automatic differentiation."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    A, B, X, S = draw(n, n) + 2 * torch.eye(n), draw(n, n) + 2 * torch.eye(n), draw(n, n), draw(n, n)
    a, b, w, s, x, W = draw(n), draw(n), draw(n), draw(n), draw(n), S + S.T
    inverse, slope = torch.linalg.inv, torch.func.grad
    pairs = {
        "(AB)ᵀ": ((A @ B).T, B.T @ A.T),
        "(AB)⁻¹": (inverse(A @ B), inverse(B) @ inverse(A)),
        "(kA)⁻¹": (inverse(3 * A), inverse(A) / 3),
        "∇(½wᵀAw + bᵀw + γ)": (slope(lambda w: w @ A @ w / 2 + b @ w + 1)(w), (A + A.T) @ w / 2 + b),
        "∂(aᵀXb)/∂X": (slope(lambda X: a @ X @ b)(X), torch.outer(a, b)),
        "∂(xᵀBx)/∂x": (slope(lambda x: x @ B @ x)(x), (B + B.T) @ x),
        "∂/∂s (x − As)ᵀW(x − As)": (
            slope(lambda s: (x - A @ s) @ W @ (x - A @ s))(s),
            -2 * A.T @ W @ (x - A @ s),
        ),
        "∂/∂x (x − As)ᵀW(x − As)": (
            slope(lambda x: (x - A @ s) @ W @ (x - A @ s))(x),
            2 * W @ (x - A @ s),
        ),
    }
    errors = {
        name: float((left - right).abs().max() / right.abs().max()) for name, (left, right) in pairs.items()
    }
    return Inspection(
        "Matrix calculus",
        f"{len(errors)} identities, the largest relative error {max(errors.values()):.1e}",
        {"errors": errors},
    )
