"""First derivatives: the gradient, Jacobians, their products with vectors, and the check of a gradient."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError, ModelError

__all__ = [
    "gradient",
    "gradient_check",
    "jacobian",
    "jacobian_vector_product",
    "limited",
    "vector_jacobian_product",
]

Map = Callable[[Tensor], Tensor]

_KIND = "derivative"
_GRIEWANK = "Griewank and Walther, Evaluating Derivatives, 2008"
_MOST_CHECKED = 10_000


def limited(owner: str, elements: int, most: int, hint: str) -> None:
    """Refuse what would become too large.

    Raises:
        ConfigError: ``elements`` exceeds ``most``.
    """
    if elements > most:
        raise ConfigError(
            f"{owner} would become too large",
            expected=f"at most {most:,} (max_elements)",
            received=f"{elements:,}",
            hint=hint,
        )


@contextmanager
def _forward_mode() -> Iterator[None]:
    """Let torch load its forward-mode formulas, which it compiles by means that it deprecates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@registered(
    kind=_KIND,
    name="gradient",
    aliases=("grad", "direct-gradient", "no-symbolic-graph", "no-sym"),
    formula="∇f(x) by one backward pass over the values at hand; with create_graph the pass is recorded, so "
    "that the gradient can be differentiated again",
    shapes="f: (…) → (), x (…) → (…)",
    when="everywhere; create_graph only for second derivatives and penalties on the gradient",
    pitfalls="create_graph keeps every intermediate of the backward pass: about twice the memory and more "
    "time",
    source=_GRIEWANK,
    differs="torch.autograd.grad of a function rather than of a recorded value",
    example=">>> get('gradient', lambda x: (x * x).sum(), torch.tensor([1.0, 2.0]))\ntensor([2., 4.])",
)
def gradient(f: Map, x: Tensor, create_graph: bool = False) -> Tensor:
    """Gradient of a scalar function, computed directly rather than as a graph of its own."""
    point = x if create_graph and x.requires_grad else x.detach().requires_grad_()
    with torch.enable_grad():
        value = f(point)
        _scalar("gradient", value)
        (slope,) = torch.autograd.grad(value, point, create_graph=create_graph)
    return slope


def _scalar(owner: str, value: Tensor) -> None:
    if value.numel() != 1:
        raise ModelError(
            f"{owner} needs a function with one number as its value",
            expected="a tensor with one element",
            received=f"shape {tuple(value.shape)}",
            hint='"jacobian" for a function with several values',
        )


@registered(
    kind=_KIND,
    name="jacobian",
    formula="J_ij = ∂f_i/∂x_j: row i belongs to output i (the Jacobian of y = f(x) is ∂y/∂x, n outputs × m "
    "inputs)",
    shapes="f: (m…) → (n…), x (m…) → (n…, m…)",
    when="few inputs or few outputs",
    pitfalls="n · m numbers: of a network it does not fit into memory; use the products with vectors",
    source=_GRIEWANK,
    differs="torch.func.jacrev or jacfwd, whichever needs fewer passes, with a limit on the size",
    example=">>> get('jacobian', lambda x: x * x, torch.tensor([1.0, 2.0]))\ntensor([[2., 0.],\n        "
    "[0., 4.]])",
)
def jacobian(f: Map, x: Tensor, max_elements: int = 10_000_000) -> Tensor:
    """Jacobian: all first derivatives of all outputs."""
    with torch.no_grad():
        outputs = f(x).numel()
    limited("the Jacobian", outputs * x.numel(), max_elements, '"vector-jacobian-product"')
    transform = torch.func.jacrev if outputs <= x.numel() else torch.func.jacfwd
    with _forward_mode():
        J: Tensor = transform(f)(x.detach())
    return J


@registered(
    kind=_KIND,
    name="vector-jacobian-product",
    aliases=("vjp", "chain-rule", "pullback"),
    formula="Jᵀv with J = ∂f/∂x (n × m): the chain rule ∇ₓz = (∂y/∂x)ᵀ ∇_y z for v = ∇_y z; of numbers, "
    "dz/dx = dz/dy · dy/dx",
    shapes="f: (m…) → (n…), x (m…), v (n…) → (m…)",
    when="reverse mode: one pass for all inputs, whatever their number",
    pitfalls="one pass for each output that is wanted",
    source=_GRIEWANK,
    differs="torch.func.vjp with the vector given",
    example="""
        >>> x, v = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 10.0])
        >>> get('vjp', lambda x: x * x, x, v)
        tensor([ 2., 40.])
        """,
)
def vector_jacobian_product(f: Map, x: Tensor, v: Tensor) -> Tensor:
    """Vector–Jacobian product: the chain rule, from outputs to inputs."""
    value, pull = torch.func.vjp(f, x.detach())[:2]
    if value.shape != v.shape:
        raise ModelError(
            "the vector does not fit the outputs",
            expected=f"v {tuple(value.shape)}",
            received=f"v {tuple(v.shape)}",
        )
    (pulled,) = pull(v.to(value))
    result: Tensor = pulled.detach()
    return result


@registered(
    kind=_KIND,
    name="jacobian-vector-product",
    aliases=("jvp", "directional-derivative", "pushforward"),
    formula="J v = d/dε f(x + ε v) at ε = 0",
    shapes="f: (m…) → (n…), x (m…), v (m…) → (n…)",
    when="forward mode: how all outputs change along one direction, in one pass",
    pitfalls="one pass for each input that is wanted",
    source=_GRIEWANK,
    differs="torch.func.jvp without the value",
    example="""
        >>> x, v = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 10.0])
        >>> get('jvp', lambda x: x * x, x, v)
        tensor([ 2., 40.])
        """,
)
def jacobian_vector_product(f: Map, x: Tensor, v: Tensor) -> Tensor:
    """Jacobian–vector product: the change of all outputs along one direction."""
    if x.shape != v.shape:
        raise ModelError(
            "the vector does not fit x", expected=f"v {tuple(x.shape)}", received=f"v {tuple(v.shape)}"
        )
    with _forward_mode():
        pushed = torch.func.jvp(f, (x.detach(),), (v.to(x),))[1]
    result: Tensor = pushed.detach()
    return result


@registered(
    kind=_KIND,
    name="gradient-check",
    aliases=("gradcheck", "finite-differences", "numeric-gradient"),
    formula="g_j ≈ (f(x + h e_j) − f(x − h e_j)) / 2h, in float64; relative error ‖g − ĝ‖ / max(‖g‖, ‖ĝ‖)",
    shapes="f: (m…) → (); or a module and its input: every parameter is checked",
    when="after writing a backward pass or an autograd.Function of one's own",
    pitfalls="at a kink (ReLU at 0, max at a tie) both are right and differ; dropout must be off; use "
    "float64, in float32 rounding hides what is wrong",
    source="Bengio, Practical Recommendations for Gradient-Based Training of Deep Architectures, 2012, "
    "section 4.1",
    differs="torch.autograd.gradcheck raises; this says how wrong, and in which tensor",
    example="""
        >>> x = torch.tensor([1.0, 2.0])
        >>> get('gradcheck', lambda x: (x**3).sum(), x)['passed']
        True
        """,
)
def gradient_check(
    f: Callable[..., Tensor], x: Tensor, h: float = 1e-6, tolerance: float = 1e-6
) -> Inspection:
    """Gradient check: backward passes against central finite differences."""
    check_number("gradient-check", "h", h, 1e-12, 1.0)
    check_number("gradient-check", "tolerance", tolerance, 0.0)
    tensors, value = _checked(f, x)
    errors: dict[str, float] = {}
    with torch.enable_grad():
        slopes = torch.autograd.grad(value(), list(tensors.values()), allow_unused=True)
    for (name, tensor), slope in zip(tensors.items(), slopes, strict=True):
        given = torch.zeros_like(tensor) if slope is None else slope
        errors[name] = _error(given, _numeric(value, tensor, h))
    worst = max(errors, key=errors.__getitem__)
    passed = errors[worst] <= tolerance
    return Inspection(
        "Gradient check",
        f"relative error {errors[worst]:.1e} in {worst}, {'within' if passed else 'beyond'} {tolerance:g}",
        {"passed": passed, "relative_error": errors[worst], "errors": errors, "worst": worst},
        (
            Picture(
                "bars", {"relative error": [max(e, 1e-17) for e in errors.values()]}, list(errors), log="y"
            ),
        ),
    )


def _checked(f: Callable[..., Tensor], x: Tensor) -> tuple[dict[str, Tensor], Callable[[], Tensor]]:
    """Return the tensors to check, in float64, and the function of none that reads them."""
    if not isinstance(f, torch.nn.Module):
        point = x.detach().double().clone().requires_grad_()
        size, function = point.numel(), f
        tensors = {"x": point}
    else:
        import copy

        model = copy.deepcopy(f).double().eval()
        point = x.detach().double().clone() if x.is_floating_point() else x
        tensors = {n: p for n, p in model.named_parameters() if p.requires_grad}
        if point.is_floating_point():
            tensors["input"] = point.requires_grad_()
        size, function = sum(t.numel() for t in tensors.values()), model
    limited("the gradient check", size, _MOST_CHECKED, "a smaller layer of the same kind")

    def value() -> Tensor:
        result = function(point)
        # Weighted, so that an error cannot cancel between outputs as it could in a plain sum.
        weights = torch.linspace(0.5, 1.5, result.numel(), dtype=result.dtype).reshape(result.shape)
        return (result * weights.to(result.device)).sum()

    return tensors, value


@torch.no_grad()
def _numeric(value: Callable[[], Tensor], tensor: Tensor, h: float) -> Tensor:
    numeric = torch.zeros_like(tensor)
    for index in product(*map(range, tensor.shape)):
        old = float(tensor[index])
        step = h * max(1.0, abs(old))
        tensor[index] = old + step
        up = float(value())
        tensor[index] = old - step
        numeric[index] = (up - float(value())) / (2 * step)
        tensor[index] = old
    return numeric


def _error(given: Tensor, numeric: Tensor) -> float:
    norm = torch.linalg.vector_norm
    size = max(float(norm(given)), float(norm(numeric)))
    return float(norm(given - numeric)) / size if size > 1e-12 else size
