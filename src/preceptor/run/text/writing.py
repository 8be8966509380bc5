"""Letting a network of text write: what it reads, it remembers; what it says, it is told to be its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from preceptor.catalogue.language import Selection
from preceptor.data.text import TextCoder, Vocabulary
from preceptor.errors import ConfigError
from preceptor.training.evaluate import evaluation
from preceptor.training.problem import Predictor

__all__ = ["Reader", "Spelling", "begin_with", "prompt_ids", "write"]


class Reader:
    """Reads symbols, and tells the raw outputs of the one that comes next.

    A network that carries a state reads each symbol once. Where its state grows with the text it begins anew
    with the later half of what it sees at most; without a state it reads all of that again at each step.

    Arguments:
        predictor: with the network.
        window: symbols that it sees at most, as in training, where it has no state that goes on.
    """

    def __init__(self, predictor: Predictor, window: int) -> None:
        self.predictor, self.window = predictor, window
        self.remembers = bool(getattr(predictor.model, "carries", False))
        self.grows = bool(getattr(predictor.model, "grows", False))
        self._state: object = None
        self._seen: list[int] = []

    def read(self, symbols: Sequence[int]) -> Tensor:
        """Read on, and return the raw outputs (K,) behind the last symbol, float32 on the CPU."""
        new = list(symbols)
        if self.grows and self.remembers and len(self._seen) + len(new) > self.window:
            new = (self._seen + new)[-max(self.window // 2, 1) :]
            self._state, self._seen = None, []
        if not self.remembers:
            new = (self._seen + new)[-self.window :]
        self._seen = (self._seen + new if self.remembers else new)[-self.window :]
        x = torch.tensor([new], device=self.predictor.device)
        model = self.predictor.model
        with evaluation(model):
            if self.remembers:
                output, self._state = model(x, self._state)
            else:
                output = model(x)
        last: Tensor = output[0, -1].float().cpu()
        return last


def prompt_ids(coder: TextCoder, prompt: str) -> list[int]:
    """Return a prompt as ids; ends of lines are end symbols where the vocabulary has them."""
    *lines, rest = prompt.split("\n") if coder.id_of("end") is not None else [prompt]
    ids = [int(i) for line in lines for i in coder.encode(line, end=True)]
    ids += [int(i) for i in coder.encode(rest)]
    if coder.id_of("unknown") in ids and isinstance(coder, Vocabulary):
        found = coder.out_of_vocabulary([prompt])
        if found.unknown:
            shown = ", ".join(repr(token) for token, _ in found.frequent[:6])
            warnings.warn(f"not in the vocabulary, read as unknown: {shown}", stacklevel=3)
    return ids


def begin_with(coder: TextCoder) -> list[int]:
    """Return what stands before a text that has no beginning: the end of a line, or a frequent symbol."""
    end = coder.id_of("end")
    if end is not None:
        return [end]
    if isinstance(coder, Vocabulary):
        return [coder.index.get("\n", len(coder.specials or {}))]
    return [int(i) for i in coder.encode("\n")] or [0]


def write(
    reader: Reader,
    coder: TextCoder,
    prompt: str = "",
    length: int = 300,
    *,
    selection: Selection | None = None,
    seed: int | None = None,
    stop: str | None = None,
) -> Iterator[str]:
    """Yield what a network writes behind a prompt, symbol by symbol.

    Symbols that stand for something that cannot be written (unknown words, padding) are never chosen.

    Arguments:
        reader: of the network; it has read nothing yet.
        coder: the vocabulary.
        prompt: what stands before; "": the beginning of a line.
        length: symbols that are written at most.
        selection: how the next symbol is chosen; default: drawn from the model's own distribution.
        seed: of the draws; None: others each time.
        stop: end when this has been written.

    Raises:
        ConfigError: a length below 0.
        ModelError: the network's outputs are not finite.
    """
    if length < 0:
        raise ConfigError("length is not usable", expected="an integer ≥ 0", received=f"length={length}")
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    choose = selection or Selection()
    hidden = [i for kind in ("padding", "unknown", "begin") if (i := coder.id_of(kind)) is not None]
    spelling = Spelling(coder, fresh=not prompt or prompt.endswith("\n"))
    ids = prompt_ids(coder, prompt) or begin_with(coder)
    said = ""
    for _ in range(length):
        logits = reader.read(ids)
        logits[hidden] = -torch.inf
        chosen = int(choose(logits[None], generator))
        ids = [chosen]
        piece = spelling.spell(chosen)
        if stop:
            said = (said + piece)[-len(stop) - len(piece) :]
        yield piece
        if stop and stop in said:
            return


class Spelling:
    """Symbols as text, one after the other: blanks between words, lines, letters of several bytes."""

    def __init__(self, coder: TextCoder, *, fresh: bool) -> None:
        self.coder, self.fresh = coder, fresh
        self.end = coder.id_of("end")
        self._held: list[int] = []

    def spell(self, symbol: int) -> str:
        """Return what a symbol adds to the text; nothing as long as a letter is incomplete."""
        if isinstance(self.coder, Vocabulary):
            return self._word(self.coder, symbol)
        self._held.append(symbol)
        text = self.coder.decode(self._held)
        if text.endswith("\ufffd") and len(self._held) < 4:  # a letter of which more bytes are to come
            return ""
        self._held = []
        return text

    def _word(self, coder: Vocabulary, symbol: int) -> str:
        if symbol == self.end:
            self.fresh = True
            return "\n"
        word = coder.symbols[symbol]
        blank = "" if self.fresh or coder.tokenizer.level == "char" else " "
        self.fresh = False
        return blank + word
