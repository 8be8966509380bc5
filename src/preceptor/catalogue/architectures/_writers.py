"""What every network that reads one sequence and writes another does alike."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue.architectures._common import check_sizes
from preceptor.catalogue.layers.sequences import Reversal
from preceptor.errors import ConfigError, ModelError

__all__ = ["Writer", "lengths_of"]


def lengths_of(symbols: Tensor, padding: int) -> Tensor:
    """Return where the padding of each row begins, at least 1.

    Example:
        >>> lengths_of(torch.tensor([[4, 5, 0], [0, 7, 0], [0, 0, 0]]), 0)
        tensor([2, 2, 1])
    """
    places = torch.arange(1, symbols.shape[1] + 1, device=symbols.device)
    return ((symbols != padding) * places).amax(1).clamp_min(1)


class Writer(nn.Module, ABC):
    """A network that reads a source and writes a target: two embeddings, an encoder, a decoder, a head.

    ``model((source, given))`` gives the raw outputs behind every given symbol, (N, T, outputs). To write by
    itself: ``memory, state = model.begin(source)``, then ``logits, state = model.step(symbols, memory,
    state)``; memory and state are tensors with N rows, in tuples.

    Arguments:
        owner: the name that messages use.
        inputs: the shape of one source, (S,): S may differ from batch to batch.
        outputs: how many symbols the target's vocabulary has.
        vocabulary: how many the source's has; None: as many.
        padding: the symbol that fills up short sequences, in both.
        embedding: width of both embeddings; None: the network's own width.
        dropout: on embeddings, on what the head reads, and as the network's own says.
        tied: the target's embedding is the head's weight as well.
        reverse: the source is read backwards, its padding left where it is.

    Attributes:
        forcing: share of the true symbols that are given in training; the others are the network's own draws.
    """

    forcing = 1.0

    def __init__(
        self,
        owner: str,
        inputs: Sequence[int],
        outputs: int,
        *,
        vocabulary: int | None = None,
        padding: int = 0,
        embedding: int | None = None,
        dropout: float = 0.2,
        tied: bool = True,
        reverse: bool = False,
    ) -> None:
        super().__init__()
        check_sizes(owner, inputs, outputs)
        self.owner, self.outputs, self.tied = owner, outputs, tied
        self.vocabulary = outputs if vocabulary is None else check_count(owner, "vocabulary", vocabulary)
        self.padding = check_count(owner, "padding", padding, 0)
        if padding >= min(self.vocabulary, outputs):
            raise ConfigError(
                f"{owner}: the padding is no symbol of both vocabularies",
                expected=f"padding below {min(self.vocabulary, outputs)}",
                received=f"padding={padding}",
            )
        self.width = None if embedding is None else check_count(owner, "embedding", embedding)
        self.rate = check_number(owner, "dropout", dropout, 0.0, 0.999)
        self.reversal = Reversal() if reverse else None

    def _open(self, width: int) -> int:
        """Make the embeddings, of ``width`` unless another one was asked for; return their width."""
        size = width if self.width is None else self.width
        self.drop = nn.Dropout(self.rate)
        self.source = nn.Embedding(self.vocabulary, size, padding_idx=self.padding)
        self.target = nn.Embedding(self.outputs, size, padding_idx=self.padding)
        with torch.no_grad():  # as the weights of a head they must be small; scaled up they are the inputs
            for table in (self.source, self.target):
                table.weight.normal_(std=size**-0.5)
                table.weight[self.padding] = 0.0
        return size

    def _close(self, width: int, *, plain: bool = False) -> None:
        """Make the head, behind a layer that brings ``width`` to the embeddings'; ``plain``: without it."""
        size = self.target.embedding_dim
        self.readout = nn.Sequential() if plain else nn.Sequential(nn.Linear(width, size), nn.Tanh())
        self.head = nn.Linear(size, self.outputs)
        if self.tied:
            self.head.weight = self.target.weight

    def _embedded(self, table: nn.Embedding, symbols: Tensor) -> Tensor:
        made: Tensor = self.drop(table(symbols) * math.sqrt(table.embedding_dim))
        return made

    def _logits(self, features: Tensor) -> Tensor:
        made: Tensor = self.head(self.drop(self.readout(features)))
        return made

    def forward(self, x: Any, target: Tensor | None = None) -> Tensor:
        """Return raw outputs behind every given symbol, of a pair of tensors or of two.

        Raises:
            ModelError: something else than integers.
        """
        if isinstance(x, Tensor) and target is None:
            raise self._no_symbols(x)
        source, given = x if target is None else (x, target)
        memory, state = self.begin(source)
        if given.is_floating_point():
            raise self._no_symbols(given)
        if self.training and self.forcing < 1:
            return self._mixed(given, memory, state)
        features, _ = self.decode(self._embedded(self.target, given), memory, state)
        return self._logits(features)

    def begin(self, source: Tensor) -> tuple[Any, Any]:
        """Read the source; return what stays as it is while something is written, and the first state."""
        if source.is_floating_point():
            raise self._no_symbols(source)
        lengths = lengths_of(source, self.padding)
        if self.reversal is not None:
            source = self.reversal(source, lengths)
        return self.encode(self._embedded(self.source, source), lengths)

    def step(self, symbols: Tensor, memory: Any, state: Any) -> tuple[Tensor, Any]:
        """Return raw outputs behind one more symbol of each row, and the state behind it."""
        features, state = self.decode(self._embedded(self.target, symbols[:, None]), memory, state)
        return self._logits(features)[:, 0], state

    @abstractmethod
    def encode(self, embedded: Tensor, lengths: Tensor) -> tuple[Any, Any]:
        """Return memory and first state of an embedded source."""

    @abstractmethod
    def decode(self, embedded: Tensor, memory: Any, state: Any) -> tuple[Tensor, Any]:
        """Return features behind each embedded symbol, and the state behind the last."""

    def align(self, source: Tensor, given: Tensor) -> Tensor | None:
        """Return where in the source each given symbol's successor was read, (N, T, S), rows of sum 1.

        None for a network without attention. Call it in evaluation mode.
        """
        memory, state = self.begin(source)
        looks = self.looks(self._embedded(self.target, given), memory, state)
        if looks is None or self.reversal is None:
            return looks
        lengths = lengths_of(source, self.padding)
        turned: Tensor = self.reversal(looks.transpose(1, 2), lengths).transpose(1, 2)
        return turned

    def looks(self, embedded: Tensor, memory: Any, state: Any) -> Tensor | None:
        """Return the attention to the source as it was read; None without attention."""
        return None

    def _mixed(self, given: Tensor, memory: Any, state: Any) -> Tensor:
        """Return raw outputs where a given symbol is replaced, by chance, by a draw from those before it."""
        outputs: list[Tensor] = []
        for t, symbols in enumerate(given.unbind(1)):
            if t:
                own = torch.multinomial(outputs[-1].detach().float().softmax(-1), 1)[:, 0]
                true = torch.rand(len(own), device=own.device) < self.forcing
                symbols = torch.where(true, symbols, own)
            logits, state = self.step(symbols, memory, state)
            outputs.append(logits)
        return torch.stack(outputs, 1)

    def _no_symbols(self, x: Tensor) -> ModelError:
        return ModelError(
            f"{self.owner} reads and writes symbols",
            expected="(source, target so far): integers (N, S) and (N, T)",
            received=f"{tuple(x.shape)} {x.dtype}",
            hint="task translation, on pairs of sentences",
        )
