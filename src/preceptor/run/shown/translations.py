"""What the report shows of translations: BLEU, also by length, the worst and best, where was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preceptor.catalogue.bleu import Bleu
from preceptor.catalogue.language import word_by_word
from preceptor.data._prepare_pairs import PreparedPairs, pair_of
from preceptor.data._sentences import spelled, symbols_of
from preceptor.data.text import SPECIALS, TextCoder, Vocabulary
from preceptor.report._canvas import Drawing
from preceptor.report._format import clean, count, fixed, label, number, part_name
from preceptor.report._lines import Line, draw_lines
from preceptor.report._table import Table
from preceptor.run.text.translate import translate
from preceptor.run.text.translation import Judged, judged, pair_batches

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["by_length", "goal", "translations_shown"]

_BINS, _LEAST = 6, 5  # groups of lengths at most, and sentences in each at least
_SHOWN, _MAPS = 5, 3


def goal(run: Run) -> str:
    """Return what is asked, in words."""
    if run.preprocessor is None:
        return "another sequence from a sequence"
    encoder, coder = pair_of(run.preprocessor)
    sizes = " to ".join(_symbols(side.coder) for side in (encoder, coder))
    return f"a sentence in another language, {sizes}"


def _symbols(coder: TextCoder) -> str:
    return f"{len(coder):,} symbols"


def translations_shown(run: Run) -> tuple[tuple[Table, ...], tuple[Drawing, ...]]:
    """Return tables and figures of the validation pairs, or else of training; the test set is left alone."""
    name = "val" if run.part("val") is not None else "train"
    if run.part(name) is None:
        return (), ()
    found = judged(run, pair_batches(run, name)[1])
    order = np.argsort(-found.losses, kind="stable")
    sentences = _each(found.counts)
    best = sorted(range(len(sentences)), key=lambda i: (-sentences[i], found.losses[i]))[:_SHOWN]
    tables = (
        _scores(found, _beside(run, found)),
        _examples(
            f"Worst translations, {part_name(name)}", found, [int(i) for i in order[:_SHOWN]], sentences
        ),
        _examples(f"Best translations, {part_name(name)}", found, best, sentences),
    )
    return tables, (*_figures(found), *_maps(run, found, [*best[:1], *_middle(order), int(order[0])]))


def _each(counts: Tensor) -> list[float]:
    """Return the smoothed BLEU of each sentence."""
    values = []
    for row in counts:
        meter = Bleu(smoothing="exponential")
        meter.add(row[None])
        values.append(meter.compute())
    return values


def _middle(order: NDArray[np.int64]) -> list[int]:
    return [int(order[len(order) // 2])]


def _beside(run: Run, found: Judged) -> float | None:
    """Return the BLEU of a dictionary, word by word; None where symbols are no words."""
    if run.preprocessor is None or not isinstance(run.prepared, PreparedPairs):
        return None
    (encoder, coder), train = pair_of(run.preprocessor), run.prepared.pairs["train"]
    words = [side.coder for side in (encoder, coder)]
    if not all(isinstance(side, Vocabulary) and side.tokenizer.level != "char" for side in words):
        return None
    specials = tuple(range(len(SPECIALS)))  # both vocabularies begin with them
    best = word_by_word(list(train.sources), list(train.targets), hidden=specials)
    meter = Bleu()
    for source, reference in zip(found.sources, found.references, strict=True):
        ids = encoder.ids([source])[0]
        said = [int(best[i]) for i in ids if i < len(best) and best[i] >= 0]
        wanted = reference.lower() if coder.lower else reference
        meter.update([spelled(coder.coder, symbols_of(coder.coder, said))], [wanted])
    return meter.compute()


def _scores(found: Judged, beside: float | None) -> Table:
    meter = Bleu()
    meter.add(found.counts)
    low, high = found.interval
    rows = (
        ("BLEU", f"{found.bleu:.2f}"),
        ("95 % interval, over sentences", f"{low:.2f} to {high:.2f}"),
        *([("BLEU of a dictionary, word by word", f"{beside:.2f}")] if beside is not None else ()),
        *((f"{n}-grams that stand in the reference", fixed(p)) for n, p in enumerate(meter.precisions, 1)),
        ("brevity penalty", fixed(meter.brevity_penalty)),
        *((name.replace("_", " "), number(value)) for name, value in found.measures.items()),
    )
    caption = f"{count(len(found.sources))} translations, {part_name(found.part)}"
    return Table(caption, ("measure", "value"), rows, f"{found.manner}.")


def _examples(caption: str, found: Judged, chosen: Sequence[int], sentences: Sequence[float]) -> Table:
    rows = tuple(
        (
            count(found.places[i]),
            *(
                label(text, 300)
                for text in (found.sources[i], found.references[i], found.translations[i].text)
            ),
            fixed(sentences[i], 1),
            number(found.losses[i], 3),
        )
        for i in chosen
    )
    head = ("row", "source", "reference", "translation", "BLEU, smoothed", "loss")
    return Table(caption, head, rows, text=frozenset({0, 1, 2, 3}))


def by_length(lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return groups of sentences of like length, the shortest first.

    Example:
        >>> [np.array([3, 9, 3, 4])[rows].tolist() for rows in by_length(np.array([3, 9, 3, 4]))]
        [[3, 3, 4, 9]]
        >>> [len(rows) for rows in by_length(np.arange(60))]
        [10, 10, 10, 10, 10, 10]
    """
    order = np.argsort(lengths, kind="stable")
    groups = max(1, min(_BINS, len(order) // _LEAST))
    cuts = np.linspace(0, len(order), groups + 1).round().astype(int)[1:-1]
    # Sentences of one length stay together.
    edges = sorted({int(np.searchsorted(lengths[order], lengths[order][cut])) for cut in cuts} - {0})
    return [rows for rows in np.split(order, edges) if len(rows)]


def _figures(found: Judged) -> list[Drawing]:
    """Draw BLEU and loss by the length of the source."""
    groups = by_length(found.lengths)
    if len(groups) < 2:
        return []
    x = np.array([found.lengths[rows].mean() for rows in groups])
    scores, losses = [], []
    for rows in groups:
        meter = Bleu()
        meter.add(found.counts[torch.from_numpy(rows)])
        scores.append(meter.compute())
        losses.append(float(found.losses[rows].mean()))
    where = part_name(found.part)
    caption = f"Groups of {min(map(len, groups)):,} to {max(map(len, groups)):,} sentences, {where}."
    drawn = []
    for key, title, values in (("bleu-by-length", "BLEU", scores), ("loss-by-length", "Loss", losses)):
        line = Line(title, title, "val", 1.6, "-", x, np.array(values))
        heading = f"{title} by the length of the source"
        drawn.append(draw_lines(key, heading, [line], unit="words", caption=caption))
    return drawn


def _maps(run: Run, found: Judged, chosen: Sequence[int]) -> list[Drawing]:
    """Draw where the symbols of some translations were read."""
    drawn = []
    kept = list(dict.fromkeys(chosen))[:_MAPS]
    for at, one in enumerate(translate(run, [found.sources[i] for i in kept])):
        if one.alignment is None:
            continue
        rows = tuple((label(a, 40), label(b, 40), fixed(w, 2)) for a, b, w in one.alignment.pairs)
        table = Table(
            "Where each symbol was read", ("written", "read", "weight"), rows, text=frozenset({0, 1})
        )
        caption = f"Row {count(found.places[kept[at]])}: {clean(one.text, 200)}"
        drawn.append(
            Drawing(
                f"alignment-{at + 1}",
                "Where was read",
                one.alignment.alt,
                one.alignment.as_svg(),
                caption,
                table,
            )
        )
    return drawn
