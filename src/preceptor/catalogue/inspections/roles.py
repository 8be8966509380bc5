"""The two roles in a convolutional network: convolutions extract features, pooling selects among them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = ["extraction_and_selection"]


@registered(
    kind="worked-example",
    name="extraction-and-selection",
    aliases=("convolution-and-pooling", "feature-extraction-and-selection"),
    formula="extraction: z = kernel ∗ x, how well each place matches it; selection: p = the largest z of "
    "each window × window, one number of window² kept, and its place forgotten",
    shapes="x (H, W), kernel (h, w) → z (H − h + 1, W − w + 1), p, and which places were selected",
    when="what a convolution and a pooling layer are for",
    pitfalls="selection follows extraction: pooled before, edges within a window are gone; the gradient of p "
    "reaches the selected places alone",
    source="LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998; Scherer, Müller and "
    "Behnke, Evaluation of Pooling Operations in Convolutional Architectures, 2010",
    example="""
        >>> x = torch.zeros(6, 6)
        >>> x[:, 3:] = 1.0
        >>> seen = get('extraction-and-selection', x, torch.tensor([[-1.0, 1.0]]))
        >>> seen['maps'][0].tolist(), seen['selected'][0].tolist()
        ([0.0, 0.0, 1.0, 0.0, 0.0], [0.0, 1.0])
        """,
)
def extraction_and_selection(x: Tensor, kernel: Tensor, window: int = 2) -> Inspection:
    """Feature extraction by a convolution, feature selection by max pooling, on one image and one kernel."""
    check_count("extraction-and-selection", "window", window)
    if x.ndim != 2 or kernel.ndim != 2 or any(k > n for k, n in zip(kernel.shape, x.shape, strict=True)):
        raise ModelError(
            "an image and a kernel that fits into it are needed",
            expected="x (H, W), kernel (h, w), h ≤ H and w ≤ W",
            received=f"{tuple(x.shape)}, {tuple(kernel.shape)}",
        )
    maps = functional.conv2d(x[None, None], kernel[None, None].to(x.dtype))
    if min(maps.shape[2:]) < window:
        raise ModelError(
            "the map is smaller than the window",
            expected=f"a window of at most {min(maps.shape[2:])}",
            received=f"window={window}",
        )
    pooled, places = functional.max_pool2d(maps, window, return_indices=True)
    chosen = torch.zeros_like(maps).flatten().index_fill_(0, places.flatten(), 1.0).reshape(maps.shape[2:])
    kept = f"{pooled.numel()} of {maps.numel()} numbers"
    pictures = tuple(
        Picture("tiles", {name: image[None]}, title=name)
        for name, image in (("image", x), ("extracted", maps[0, 0]), ("selected", pooled[0, 0]))
    )
    return Inspection(
        "Extraction and selection",
        f"the kernel matches best with {float(maps.max()):.3g}; pooling keeps {kept}",
        {"maps": maps[0, 0], "selected": pooled[0, 0], "places": chosen},
        pictures,
    )
