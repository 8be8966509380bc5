"""The temporal convolutional network: causal dilated convolutions over a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._sequences import SequenceModel, with_options_of_parents
from preceptor.catalogue.calculators.reach import receptive_field
from preceptor.catalogue.layers.sequences import within
from preceptor.catalogue.layers.temporal import TemporalBlock

__all__ = ["TCN"]


class _Body(nn.Module):
    def __init__(self, blocks: list[TemporalBlock]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        y = x.transpose(1, 2)
        before = [None] * len(self.blocks) if state is None else state
        after = []
        block: Any
        for block, own in zip(self.blocks, before, strict=True):
            y, own = block.carry(y, own)
            after.append(own)
        y = y.transpose(1, 2)
        return y if lengths is None else y * within(lengths.to(y.device), y.shape[1])[..., None], tuple(after)


@registered(
    kind="architecture",
    name="tcn",
    aliases=(
        "temporal-convolutional-network",
        "causal-convolutional-network",
        "convolutional-autoregressive-model",
        "ar-conv",
    ),
    formula="temporal blocks with dilations growth⁰, growth¹, …; a step sees 1 + 2 (kernel − 1) Σ_l growthˡ "
    "steps, itself among them",
    shapes="(N, T, D), series (N, T), images by rows, or with vocabulary=K integers (N, T) → (N, outputs), "
    "or "
    "(N, T, outputs) with per_step=True; model(x, state) → outputs and the state that goes on",
    when="sequences in parallel over time, with operations that grow with T alone",
    pitfalls="what lies beyond receptive_field steps does not exist; a growth above kernel leaves gaps",
    source="Bai, Kolter and Koltun, An Empirical Evaluation of Generic Convolutional and Recurrent Networks "
    "for Sequence Modeling, 2018; Van den Oord et al., WaveNet, 2016",
    differs="the paper normalises weights",
    example=">>> get('tcn', (50, 2), 1, layers=5, kernel=3).receptive_field\n125",
)
@with_options_of_parents
class TCN(SequenceModel):
    """Temporal convolutional network: causal convolutions that see ever further back."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int = 64,
        layers: int = 4,
        kernel: int = 3,
        growth: int = 2,
        activation: str = "relu",
        **options: Any,
    ) -> None:
        owner = "tcn"
        super().__init__(owner, inputs, outputs, **options)
        self._refuse_static()
        sizes = {"hidden": hidden, "layers": layers, "kernel": kernel, "growth": growth}
        for option, value in sizes.items():
            check_count(owner, option, value)
        width = self._open(hidden)
        self.sizes = (width, *[hidden] * layers, outputs)
        blocks = []
        for at in range(layers):
            blocks.append(TemporalBlock(width, hidden, kernel, growth**at, self.rate, activation))
            width = hidden
        self.body = _Body(blocks)
        self.receptive_field: int = receptive_field(
            [(kernel, 1, growth**at) for at in range(layers) for _ in range(2)]
        ).size
        self._close(hidden)
