"""Second derivatives: the Hessian, its products with vectors, its spectrum, and what they say of a point."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._registry import registered
from preceptor.catalogue.derivatives.first import Map, gradient, limited
from preceptor.errors import ModelError

__all__ = [
    "critical_point",
    "hessian",
    "hessian_spectrum",
    "hessian_vector_product",
    "parameter_function",
    "taylor_model",
]

_KIND = "derivative"
_DAUPHIN = "Dauphin et al., Identifying and Attacking the Saddle Point Problem, 2014"
_NOCEDAL = "Nocedal and Wright, Numerical Optimization, 2006"


@registered(
    kind=_KIND,
    name="parameter-function",
    aliases=("functionalize", "flat-parameters"),
    formula="f(θ) = loss(model_θ(x)), θ all trainable parameters in one vector, in the model's order",
    shapes="model, loss: outputs → (), x (N, …) → (f, θ (P,))",
    when="to ask any tool here about a network: hessian, spectrum, taylor-model, gradient-check",
    pitfalls="the model is called with parameters of its own, its buffers are shared: put it into "
    "evaluation mode, or batch normalisation moves its statistics at each call",
    source="Pearlmutter, Fast Exact Multiplication by the Hessian, 1994",
    differs="torch.func.functional_call over one flat vector",
    example="""
        >>> net = torch.nn.Linear(2, 1, bias=False)
        >>> f, theta = get('parameter-function', net, lambda z: z.square().mean(), torch.eye(2))
        >>> get('hessian', f, theta)
        tensor([[1., 0.],
                [0., 1.]])
        """,
)
def parameter_function(model: nn.Module, loss: Map, x: Tensor) -> tuple[Map, Tensor]:
    """Loss of a model as a function of one vector that holds all its parameters."""
    held = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not held:
        raise ModelError(
            "the model has no parameters", expected="parameters with requires_grad", received="none"
        )
    sizes = [p.numel() for p in held.values()]

    def f(theta: Tensor) -> Tensor:
        parts = torch.split(theta, sizes)
        given = {name: part.view_as(p) for (name, p), part in zip(held.items(), parts, strict=True)}
        return loss(torch.func.functional_call(model, given, (x,)))

    return f, torch.cat([p.detach().reshape(-1) for p in held.values()])


@registered(
    kind=_KIND,
    name="hessian",
    aliases=("second-derivatives", "curvature-matrix"),
    formula="H_ij = ∂²f/∂x_i∂x_j, symmetric",
    shapes="f: (n…) → (), x (n…) → (n…, n…)",
    when="up to some thousand unknowns: Newton's method, the kind of a critical point",
    pitfalls="n² numbers: beyond max_size it is refused, and hessian-vector-product or hessian-spectrum "
    "serve; of piecewise linear networks much of it is zero",
    source=_NOCEDAL,
    differs="torch.func.hessian with a limit on the size",
    example=">>> get('hessian', lambda x: x[0] ** 2 - x[1] ** 2, torch.zeros(2))\ntensor([[ 2.,  0.],\n     "
    "   [ 0., -2.]])",
)
def hessian(f: Map, x: Tensor, max_size: int = 2_000) -> Tensor:
    """Hessian: all second derivatives of a scalar function."""
    check_count("hessian", "max_size", max_size)
    limited("the Hessian", x.numel(), max_size, '"hessian-spectrum" or "hessian-vector-product"')

    def value(y: Tensor) -> Tensor:
        return f(y).reshape(())

    H: Tensor = torch.func.jacrev(torch.func.grad(value))(x.detach())
    return H.detach()


@registered(
    kind=_KIND,
    name="hessian-vector-product",
    aliases=("hvp", "pearlmutter"),
    formula="H v = ∇(∇f(x)ᵀ v): two passes, and H is never formed",
    shapes="f: (n…) → (), x (n…), v (n…) → (n…)",
    when="networks: conjugate gradients on H, power and Lanczos iterations",
    pitfalls="exact up to rounding, but of the loss on this batch",
    source="Pearlmutter, Fast Exact Multiplication by the Hessian, 1994",
    differs="torch.autograd.functional.hvp, without the value of f",
    example="""
        >>> get('hvp', lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))
        tensor([ 6., 12.])
        """,
)
def hessian_vector_product(f: Map, x: Tensor, v: Tensor) -> Tensor:
    """Hessian–vector product: the change of the gradient along one direction."""
    if x.shape != v.shape:
        raise ModelError(
            "the vector does not fit x", expected=f"v {tuple(x.shape)}", received=f"v {tuple(v.shape)}"
        )
    point = x.detach().requires_grad_()
    with torch.enable_grad():
        slope = gradient(f, point, create_graph=True)
        if not slope.requires_grad:  # f is linear
            return torch.zeros_like(x)
        (product,) = torch.autograd.grad(slope, point, v.to(slope), allow_unused=True)
    return torch.zeros_like(x) if product is None else product.detach()


@registered(
    kind=_KIND,
    name="hessian-spectrum",
    aliases=("hessian-eigenvalues", "spectrum", "lanczos"),
    formula="eigenvalues λ of H; up to max_exact unknowns all of them, beyond the outermost by Lanczos "
    "iterations on H v; condition number max|λ| / min|λ| where all are known",
    shapes="f: (n…) → (), x (n…)",
    when="how large a learning rate may be (2/λ_max), how badly scaled a problem is, whether a point is a "
    "saddle",
    pitfalls="Lanczos finds the ends of the spectrum well and its inside badly: min|λ| is not known then",
    source="Lanczos, 1950; Ghorbani, Krishnan and Xiao, An Investigation into Neural Net Optimization via "
    "Hessian Eigenvalue Density, 2019",
    example="""
        >>> seen = get('spectrum', lambda x: x[0] ** 2 - 5 * x[1] ** 2, torch.zeros(2))
        >>> seen['eigenvalues'].tolist(), seen['condition_number']
        ([-10.0, 2.0], 5.0)
        """,
)
def hessian_spectrum(
    f: Map, x: Tensor, max_exact: int = 2_000, iterations: int = 50, seed: int = 0
) -> Inspection:
    """Spectrum of the Hessian: its eigenvalues, or their ends where it is large."""
    check_count("hessian-spectrum", "max_exact", max_exact, 0)
    check_count("hessian-spectrum", "iterations", iterations, 2)
    check_count("hessian-spectrum", "seed", seed, 0)
    n, condition = x.numel(), None
    if n <= max_exact:
        H = hessian(f, x, max(1, max_exact)).reshape(n, n)
        values = torch.linalg.eigvalsh((H + H.T) / 2)
        smallest = float(values.abs().min())
        condition = float(values.abs().max()) / smallest if smallest > 0 else float("inf")
    else:
        values = _lanczos(f, x, min(iterations, n), seed)
    low, high = float(values[0]), float(values[-1])
    share = f"{int((values < 0).sum())} of {n} negative" if condition is not None else "by Lanczos"
    return Inspection(
        "Spectrum of the Hessian",
        f"eigenvalues from {low:.4g} to {high:.4g}, {share}",
        {
            "eigenvalues": values,
            "min": low,
            "max": high,
            "exact": n <= max_exact,
            "condition_number": condition,
        },
        (Picture("lines", {"eigenvalue": values}, x_label="rank", y_label="eigenvalue"),),
    )


def _lanczos(f: Map, x: Tensor, steps: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(x.numel(), generator=generator, dtype=torch.float64).to(x)
    basis = [q / torch.linalg.vector_norm(q)]
    alphas: list[Tensor] = []
    betas: list[Tensor] = []
    for _ in range(steps):
        w = hessian_vector_product(f, x, basis[-1].view_as(x)).reshape(-1)
        alphas.append(basis[-1] @ w)
        # Against all directions so far, twice: else found eigenvalues come back as ghosts.
        for _ in range(2):
            Q = torch.stack(basis)
            w = w - Q.T @ (Q @ w)
        size = torch.linalg.vector_norm(w)
        if float(size) <= 1e-6 * max(float(a.abs()) for a in alphas) or len(alphas) == steps:
            break
        betas.append(size)
        basis.append(w / size)
    off = torch.stack(betas) if betas else x.new_zeros(0)
    T = torch.stack(alphas).diag() + off.diag(1) + off.diag(-1)
    values: Tensor = torch.linalg.eigvalsh(T)
    return values


@registered(
    kind=_KIND,
    name="taylor-model",
    aliases=("taylor", "second-order-taylor", "quadratic-model"),
    formula="m(δ) = f(x) + δᵀ∇f(x) + ½ δᵀH δ; f(x + δ) − m(δ) = O(‖δ‖³)",
    shapes="f: (n…) → (), x (n…) → a function δ (n…) → ()",
    when="how far the step of a second-order method may be trusted",
    pitfalls="near x alone; where f has kinks the error falls with ‖δ‖ only",
    source=_NOCEDAL,
    example="""
        >>> model = get('taylor-model', lambda x: x.exp().sum(), torch.zeros(1))
        >>> round(model(torch.tensor([0.1])).item(), 4)
        1.105
        """,
)
def taylor_model(f: Map, x: Tensor) -> Callable[[Tensor], Tensor]:
    """Taylor model of second order: value, gradient and curvature at a point."""
    at = x.detach()
    with torch.no_grad():
        value = f(at).reshape(())
    slope = gradient(f, at)

    def model(delta: Tensor) -> Tensor:
        curved = hessian_vector_product(f, at, delta)
        return value + (slope * delta).sum() + (delta * curved).sum() / 2

    return model


@registered(
    kind=_KIND,
    name="critical-point",
    aliases=("crit", "critical-point-classifier", "saddle-test"),
    formula="‖∇f‖ ≤ tolerance · max(1, |f|), and the signs of H's eigenvalues: all > 0 minimum, all < 0 "
    "maximum, both saddle; some zero plateau, where higher orders decide",
    shapes="f: (n…) → (), x (n…)",
    when="a training that stands still: at a minimum, a saddle or on a plateau?",
    pitfalls="eigenvalues below flat · max|λ| count as zero; a network has many by symmetry",
    source=_DAUPHIN,
    example=">>> get('critical-point', lambda x: x[0] ** 2 - x[1] ** 2, torch.zeros(2))['kind']\n'saddle'",
)
def critical_point(f: Map, x: Tensor, tolerance: float = 1e-4, flat: float = 1e-6) -> Inspection:
    """Critical-point classifier: minimum, maximum, saddle or plateau."""
    check_number("critical-point", "tolerance", tolerance, 0.0)
    check_number("critical-point", "flat", flat, 0.0, 1.0)
    slope = float(torch.linalg.vector_norm(gradient(f, x)))
    with torch.no_grad():
        value = float(f(x))
    seen = hessian_spectrum(f, x)
    values: Tensor = seen["eigenvalues"]
    limit = flat * max(float(values.abs().max()), 1e-12)
    up, down = int((values > limit).sum()), int((values < -limit).sum())
    kind = _kind_of(up, down, len(values))
    if slope > tolerance * max(1.0, abs(value)):
        kind = "no critical point"
    elif not seen["exact"] and kind != "saddle":
        kind = "undecided"  # curvature of the other sign may hide inside the spectrum
    return Inspection(
        "Critical point",
        f"{kind}: gradient {slope:.2g}, {up} eigenvalues above and {down} below zero of {len(values)}",
        {"kind": kind, "gradient_norm": slope, "eigenvalues": values, "positive": up, "negative": down},
        seen.pictures,
    )


def _kind_of(up: int, down: int, n: int) -> str:
    if up and down:
        return "saddle"
    if n == up:
        return "minimum"
    return "maximum" if n == down else "plateau"
