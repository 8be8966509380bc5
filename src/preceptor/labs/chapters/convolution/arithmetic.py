"""What a convolution is: a linear map with shared weights, without a flip, and what it is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Setup, exact, lab, told

_EXACT = 1e-12


@lab(
    "convolution",
    {
        "linear-convolution": Claim(
            "A convolution is a linear map: a product with a matrix whose every row holds the same few "
            "weights, each a step further on.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 9.1",
        ),
        "unflipped-kernel": Claim(
            "What libraries call convolution does not flip the kernel: it is a cross-correlation.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 9.1",
            instead_of="a layer computes the convolution of its input with its kernel",
        ),
        "unpooled-convolution": Claim(
            "A transposed convolution is zeros put between the pixels, and then a convolution with the "
            "flipped kernel.",
            source="Dumoulin and Visin, A Guide to Convolution Arithmetic for Deep Learning, 2016",
        ),
        "pointwise-mixing": Claim(
            "A 1×1 convolution mixes channels linearly: two in a row are one; only the activation between "
            "them makes more of it.",
            source="Lin, Chen and Yan, Network in Network, 2014",
            instead_of="a 1×1 convolution adds a non-linearity, or scales its input",
        ),
    },
    data="random images and kernels in float64",
    rule="equal to an independent computation within 1e-12, and farther off than 0.1 where it is to differ",
    quick=True,
)
def convolution_arithmetic(setup: Setup) -> Evidence:
    """Compare convolutions with matrices, with SciPy, and with each other."""
    torch.set_default_dtype(torch.float64)
    with torch.no_grad():
        checks = {
            "linear-convolution": _linear(),
            "unflipped-kernel": _flips(),
            "unpooled-convolution": _transposed(),
            "pointwise-mixing": _pointwise(),
        }
    return Evidence(checks)


def _far(what: str, difference: float) -> Check:
    return Check(f"{what}: they differ by {difference:.3g}, above 0.1", difference > 0.1)


def _distance(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a) - np.asarray(b)).max())


def _toeplitz(kernel: Tensor, side: int) -> Tensor:
    """Return the matrix of a convolution without padding over images of side × side."""
    size = kernel.shape[0]
    out = side - size + 1
    matrix = torch.zeros(out * out, side * side)
    for i in range(out):
        for j in range(out):
            for m in range(size):
                matrix[i * out + j, (i + m) * side + j : (i + m) * side + j + size] = kernel[m]
    return matrix


def _linear() -> list[Check]:
    layer = get("convolution", 1, 1, kernel=3, bias=False)
    matrix, x, y = _toeplitz(layer.weight[0, 0], 8), torch.randn(1, 1, 8, 8), torch.randn(1, 1, 8, 8)
    sums = layer(2 * x - 3 * y) - (2 * layer(x) - 3 * layer(y))
    return [
        exact("f(2x − 3y) against 2f(x) − 3f(y)", float(sums.abs().max()), _EXACT),
        exact("the matrix times the image", _distance(matrix @ x.flatten(), layer(x).flatten()), _EXACT),
        told(
            "entries of the matrix, of which are not zero", f"{matrix.numel():,}, {matrix.count_nonzero():,}"
        ),
        told("different weights among them", len(matrix.unique()) - 1),
    ]


def _flips() -> list[Check]:
    from scipy.signal import convolve2d, correlate2d

    layer, flipping = (
        get("convolution", 1, 1, kernel=3, bias=False),
        get("true-convolution", 1, 1, bias=False),
    )
    flipping.weight.copy_(layer.weight)
    x = torch.randn(1, 1, 9, 9)
    image, kernel = x[0, 0].numpy(), layer.weight[0, 0].numpy()
    plain, flipped = layer(x)[0, 0], flipping(x)[0, 0]
    return [
        exact("against scipy's correlate2d", _distance(plain, correlate2d(image, kernel, "valid")), _EXACT),
        _far("against scipy's convolve2d", _distance(plain, convolve2d(image, kernel, "valid"))),
        exact("flipped, against convolve2d", _distance(flipped, convolve2d(image, kernel, "valid")), _EXACT),
    ]


def _transposed() -> list[Check]:
    checks = []
    for kernel, stride in ((2, 2), (3, 2), (4, 3)):
        layer = get("transposed-convolution", 3, 4, kernel=kernel, stride=stride, bias=False)
        x = torch.randn(2, 3, 5, 5)
        apart = get("zero-insertion", factor=stride)(x)[..., : 4 * stride + 1, : 4 * stride + 1]
        flipped = layer.weight.transpose(0, 1).flip(-2, -1)
        again = torch.nn.functional.conv2d(apart, flipped, padding=kernel - 1)
        checks.append(exact(f"kernel {kernel}, stride {stride}", _distance(layer(x), again), _EXACT))
    return checks


def _pointwise() -> list[Check]:
    first, second = get("conv1x1", 6, 8, bias=False), get("conv1x1", 8, 5, bias=False)
    x = torch.randn(2, 6, 4, 4)
    one = get("conv1x1", 6, 5, bias=False)
    one.weight.copy_(
        torch.einsum("oi,ic->oc", second.weight[..., 0, 0], first.weight[..., 0, 0])[..., None, None]
    )
    mixed = torch.einsum("oc,nchw->nohw", one.weight[..., 0, 0], x)
    return [
        exact("one 1×1 convolution against a matrix over the channels", _distance(one(x), mixed), _EXACT),
        exact("two in a row against one", _distance(second(first(x)), one(x)), _EXACT),
        _far("with an activation between them", _distance(second(first(x).relu()), one(x))),
    ]
