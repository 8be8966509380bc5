"""What every network for sequences does alike: reads inputs as steps, and answers once or at each step."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any, TypeVar, overload

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue.architectures._common import check_sizes
from preceptor.catalogue.layers.sequences import checked_lengths, last_step, masked_mean
from preceptor.errors import ConfigError, ModelError

__all__ = ["SequenceModel", "with_options_of_parents"]

_C = TypeVar("_C", bound=type)
_NONE: Any = object()  # a call without a state, where None is a state: that of the beginning


def with_options_of_parents(cls: _C) -> _C:
    """Complete the signature of a class by the options that its ``**options`` pass on to its parents.

    Example:
        >>> class A:
        ...     def __init__(self, n, *, a=1): ...
        >>> @with_options_of_parents
        ... class B(A):
        ...     def __init__(self, n, b=2, **options): super().__init__(n, **options)
        >>> inspect.signature(B)
        <Signature (n, b=2, *, a=1)>
    """
    found: dict[str, inspect.Parameter] = {}
    for parent in cls.__mro__:
        if "__init__" not in vars(parent):
            continue
        _, *own = inspect.signature(vars(parent)["__init__"]).parameters.values()
        passes_on = any(p.kind is p.VAR_KEYWORD for p in own)
        for p in own:
            if parent is cls and p.kind is not p.VAR_KEYWORD:
                found[p.name] = p
            elif p.name not in found and p.default is not p.empty and not p.name.startswith("_"):
                found[p.name] = p.replace(kind=p.KEYWORD_ONLY)
        if not passes_on:
            break
    order = sorted(found.values(), key=lambda p: p.kind)
    cls.__signature__ = inspect.Signature(order)  # type: ignore[attr-defined]  # what inspect looks for
    return cls


class SequenceModel(nn.Module):
    """A network for sequences: embedding or features, a body over the steps, and a linear head.

    ``model(x)`` gives outputs; ``model(x, state)``, with None for the beginning, gives outputs and the state
    that goes on, so that a long sequence may come in pieces. Both take ``lengths`` of padded sequences.

    Arguments:
        owner: the name that messages use.
        inputs: the shape of one example: (T, D) steps of D features; (T,) integers where there is a
            vocabulary, else T numbers; (C, H, W) an image. T may differ from batch to batch.
        outputs: their number, for the whole sequence or for each step.
        vocabulary: inputs are integers below this, and are embedded.
        embedding: width of the embedding; None: that of the body.
        tied: the embedding is the head's weight as well; needs outputs = vocabulary.
        padding: the integer that fills up short sequences: lengths are read off it.
        reading: "rows" takes what lies along the first axis (of an image: its rows) as steps, "pixels"
            every number or pixel.
        per_step: outputs for every step, (N, T, outputs), in place of one for the sequence.
        pooling: what stands for the sequence: its "last" step or the "mean" over all.
        dropout: on what enters and leaves the body, and as its own says.
    """

    batch_first = True
    directions = 1
    carries = True
    grows = False
    body: nn.Module

    def __init__(
        self,
        owner: str,
        inputs: Sequence[int],
        outputs: int,
        *,
        vocabulary: int | None = None,
        embedding: int | None = None,
        tied: bool = False,
        padding: int | None = None,
        reading: str = "rows",
        per_step: bool = False,
        pooling: str = "last",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.owner, self.outputs, self.per_step, self.tied = owner, outputs, per_step, tied
        self.shape, _ = check_sizes(owner, inputs, outputs)
        self.vocabulary, self.padding, self.embedding_size = vocabulary, padding, embedding
        self.reading = check_choice(owner, "reading", reading, ("rows", "pixels", "static"))
        self.pooling = check_choice(owner, "pooling", pooling, ("last", "mean"))
        self.rate = check_number(owner, "dropout", dropout, 0.0, 0.999)
        self._check_symbols()

    def _check_symbols(self) -> None:
        if self.vocabulary is not None:
            check_count(self.owner, "vocabulary", self.vocabulary)
            if self.padding is not None:
                check_count(self.owner, "padding", self.padding, 0)
        wrong = None
        if self.vocabulary is None:
            given = {"tied": self.tied, "padding": self.padding is not None, "embedding": self.embedding_size}
            wrong = next(
                (f"{name} is for integers: it needs a vocabulary" for name in given if given[name]), None
            )
        elif self.tied and self.outputs != self.vocabulary:
            wrong = "tied weights need an output for every symbol"
        elif self.padding is not None and self.padding >= self.vocabulary:
            wrong = "the padding is no symbol of the vocabulary"
        if wrong:
            raise ConfigError(
                f"{self.owner}: {wrong}",
                expected="vocabulary=K, with K outputs where weights are tied",
                received=f"vocabulary={self.vocabulary}, outputs={self.outputs}, padding={self.padding}",
            )

    def _open(self, width: int) -> int:
        """Make what inputs go through first; return the width of a step. ``width`` is the body's."""
        self.drop: nn.Module = nn.Dropout(self.rate)
        if self.vocabulary is None:
            return _step_width(self.owner, self.shape, self.reading)
        size = width if self.embedding_size is None else self.embedding_size
        check_count(self.owner, "embedding", size)
        self.embedding = nn.Embedding(self.vocabulary, size, padding_idx=self.padding)
        with torch.no_grad():  # as the weights of a head they must be small; scaled up they are the inputs
            self.embedding.weight.normal_(std=size**-0.5)
            if self.padding is not None:
                self.embedding.weight[self.padding] = 0.0
        return size

    def _close(self, width: int) -> None:
        """Make the head, for a body that gives steps of ``width``."""
        if self.tied and self.embedding.embedding_dim != width:
            self.bridge: nn.Module = nn.Linear(width, self.embedding.embedding_dim, bias=False)
            width = self.embedding.embedding_dim
        else:
            self.bridge = nn.Identity()
        self.head = nn.Linear(width, self.outputs)
        if self.tied:
            self.head.weight = self.embedding.weight

    def _refuse_static(self) -> None:
        if self.reading == "static":
            raise ConfigError(
                f"{self.owner} reads sequences",
                expected="reading='rows' or 'pixels'",
                received="reading='static'",
                hint="static-rnn processes one input again and again",
            )

    def _steps_of_one(self) -> int:
        """Return how many steps an example of the stated shape has."""
        if self.reading == "pixels":
            return math.prod(self.shape[1:] if len(self.shape) == 3 else self.shape)
        return self.shape[1] if len(self.shape) == 3 else self.shape[0]

    @overload
    def forward(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor: ...

    @overload
    def forward(self, x: Tensor, state: Any, lengths: Tensor | None = None) -> tuple[Tensor, Any]: ...

    def forward(self, x: Tensor, state: Any = _NONE, lengths: Tensor | None = None) -> Any:
        """Return outputs; with a state, that of the beginning being None, also the state that goes on.

        Raises:
            ModelError: inputs of a wrong type, or a state where the network reads both ways.
            DataError: lengths that do not suit the sequences.
        """
        carried = state is not _NONE
        if carried and not self.carries:
            raise ModelError(
                f"{self.owner} reads sequences from both ends: it has no state to go on from",
                expected="whole sequences",
                received="a call with a state",
                hint="bidirectional=False, causal=True",
            )
        steps, lengths = self._steps(x, lengths)
        y, state = self.body(self.drop(steps), state if carried else None, lengths)
        if not self.per_step:
            y = masked_mean(y, lengths) if self.pooling == "mean" else last_step(y, lengths, self.directions)
        out = self.head(self.bridge(self.drop(y)))
        return (out, state) if carried else out

    def _steps(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the inputs as steps (N, T, D), and their lengths."""
        if self.vocabulary is None:
            steps = _read(x, self.reading)
            return steps, checked_lengths(lengths, steps)
        if x.is_floating_point():
            raise ModelError(
                f"{self.owner} with a vocabulary reads integers",
                expected=f"(N, T) integers below {self.vocabulary}",
                received=f"{tuple(x.shape)} {x.dtype}",
            )
        if lengths is None and self.padding is not None:
            places = torch.arange(1, x.shape[1] + 1, device=x.device)
            lengths = ((x != self.padding) * places).amax(1).clamp_min(1)
        steps = self.embedding(x) * math.sqrt(self.embedding.embedding_dim)
        return steps, checked_lengths(lengths, x)


def _step_width(owner: str, shape: tuple[int, ...], reading: str) -> int:
    if len(shape) not in (1, 2, 3):
        raise ModelError(
            f"{owner} does not suit these examples",
            expected="sequences (T, D), series (T,) or images (C, H, W)",
            received=f"examples of shape {shape}",
        )
    if reading == "static":
        return math.prod(shape)
    if reading == "pixels":
        return shape[0] if len(shape) == 3 else 1
    return {1: 1, 2: shape[-1], 3: shape[0] * shape[-1]}[len(shape)]


def _read(x: Tensor, reading: str) -> Tensor:
    """Return a batch as steps (N, T, D)."""
    if x.ndim == 2:
        return x[..., None]
    if x.ndim == 3:
        return x.flatten(1)[..., None] if reading == "pixels" else x
    if reading == "pixels":
        return x.flatten(2).transpose(1, 2)
    return x.transpose(1, 2).flatten(2)  # rows, with all their channels
