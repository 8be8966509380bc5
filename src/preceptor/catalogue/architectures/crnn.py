"""Convolutions that read an image from left to right, and a recurrence over its columns."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init, check_images, initialize

__all__ = ["ConvolutionalRecurrent"]


@registered(
    kind="architecture",
    name="convolutional-recurrent-network",
    aliases=("crnn", "conv-rnn"),
    formula="two 3×3 convolutions of base and 2 · base maps with ReLU and max-pooling, 2×2 and 2×1; the "
    "columns "
    "that "
    "are left, W/2 of them, are the steps of a bidirectional GRU of hidden units; a linear layer for "
    "each step",
    shapes="(N, C, H, W) → (N, W/2, outputs), H of at least 4",
    when="lines of writing, strips, spectrograms: with the loss ctc a text for an image",
    pitfalls="gives W/2 steps: a text must not be longer",
    source="Shi, Bai and Yao, An End-to-End Trainable Neural Network for Image-based Sequence "
    "Recognition, 2015",
    differs="two convolutions in place of seven, and one recurrent layer in place of two",
    example=">>> get('crnn', (1, 10, 64), 11)(torch.zeros(2, 1, 10, 64)).shape\ntorch.Size([2, 32, 11])",
    traits={"steps": True, "tiny": {"base": 4, "hidden": 8}},
)
class ConvolutionalRecurrent(nn.Module):
    """Convolutional recurrent network: from an image to outputs for each of its columns."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        base: int = 16,
        hidden: int = 64,
        dropout: float = 0.0,
        init: Init = None,
    ) -> None:
        owner = "convolutional-recurrent-network"
        super().__init__()
        channels, height, _ = check_images(owner, inputs, outputs, 4)
        check_count(owner, "base", base)
        check_count(owner, "hidden", hidden)
        self.features = nn.Sequential(
            nn.Conv2d(channels, base, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(base, 2 * base, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d((2, 1)),
        )
        self.drop = nn.Dropout(check_number(owner, "dropout", dropout, 0.0, 0.999))
        self.body = nn.GRU(2 * base * (height // 4), hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * hidden, outputs)
        self.sizes: tuple[int, ...] = (base, 2 * base, hidden, outputs)
        initialize(self, init)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of each column, (N, W/2, outputs)."""
        columns = self.features(x).permute(0, 3, 1, 2).flatten(2)
        steps, _ = self.body(self.drop(columns))
        made: Tensor = self.head(self.drop(steps))
        return made
