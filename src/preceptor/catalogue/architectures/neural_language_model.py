"""The feed-forward model of what comes next: a hidden layer over the last words' vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.architectures._sequences import SequenceModel, with_options_of_parents
from preceptor.catalogue.layers.sequences import within

__all__ = ["NeuralLanguageModel"]


class _Body(nn.Module):
    """A hidden layer over the last steps, and beside it, where that is asked for, the steps themselves."""

    def __init__(self, width: int, hidden: int, context: int, activation: str, *, direct: bool) -> None:
        super().__init__()
        self.context, self.direct = context, direct
        self.hidden = nn.Linear(context * width, hidden)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        before = x.new_zeros(len(x), self.context - 1, x.shape[2]) if state is None else state
        seen = torch.cat([before.to(x.dtype), x], 1)
        last = seen.unfold(1, self.context, 1).transpose(2, 3).flatten(2)  # the latest word is the last
        y = self.activation(self.hidden(last))
        y = torch.cat([y, last], -1) if self.direct else y
        if lengths is not None:
            y = y * within(lengths.to(y.device), y.shape[1])[..., None]
        return y, seen[:, seen.shape[1] - self.context + 1 :]


@registered(
    kind="architecture",
    name="neural-language-model",
    aliases=(
        "nlm",
        "bengio-language-model",
        "neural-probabilistic-language-model",
        "feed-forward-language-model",
        "neural-n-gram",
    ),
    formula="x = (C(w_{t−context+1}), …, C(w_t)), y = b + U tanh(d + H x) + W x, P(w_{t+1} | …) = "
    "softmax(y); W = 0 unless direct=True",
    shapes="(N, T, D), series (N, T), images by rows, or with vocabulary=K integers (N, T) → (N, outputs), "
    "or (N, T, outputs) with per_step=True; model(x, state) → outputs and the state that goes on",
    when="the step from counting to learning: n-grams that were never seen get the probability of like ones",
    pitfalls="what lies before context words does not exist; most operations are those of the softmax over "
    "the vocabulary",
    source="Bengio et al., A Neural Probabilistic Language Model, 2003",
    differs="before the first word stand vectors of zeros",
    example=">>> net = get('neural-language-model', (9,), 30, vocabulary=30, per_step=True, direct=True)\n"
    ">>> net(torch.zeros(2, 9, dtype=torch.int64)).shape\ntorch.Size([2, 9, 30])",
)
@with_options_of_parents
class NeuralLanguageModel(SequenceModel):
    """Neural language model of Bengio: embeddings of the last words, a tanh layer, a softmax."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int = 128,
        context: int = 5,
        direct: bool = False,
        activation: str = "tanh",
        **options: Any,
    ) -> None:
        owner = "neural-language-model"
        super().__init__(owner, inputs, outputs, **options)
        self._refuse_static()
        check_count(owner, "hidden", hidden)
        check_count(owner, "context", context)
        width = self._open(hidden)
        self.sizes = (width, hidden, outputs)
        self.body = _Body(width, hidden, context, activation, direct=direct)
        self._close(hidden + context * width if direct else hidden)
