"""From a run on a text to what its report shows: what it writes, what surprises it, what others reach."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from preceptor.catalogue import get
from preceptor.catalogue.language import Selection
from preceptor.data.text import TextCoder, TextIds, Vocabulary, WholeText
from preceptor.errors import ModelError, PreceptorError
from preceptor.report.text import Compared, Passage, Sample, TextSummary
from preceptor.run.text.language import coder_of, reader_of
from preceptor.run.text.writing import Spelling, write
from preceptor.tasks import LanguageModelling
from preceptor.training.callbacks import Callback
from preceptor.training.evaluate import evaluation
from preceptor.training.language import whole
from preceptor.training.problem import Predictor
from preceptor.training.state import State

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["KeepSamples", "surprises", "text_summary"]

_LENGTHS = {"char": 300, "word": 60, "punctuated": 70, "byte-pairs": 100}
_WIDTHS = {"char": 80, "word": 18, "punctuated": 20, "byte-pairs": 28}
_ORDERS = {"char": 6}
_ORDER = 5  # of n-grams of words and pieces
_COUNTED = 5_000_000  # symbols that n-grams are counted in
_MEASURED = 500_000  # symbols that are predicted for the comparison
_PASSAGES = 6
_TEMPERATURE = 0.8


class KeepSamples(Callback):
    """Lets the network write a few lines at the ends of epochs whose number is a power of two."""

    order = 60

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_epoch_end(self, state: State) -> None:
        """Write, where it is time; draws from a generator of its own."""
        if state.epoch & (state.epoch - 1) or self.run.coder is None:
            return
        try:
            text = _written(self.run, length=_LENGTHS[_level(self.run.coder)] // 2, seed=state.epoch)
        except ModelError:  # it has diverged, as will be said
            return
        self.run.samples.append({"epoch": state.epoch, "temperature": _TEMPERATURE, "text": text})


def text_summary(run: Run) -> TextSummary | None:
    """Return what the report shows of a run on a text; None for other runs, and without the text."""
    if run.coder is None or run.feeds is None or run.feeds.text is None:
        return None
    parts = run.feeds.text.parts
    part = "val" if "val" in parts else "train"
    text = _beginning(parts[part])
    carries, device = run.predictor.carried is not None, run.predictor.device
    settings = run.experiment
    batches = whole(text, int(settings.training.batch_size), int(settings.text.steps), carries, device)
    nats = surprises(run.predictor, batches)
    return TextSummary(
        part="validation" if part == "val" else part,
        compared=tuple(_compared(run, parts["train"] if part == "val" else None, text, batches, nats)),
        samples=tuple(_samples(run)),
        passages=tuple(_passages(run.coder, text, nats)),
        notes=tuple(run.feeds.text.notes()),
    )


def surprises(predictor: Predictor, batches: WholeText) -> NDArray[np.float64]:
    """Return −log P of each symbol of a text in nats, (T,); NaN for the first, which nobody predicts."""
    task = predictor.task
    assert isinstance(task, LanguageModelling)  # noqa: S101 - the task of every text
    nats = np.full(len(batches.text), np.nan)
    with evaluation(predictor.model), predictor.afresh():
        for places, x, y in batches.placed():
            found = task.surprises(predictor.forward(x), y).double().cpu().numpy()
            counted = y.cpu().numpy() >= 0
            nats[places[counted]] = found[counted]
    return nats


def _beginning(text: TextIds) -> TextIds:
    if len(text) <= _MEASURED:
        return text
    share = _MEASURED / len(text)
    return TextIds(text.ids[:_MEASURED], text.name, text.start, round(text.characters * share))


def _level(coder: TextCoder) -> str:
    return coder.tokenizer.level if isinstance(coder, Vocabulary) else "byte-pairs"


def _compared(
    run: Run, train: TextIds | None, text: TextIds, batches: WholeText, nats: NDArray[np.float64]
) -> list[Compared]:
    """Return how well the network, n-grams of the same symbols, and blind chance predict the same text."""

    def row(name: str, mean: float) -> Compared:
        return Compared(name, mean, mean / math.log(2) / batches.characters_each)

    rows = [row(f"{run.experiment.model.name} (this run)", float(np.nanmean(nats)))]
    size, order = len(coder_of(run)), _ORDERS.get(_level(coder_of(run)), _ORDER)
    if train is not None:
        try:
            counted = np.asarray(train.ids[-_COUNTED:], dtype=np.int64)
            model = get("kneser-ney", counted, size, order=order)
            logs = model.log_probabilities(np.asarray(text.ids, dtype=np.int64))[1:]
            rows.append(row(f"{order}-gram, Kneser–Ney", -float(logs.mean())))
        except PreceptorError:  # too little text for its discounts
            pass
    rows.append(row("every symbol alike", math.log(size)))
    return rows


def _samples(run: Run) -> list[Sample]:
    """Return what it wrote at the ends of some epochs, and what it writes now."""
    kept = [
        Sample(f"after epoch {s['epoch']}, temperature {s['temperature']:g}", s["text"]) for s in run.samples
    ]
    coder = coder_of(run)
    try:
        now = _written(run, length=_LENGTHS[_level(coder)], seed=0)
    except ModelError:
        return kept
    best = f"epoch {run.best_epoch}" if run.best_epoch else "now"
    return [
        Sample(f"with the weights that were kept ({best}), temperature {_TEMPERATURE:g}", now),
        *kept[::-1],
    ]


def _written(run: Run, *, length: int, seed: int) -> str:
    selection = Selection(temperature=_TEMPERATURE)
    return "".join(write(reader_of(run), coder_of(run), "", length, selection=selection, seed=seed))


def _passages(coder: TextCoder, text: TextIds, nats: NDArray[np.float64]) -> list[Passage]:
    """Return the stretches with the highest mean surprise, none of which overlap."""
    width = min(_WIDTHS[_level(coder)], len(nats) - 1)
    sums = np.convolve(nats[1:], np.ones(width), "valid")  # the first symbol is not predicted
    chosen: list[int] = []
    for start in np.argsort(-sums, kind="stable"):
        if all(abs(int(start) - other) >= width for other in chosen):
            chosen.append(int(start))
        if len(chosen) == _PASSAGES:
            break
    return [_passage(coder, text, nats, start + 1, width) for start in chosen]


def _passage(coder: TextCoder, text: TextIds, nats: NDArray[np.float64], start: int, width: int) -> Passage:
    first = max(0, start - width // 2)
    spelling = Spelling(coder, fresh=True)
    before = "".join(spelling.spell(int(i)) for i in text.ids[first:start])
    symbols = tuple(
        (spelling.spell(int(i)), float(n) / math.log(2))
        for i, n in zip(text.ids[start : start + width], nats[start : start + width], strict=True)
    )
    return Passage(start, before, symbols)
