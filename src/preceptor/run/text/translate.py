"""Translating with a run: by beam search or by drawing, with where each symbol was read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preceptor.catalogue.language import Hypothesis, Selection, beam_search, free_running, repeated
from preceptor.data._prepare_pairs import pair_of
from preceptor.data._sentences import SequenceCoder, SourceEncoder, spelled, symbols_of
from preceptor.data.text import Vocabulary, pad, read_lines
from preceptor.errors import ConfigError
from preceptor.report.alignment import Alignment
from preceptor.tasks import Translation
from preceptor.training.evaluate import evaluation
from preceptor.training.problem import Predictor

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["Manner", "OnPairs", "Translated", "coders_of", "translate", "translated"]

_AT_ONCE = 160  # hypotheses


@dataclass(frozen=True, eq=False)
class Translated:
    """A translation.

    Attributes:
        source: the sentence.
        text: what was written.
        score: log P / length^length_penalty of the best hypothesis; NaN for what was drawn.
        alignment: where each symbol was read; None for networks without attention.
    """

    source: str
    text: str
    score: float
    alignment: Alignment | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Manner:
    """How translations are written; see `OnPairs.translate`.

    Attributes:
        aligned: whether it is told where each symbol was read, for networks with attention.
    """

    beam: int
    length_penalty: float = 1.0
    longest: int | None = None
    selection: Selection | None = None
    seed: int | None = None
    replace_unknown: bool = False
    aligned: bool = True


def translate(
    run: Run,
    sentences: str | Path | Sequence[str],
    *,
    beam: int | None = None,
    length_penalty: float = 1.0,
    longest: int | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    replace_unknown: bool = False,
) -> list[Translated]:
    """Translate sentences; see `OnPairs.translate`."""
    drawn = [value for value in (temperature, top_k, top_p) if value is not None]
    if drawn and beam is not None:
        raise ConfigError(
            "translations are searched for or drawn",
            expected="beam, or temperature, top_k and top_p",
            received=f"beam={beam} beside temperature={temperature}, top_k={top_k}, top_p={top_p}",
        )
    selection = Selection(1.0 if temperature is None else temperature, top_k, top_p) if drawn else None
    width = run.experiment.text.beam if beam is None else beam
    manner = Manner(width, length_penalty, longest, selection, seed, replace_unknown)
    texts = list(read_lines(sentences)) if isinstance(sentences, Path) else list(sentences)
    return translated(run.predictor, *coders_of(run), texts, manner)


def coders_of(run: Run) -> tuple[SourceEncoder, SequenceCoder]:
    """Return what turns the sentences of a run into ids.

    Raises:
        ConfigError: it does not translate.
    """
    if run.preprocessor is None or not isinstance(run.task, Translation):
        raise ConfigError(
            "this run does not translate", expected='a run with task="translation"', received=run.task.name
        )
    return pair_of(run.preprocessor)


def translated(
    predictor: Predictor, encoder: SourceEncoder, coder: SequenceCoder, texts: list[str], manner: Manner
) -> list[Translated]:
    """Return the translations of some texts, batch by batch of like length."""
    rows = list(encoder.ids(texts))
    order = np.argsort([len(row) for row in rows], kind="stable")
    at_once = max(1, _AT_ONCE // manner.beam)
    generator = torch.Generator()
    if manner.seed is None:
        generator.seed()
    else:
        generator.manual_seed(manner.seed)
    found: dict[int, Translated] = {}
    with evaluation(predictor.model):
        for low in range(0, len(order), at_once):
            chosen = [int(i) for i in order[low : low + at_once]]
            source, _ = pad([rows[i] for i in chosen], coder.special("padding"))
            source = source.to(predictor.device)
            written = _written(predictor, coder, source, manner, generator)
            looks = _looks(predictor, coder, source, [one.symbols for one in written], manner)
            for at, i in enumerate(chosen):
                weights = None if looks is None else looks[at]
                found[i] = _told(encoder, coder, texts[i], rows[i], written[at], weights, manner)
    return [found[i] for i in range(len(texts))]


def _written(
    predictor: Predictor, coder: SequenceCoder, source: Tensor, manner: Manner, generator: torch.Generator
) -> list[Hypothesis]:
    """Return what is written for each source (N, S)."""
    hidden = [coder.special("padding"), coder.special("begin")]
    unknown = coder.coder.id_of("unknown")
    if unknown is not None and not manner.replace_unknown:
        hidden.append(unknown)
    longest = 2 * source.shape[1] + 10 if manner.longest is None else manner.longest
    ends: dict[str, Any] = {"begin": coder.special("begin"), "end": coder.special("end")}
    ends |= {"rows": len(source), "longest": longest}
    if manner.selection is None:
        step = _Step(predictor, source, manner.beam, hidden)
        penalty = manner.length_penalty
        return [
            hypotheses[0]
            for hypotheses in beam_search(step, step.start, beam=manner.beam, length_penalty=penalty, **ends)
        ]
    step, choose = _Step(predictor, source, 1, hidden), manner.selection
    drawn = free_running(step, step.start, choose=lambda logits: choose(logits, generator), **ends)
    return [Hypothesis(symbols, math.nan) for symbols in drawn]


class _Step:
    """A network's next symbol: from its own state, or, of a model of one's own, from all that was written."""

    def __init__(self, predictor: Predictor, source: Tensor, times: int, hidden: list[int]) -> None:
        self.predictor, self.hidden = predictor, hidden
        model: Any = predictor.model
        self.remembers = hasattr(model, "begin") and hasattr(model, "step")
        memory, self.start = source, source.new_zeros(len(source), 0)
        if self.remembers:
            memory, self.start = predictor.in_precision(model.begin, source)
        self.memory = repeated(memory, times)

    def __call__(self, symbols: Tensor, state: Any) -> tuple[Tensor, Any]:
        model: Any = self.predictor.model
        symbols = symbols.to(self.predictor.device)
        if self.remembers:
            call: Callable[[Any], Any] = lambda s: model.step(s, self.memory, state)  # noqa: E731 - shorter than a function of its own
            logits, state = self.predictor.in_precision(call, symbols)
        else:
            state = torch.cat([state, symbols[:, None]], 1)
            logits = self.predictor.in_precision(model, (self.memory, state))[:, -1]
        logits = logits.float()
        logits[:, self.hidden] = -torch.inf
        return logits, state


def _looks(
    predictor: Predictor, coder: SequenceCoder, source: Tensor, written: list[list[int]], manner: Manner
) -> NDArray[np.float64] | None:
    """Return where each written symbol was read, (N, T, S); None without attention, or not wanted."""
    model: Any = predictor.model
    if not manner.aligned or not hasattr(model, "align") or not any(written):
        return None
    given, _ = pad([[coder.special("begin"), *row[:-1]] for row in written], coder.special("padding"))
    weights = model.align(source, given.to(predictor.device))
    if weights is None:
        return None
    looks: NDArray[np.float64] = weights.double().cpu().numpy()
    return looks


def _told(
    encoder: SourceEncoder,
    coder: SequenceCoder,
    text: str,
    row: NDArray[np.int32],
    written: Hypothesis,
    weights: NDArray[np.float64] | None,
    manner: Manner,
) -> Translated:
    symbols = symbols_of(coder.coder, written.symbols)
    read = (*_words(encoder, text, row), "<end>")
    looks = None if weights is None else weights[: len(symbols), : len(read)]
    if manner.replace_unknown:
        symbols = _replaced(coder, written.symbols, symbols, read, looks)
    alignment = Alignment(read, tuple(symbols), looks) if looks is not None and symbols else None
    return Translated(text, spelled(coder.coder, symbols, written.symbols), written.score, alignment)


def _words(encoder: SourceEncoder, text: str, row: NDArray[np.int32]) -> list[str]:
    """Return the symbols of a source as they stand in its text, unknown ones too."""
    if isinstance(encoder.coder, Vocabulary):
        return encoder.coder.tokenizer.split(text)
    return symbols_of(encoder.coder, row[:-1])


def _replaced(
    coder: SequenceCoder,
    ids: list[int],
    symbols: list[str],
    read: tuple[str, ...],
    looks: NDArray[np.float64] | None,
) -> list[str]:
    """Return the symbols with the source word in an unknown one's place that it looked at most."""
    unknown = coder.coder.id_of("unknown")
    if unknown not in ids or len(read) < 2:
        return symbols
    if looks is None:
        raise ConfigError(
            "unknown words can be replaced by what the attention looked at",
            expected="a network with attention, such as seq2seq-attention",
            received="a network without",
        )
    best = looks[:, :-1].argmax(1)
    return [read[int(best[t])] if i == unknown else symbols[t] for t, i in enumerate(ids)]


class OnPairs:
    """What a run on pairs of sentences can do beside measuring."""

    def translate(self, sentences: Any, **options: Any) -> Any:
        """Translate a sentence, or several: a list of them, or a text file as a `Path`, one on a line.

        Arguments:
            sentences: what is to be translated.
            options: ``beam``: hypotheses of the search, 1 is greedy (as the setting ``text.beam`` says);
                ``length_penalty=1.0``: the exponent of the length that log P is divided by; ``longest``:
                the most symbols that are written; ``replace_unknown``: put the source word that was looked
                at most in the place of an unknown one; or, to draw translations, ``temperature``,
                ``top_k``, ``top_p`` and ``seed``.

        Returns:
            A `Translated` for one sentence, with ``text``, ``score`` and ``alignment``; a list for several.

        Raises:
            ConfigError: the run does not translate, or options that do not go together.
        """
        run = cast("Run", self)
        if isinstance(sentences, str):
            return translate(run, [sentences], **options)[0]
        return translate(run, sentences, **options)
