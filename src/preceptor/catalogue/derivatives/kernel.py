"""The neural tangent kernel: how the outputs of a network move together under gradient descent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._registry import registered
from preceptor.catalogue.derivatives.curvature import parameter_function
from preceptor.catalogue.derivatives.first import limited
from preceptor.errors import ModelError

__all__ = ["linearized_change", "neural_tangent_kernel"]

_KIND = "derivative"
_JACOT = "Jacot, Gabriel and Hongler, Neural Tangent Kernel, 2018"


def _jacobian(model: nn.Module, x: Tensor, max_elements: int) -> Tensor:
    """Return J = ∂Z/∂θ, (N·K, P)."""
    f, theta = parameter_function(model, lambda z: z, x)
    with torch.no_grad():
        rows = f(theta).numel()
    limited("the Jacobian of the network", rows * len(theta), max_elements, "fewer examples")
    J: Tensor = torch.func.jacrev(lambda t: f(t).reshape(-1))(theta)
    return J.detach()


@registered(
    kind=_KIND,
    name="neural-tangent-kernel",
    aliases=("ntk", "tangent-kernel"),
    formula="K = J Jᵀ, J = ∂Z/∂θ, Z all outputs of all examples; a step of gradient descent of rate α "
    "changes them by ΔZ = −(α/N) J Jᵀ ∇_Z L + O(α²)",
    shapes="model, x (N, …) → K (N·K, N·K), symmetric and positive semi-definite",
    when="which examples are learned together, and how fast: along eigenvectors at a rate ∝ their "
    "eigenvalues",
    pitfalls="J has N · K · P numbers: some hundred examples; K moves during training, the less the wider "
    "the net",
    source=_JACOT,
    differs="torch has none; torch.func.jacrev over all parameters",
    example="""
        >>> net = torch.nn.Linear(2, 1, bias=False)
        >>> get('ntk', net, torch.tensor([[1.0, 0.0], [1.0, 1.0]]))['kernel']
        tensor([[1., 1.],
                [1., 2.]])
        """,
)
def neural_tangent_kernel(model: nn.Module, x: Tensor, max_elements: int = 100_000_000) -> Inspection:
    """Neural tangent kernel of a network on some examples."""
    J = _jacobian(model, x, max_elements)
    K = J @ J.T
    values = torch.linalg.eigvalsh(K)
    return Inspection(
        "Neural tangent kernel",
        f"{len(K)} outputs, eigenvalues from {float(values[0]):.3g} to {float(values[-1]):.3g}",
        {"kernel": K, "eigenvalues": values},
        (
            Picture("image", {"K": K}, title="kernel"),
            Picture("lines", {"eigenvalue": values.flip(0).clamp_min(1e-12)}, x_label="rank", log="y"),
        ),
    )


@registered(
    kind=_KIND,
    name="linearized-change",
    aliases=("ntk-prediction", "first-order-prediction"),
    formula="ΔZ = −(lr/N) J Jᵀ g, g = ∂L/∂Z summed over the examples, as for a mean loss over N",
    shapes="model, x (N, …), g (N, K) → (N, K)",
    when="how far a step of gradient descent does what its gradient promises: compare with what the outputs "
    "did",
    pitfalls="right to first order in lr alone; momentum and Adam move otherwise",
    source=_JACOT,
    example="""
        >>> net = torch.nn.Linear(1, 1, bias=False)
        >>> get('linearized-change', net, torch.tensor([[2.0]]), torch.tensor([[1.0]]), lr=0.1)
        tensor([[-0.4000]])
        """,
)
def linearized_change(model: nn.Module, x: Tensor, g: Tensor, lr: float = 0.01) -> Tensor:
    """Change of the outputs that one step of gradient descent makes, to first order."""
    J = _jacobian(model, x, 100_000_000)
    if g.numel() != len(J) or len(g) != len(x):
        raise ModelError(
            "the gradient does not fit the outputs",
            expected=f"{len(J)} numbers for {len(x)} examples",
            received=f"g {tuple(g.shape)}",
        )
    return (-lr / len(x) * (J @ (J.T @ g.reshape(-1).to(J)))).reshape(g.shape)
