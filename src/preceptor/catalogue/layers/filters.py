"""Fixed filters for images: what a learned kernel may come to look like."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered

__all__ = ["Filter", "blur", "edge", "sharpen"]

_SHAPES = "(N, C, H, W) → (N, C, H, W); the border repeats its last pixel"
_SOURCE = "Gonzalez and Woods, Digital Image Processing, 1992"
_TRIAL = {"arguments": (), "takes": (2, 3, 6, 6), "gives": (2, 3, 6, 6)}


class Filter(nn.Module):
    """One fixed kernel, applied to every channel.

    Example:
        >>> Filter(torch.ones(1, 1))(torch.ones(1, 1, 2, 2)).sum()
        tensor(4.)
    """

    kernel: Tensor

    def __init__(self, kernel: Tensor) -> None:
        super().__init__()
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Correlate every channel with the kernel."""
        rows, columns = self.kernel.shape
        padded = functional.pad(x, (columns // 2, columns // 2, rows // 2, rows // 2), mode="replicate")
        weight = self.kernel.to(x.dtype).expand(x.shape[1], 1, rows, columns)
        return functional.conv2d(padded, weight, groups=x.shape[1])


@registered(
    kind="layer",
    name="sharpen-filter",
    aliases=("sharpen", "sharpening-kernel"),
    formula="[[0, −a, 0], [−a, 1 + 4 a, −a], [0, −a, 0]], a = amount; the sum is 1",
    shapes=_SHAPES,
    when="to show what a kernel does; to undo a slight blur",
    pitfalls="sharpens noise as well",
    source=_SOURCE,
    example=">>> get('sharpen-filter').kernel.sum().item()\n1.0",
    traits=_TRIAL,
)
def sharpen(amount: float = 1.0) -> nn.Module:
    """Sharpening: a pixel stands out more from its neighbours."""
    a = check_number("sharpen-filter", "amount", amount, 0.0)
    return Filter(torch.tensor([[0.0, -a, 0.0], [-a, 1 + 4 * a, -a], [0.0, -a, 0.0]]))


@registered(
    kind="layer",
    name="blur-filter",
    aliases=("blur", "box-blur", "gaussian-blur", "blur-kernel"),
    formula="shape='gaussian': binomial weights b bᵀ / (Σ b)², b = (kernel − 1 choose k); shape='box': "
    "1 / kernel² each; the sum is 1",
    shapes=_SHAPES,
    when="to show what a kernel does; before taking every second pixel",
    pitfalls="fine detail is lost",
    source=_SOURCE,
    example=">>> get('blur-filter', shape='box').kernel[0]\ntensor([0.1111, 0.1111, 0.1111])",
    traits=_TRIAL,
)
def blur(kernel: int = 3, shape: str = "gaussian") -> nn.Module:
    """Blurring: a pixel becomes a mean of its neighbourhood."""
    size = check_count("blur-filter", "kernel", kernel)
    row = torch.ones(size)
    if check_choice("blur-filter", "shape", shape, ("gaussian", "box")) == "gaussian":
        for k in range(1, size):
            row[k] = row[k - 1] * (size - k) / k
    weights = torch.outer(row, row)
    return Filter(weights / weights.sum())


@registered(
    kind="layer",
    name="edge-filter",
    aliases=("horizontal-edge", "vertical-edge", "edge-kernel", "sobel", "prewitt"),
    formula="direction='horizontal': (1, c, 1) in the upper row, 0, (−1, −c, −1) in the lower one, c = 2 for "
    "shape='sobel' and 1 for 'prewitt'; 'vertical': the transpose; the sum is 0",
    shapes=_SHAPES,
    when="to show what a kernel does: it answers only where rows (or columns) differ",
    pitfalls="'horizontal' finds edges that run horizontally, by a difference taken vertically",
    source="Sobel and Feldman, 1968; Prewitt, 1970",
    example=">>> get('edge-filter').kernel\n"
    "tensor([[ 1.,  2.,  1.],\n        [ 0.,  0.,  0.],\n        [-1., -2., -1.]])",
    traits=_TRIAL,
)
def edge(direction: str = "horizontal", shape: str = "sobel") -> nn.Module:
    """Edge detection: the difference between what lies above and below (or left and right)."""
    centre = 2.0 if check_choice("edge-filter", "shape", shape, ("sobel", "prewitt")) == "sobel" else 1.0
    weights = torch.outer(torch.tensor([1.0, 0.0, -1.0]), torch.tensor([1.0, centre, 1.0]))
    choice = check_choice("edge-filter", "direction", direction, ("horizontal", "vertical"))
    return Filter(weights if choice == "horizontal" else weights.T.contiguous())
