"""FractalNet: columns of different depth that meet again and again, trained by dropping paths."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init, check_images, initialize
from preceptor.catalogue.architectures._staged import check_stages
from preceptor.catalogue.architectures._widths import scaled
from preceptor.catalogue.layers.residual_blocks import Activation, make_unit

__all__ = ["FractalBlock", "FractalNet"]


class FractalBlock(nn.Module):
    """Fractal block: column c of ``columns`` has 2^c convolutions; columns that end together are joined.

    Attributes:
        columns: a list of convolutions, each with normalisation and activation, for each column.
        only: the column that the next pass is confined to; None: as ``drop_path`` has it.

    Example:
        >>> block = FractalBlock(3, 8, columns=3)
        >>> [len(column) for column in block.columns], block(torch.zeros(2, 3, 4, 4)).shape
        ([1, 2, 4], torch.Size([2, 8, 4, 4]))
    """

    columns: Any

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        columns: int,
        drop_path: float = 0.0,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.only: int | None = None

        def layer(before: int) -> nn.Module:
            return nn.Sequential(
                nn.Conv2d(before, out_channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(out_channels),
                make_unit(activation),
            )

        self.columns = nn.ModuleList(
            nn.Sequential(*(layer(out_channels if at else in_channels) for at in range(2**c)))
            for c in range(columns)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over the columns where they meet, in training over some of them."""
        if self.only is not None:
            alone: Tensor = self.columns[self.only](x)
            return alone
        rows = len(self.columns[-1])
        begun = [x] * len(self.columns)  # the input of each column's current convolution
        for row in range(1, rows + 1):
            # A convolution of column c is 2^(C−1−c) = rows >> c rows long, and ends where that divides row.
            ending = [c for c in range(len(self.columns)) if row % (rows >> c) == 0]
            kept = self._kept(ending)
            paths = [self.columns[c][row // (rows >> c) - 1](begun[c]) for c in kept]
            joined = paths[0] if len(paths) == 1 else torch.stack(paths).mean(0)
            for c in ending:
                begun[c] = joined
        return joined

    def _kept(self, ending: list[int]) -> list[int]:
        """Draw the columns that reach a join: each may be dropped, one always stays."""
        if not self.training or not self.drop_path or len(ending) == 1:
            return ending
        draws = torch.rand(len(ending)).tolist()
        kept = [c for c, draw in zip(ending, draws, strict=True) if draw >= self.drop_path]
        return kept or [ending[draws.index(max(draws))]]


@registered(
    kind="architecture",
    name="fractalnet",
    aliases=("fractal", "fractal-net", "fractalnet-20"),
    formula="f₁(z) = relu(BN conv3×3 z); f_{C+1}(z) = mean(f_C(f_C(z)), f₁(z)), joins that meet taken as "
    "one mean; blocks of C = columns, one for each of channels (times width), with max-pooling 2 between "
    "them; a linear layer. Training: a share global_share of the batches goes through one column alone, the "
    "same in all blocks; in the others each input of a join is dropped with probability drop_path, and one "
    "is always kept. Test: the whole network. The longest path has B · 2^(C−1) convolutions, B blocks",
    shapes="(N, C, H, W) → (N, outputs), H and W of any size",
    when="very deep networks without shortcuts; a deep network whose shallow columns answer faster",
    pitfalls="slow to start; batch normalisation learns the statistics of single paths and of means of "
    "several, of which the whole network needs the latter: training.batch_norm=population recomputes them; "
    "a column that was never trained alone (global_share=0) is of little use by itself",
    source="Larsson, Maire and Shakhnarovich, FractalNet: Ultra-Deep Neural Networks without Residuals, 2017",
    differs="drops are drawn for a whole batch, so that no work is done for what is dropped; the last maps "
    "are averaged over their pixels, of which images of 32×32 leave one",
    example=">>> net = get('fractalnet', (3, 32, 32), 10, width=0.125)\n"
    ">>> net.depth, [sum(isinstance(m, torch.nn.Conv2d) for m in net.column(c).modules()) for c in "
    "range(3)]\n"
    "(20, [5, 10, 20])",
    traits={"tiny": {"width": 1 / 32, "drop_path": 0.0, "global_share": 0.0}},
)
class FractalNet(nn.Sequential):
    """FractalNet: blocks that repeat themselves within themselves, with local and global drop-path."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        columns: int = 3,
        channels: Sequence[int] = (64, 128, 256, 512, 512),
        width: float = 1.0,
        drop_path: float = 0.15,
        global_share: float = 0.5,
        dropout: float = 0.0,
        activation: Activation = "relu",
        init: Init = "he-normal",
    ) -> None:
        owner = "fractalnet"
        before, *_ = check_images(owner, inputs, outputs)
        widths = scaled(owner, width, check_stages(owner, "channels", channels))
        check_count(owner, "columns", columns)
        drop_path = check_number(owner, "drop_path", drop_path, 0.0, 1.0)
        dropout = check_number(owner, "dropout", dropout, 0.0, 0.999)
        parts: dict[str, nn.Module] = {}
        for number, after in enumerate(widths):
            parts[f"block{number + 1}"] = FractalBlock(before, after, columns, drop_path, activation)
            parts[f"pool{number + 1}"] = nn.MaxPool2d(2, ceil_mode=True)
            if dropout and number:
                parts[f"dropout{number + 1}"] = nn.Dropout(dropout * number / (len(widths) - 1))
            before = after
        parts |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
        super().__init__(OrderedDict(parts, classifier=nn.Linear(before, outputs)))
        self.global_share = check_number(owner, "global_share", global_share, 0.0, 1.0)
        self.sizes: tuple[int, ...] = (*widths, outputs)
        initialize(self, init)

    @property
    def blocks(self) -> list[FractalBlock]:
        """The fractal blocks in their order."""
        return [part for part in self if isinstance(part, FractalBlock)]

    @property
    def depth(self) -> int:
        """The number of convolutions on the longest path."""
        return sum(len(block.columns[-1]) for block in self.blocks)

    def column(self, c: int) -> nn.Sequential:
        """Return a column, 0 the shallowest, as a network of its own with the weights of this one."""
        parts = {
            name: part.columns[c] if isinstance(part, FractalBlock) else part
            for name, part in self.named_children()
        }
        return nn.Sequential(OrderedDict(parts))

    def forward(self, x: Tensor) -> Tensor:
        """Classify images, in training by one column or with paths dropped at the joins, else by all."""
        only: int | None = None
        if self.training and self.global_share and torch.rand(()) < self.global_share:
            only = int(torch.randint(len(self.blocks[0].columns), ()))
        for block in self.blocks:
            block.only = only
        for part in self:
            x = part(x)
        return x
