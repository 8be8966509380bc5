"""Translations measured: BLEU over a part of a run's pairs, or over others, sentence by sentence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preceptor.catalogue.bleu import Bleu, shared_n_grams
from preceptor.catalogue.metrics import Metric
from preceptor.data._parallel import load_pairs
from preceptor.data.text import ParallelText
from preceptor.errors import DataError
from preceptor.run._evaluation import Evaluation
from preceptor.run._given import ensure_data
from preceptor.run.text.translate import Manner, Translated, coders_of, translated
from preceptor.tasks import bootstrap
from preceptor.training.evaluate import evaluate, outputs
from preceptor.training.pairs import TextPairs

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["Judged", "judged", "measured_pairs", "pair_batches"]


@dataclass(frozen=True, eq=False)
class Judged:
    """The translations of a part, sentence by sentence, and what they are worth.

    Attributes:
        part: which.
        places: where each sentence stands in the data, (N,).
        sources, references: (N,) texts.
        translations: what was made of the sources.
        counts: what BLEU needs of each, (N, 10).
        losses: mean loss of each sentence's symbols, (N,).
        measures: loss, perplexity and accuracy.
        interval: of BLEU, 95 %.
        manner: in words, how they were made and measured.
    """

    part: str
    places: NDArray[Any]
    sources: list[str]
    references: list[str]
    translations: list[Translated]
    counts: Tensor
    losses: NDArray[np.float64]
    measures: dict[str, float]
    interval: tuple[float, float]
    manner: str

    @property
    def bleu(self) -> float:
        """BLEU of all of them."""
        return _bleu(self.counts)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many words each source has."""
        return np.array([len(text.split()) for text in self.sources], dtype=np.int64)


def _bleu(counts: Tensor) -> float:
    meter = Bleu()
    meter.add(counts)
    return meter.compute()


class _OfCounts(Metric):
    """BLEU of sentences whose counts are known."""

    def __init__(self) -> None:
        self.meter = Bleu()

    def update(self, output: Tensor, target: Tensor) -> None:
        self.meter.add(output)

    def compute(self) -> float:
        return self.meter.compute()

    def reset(self) -> None:
        self.meter.reset()


def pair_batches(run: Run, on: Any) -> tuple[str, TextPairs]:
    """Return a part of a run's pairs, or other ones, as they are measured.

    Raises:
        DataError: there is no such part, or these are no pairs.
    """
    encoder, coder = coders_of(run)
    if isinstance(on, str) and on in ("train", "val", "test"):
        ensure_data(run)
        part = run.part(on)
        if part is None or run.prepared is None:
            raise DataError(
                f"there are no {on} pairs",
                expected=f"a run that holds some out: {on}=0.15, or files of their own",
                received=run.prepared.split.text if run.prepared else "none",
            )
        name, rows, dataset = on, part.rows, run.prepared.dataset
    else:
        dataset = load_pairs(on)
        name, rows = Path(on).name if isinstance(on, str | Path) else "data", np.arange(len(dataset))
    texts = [
        [str(t) for t in np.asarray(side, dtype=object)[rows]] for side in (dataset.inputs, dataset.targets)
    ]
    pairs = ParallelText(encoder.ids(texts[0]), coder.ids(texts[1]))
    return name, TextPairs(
        pairs,
        part=name,
        rows=rows,
        texts=(texts[0], texts[1]),
        padding=coder.special("padding"),
        symbols=len(coder.coder),
        device=run.predictor.device,
    )


def judged(run: Run, batches: TextPairs) -> Judged:
    """Translate pairs and measure what comes of it; what was done before is remembered."""
    if batches.part in run.translations:
        kept: Judged = run.translations[batches.part]
        return kept
    encoder, coder = coders_of(run)
    sources, references = batches.texts
    beam = run.experiment.text.beam
    made = translated(run.predictor, encoder, coder, sources, Manner(beam, aligned=False))
    wanted = [text.lower() for text in references] if coder.lower else references
    counts = torch.tensor(
        [shared_n_grams(one.text, text) for one, text in zip(made, wanted, strict=True)], dtype=torch.float64
    )
    measures = evaluate(run.predictor, batches)
    sums, _ = outputs(run.predictor, batches, lambda z, y: (run.task.example_losses(z, y), y[:, 0]))
    losses = np.empty(len(sources))
    losses[batches.order] = sums.double().numpy()
    manner = f"BLEU: words as 13a splits them{', small letters' if coder.lower else ''}; beam of {beam}"
    found = Judged(
        batches.part,
        batches.places,
        sources,
        references,
        made,
        counts,
        losses,
        measures,
        bootstrap(_OfCounts, counts, torch.zeros(len(counts))),
        manner,
    )
    if batches.part in ("train", "val", "test"):
        run.translations[batches.part] = found
    return found


def measured_pairs(run: Run, part: str, batches: TextPairs) -> Evaluation:
    """Return what translations of pairs are worth: BLEU first, then the measures of the next symbol."""
    found = judged(run, batches)
    metrics = {"bleu": found.bleu, **found.measures}
    loss = metrics.pop("loss")
    return Evaluation(part, len(found.sources), loss, metrics, found.interval, notes=(found.manner,))
