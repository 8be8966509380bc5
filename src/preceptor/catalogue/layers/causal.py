"""Convolutions that see only what came before."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_choice, check_count
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError

__all__ = ["CausalConvolution", "MaskedConvolution"]


@registered(
    kind="layer",
    name="causal-convolution",
    aliases=("causal", "causal-conv1d"),
    formula="y[t] = b + Σ_m w[m] · x[t − dilation · m − delay], m = 0 … kernel − 1, with zeros before the "
    "start; delay=1 leaves out the present: ∂y[t] / ∂x[s] = 0 for s ≥ t",
    shapes="(N, in_channels, T) → (N, out_channels, T)",
    when="autoregressive models of sequences: all steps are trained at once",
    pitfalls="one layer with the present among its inputs and the present as its target predicts what it "
    "sees: "
    "the first layer needs delay=1, or targets one step ahead",
    source="Van den Oord et al., WaveNet: A Generative Model for Raw Audio, 2016",
    differs="nn.Conv1d pads both sides; here all padding is on the left",
    example=">>> get('causal-convolution', 1, 2)(torch.zeros(1, 1, 9)).shape\ntorch.Size([1, 2, 9])",
    traits={"arguments": (2, 3), "takes": (2, 2, 7), "gives": (2, 3, 7)},
)
class CausalConvolution(nn.Conv1d):
    """Causal convolution over time: each output depends on the present and the past alone."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 2,
        dilation: int = 1,
        delay: int = 0,
        bias: bool = True,
    ) -> None:
        for option, value in (("kernel", kernel), ("dilation", dilation)):
            check_count("causal-convolution", option, value)
        super().__init__(in_channels, out_channels, kernel, dilation=dilation, bias=bias)
        self.delay = check_count("causal-convolution", "delay", delay, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Pad on the left and convolve."""
        return self._behind(functional.pad(x, (self.reach, 0)))

    @property
    def reach(self) -> int:
        """How many steps before the present are seen."""
        return self.dilation[0] * (self.kernel_size[0] - 1) + self.delay

    def carry(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Go on behind a past of `reach` steps (None: zeros); return outputs, and the past that follows."""
        seen = functional.pad(x, (self.reach, 0)) if past is None else torch.cat([past, x], -1)
        return self._behind(seen), seen[..., seen.shape[-1] - self.reach :]

    def _behind(self, seen: Tensor) -> Tensor:
        return super().forward(seen[..., : seen.shape[-1] - self.delay])


@registered(
    kind="layer",
    name="masked-convolution",
    aliases=("pixelcnn-convolution", "causal-convolution-2d"),
    formula="same convolution with w · mask; the mask is 1 for the rows above the centre and, within its "
    "row, "
    "for the pixels to the left, and for the centre itself only with mask='b'",
    shapes="(N, in_channels, H, W) → (N, out_channels, H, W)",
    when="autoregressive models of images, pixel by pixel: mask='a' in the first layer, 'b' in the others",
    pitfalls="the mask multiplies the weights in every pass, so that no update can open it; stacked layers "
    "do "
    "not see a wedge to the upper right (the blind spot)",
    source="Van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks, 2016",
    example=">>> get('masked-convolution', 1, 1, kernel=3).mask.int().tolist()\n[[1, 1, 1], [1, 0, 0], [0, "
    "0, 0]]",
    traits={"arguments": (2, 3), "takes": (2, 2, 7, 7), "gives": (2, 3, 7, 7)},
)
class MaskedConvolution(nn.Conv2d):
    """Masked convolution: each pixel depends on those above it and to its left."""

    mask: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 3, mask: str = "a", bias: bool = True
    ) -> None:
        owner = "masked-convolution"
        check_choice(owner, "mask", mask, ("a", "b"))
        if check_count(owner, "kernel", kernel) % 2 == 0:
            raise ConfigError(
                f"{owner}: an even kernel has no centre",
                expected="an odd kernel",
                received=f"kernel={kernel}",
            )
        super().__init__(in_channels, out_channels, kernel, padding=kernel // 2, bias=bias)
        allowed = torch.zeros(kernel, kernel)
        allowed[: kernel // 2] = 1
        allowed[kernel // 2, : kernel // 2 + (mask == "b")] = 1
        self.register_buffer("mask", allowed, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with the weights that the mask leaves."""
        return functional.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)
