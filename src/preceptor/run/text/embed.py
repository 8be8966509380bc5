"""`embed`: from a text to vectors for its words."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.catalogue.word_vectors import (
    Cooccurrences,
    GloveTrainer,
    cooccurrence_matrix,
    subsampled,
)
from preceptor.data.text import Vocabulary, read_lines
from preceptor.errors import ConfigError, DataError, StorageError, nearest
from preceptor.run.text.embedding_run import EmbeddingRun, begin, finish
from preceptor.training.build import choose_device
from preceptor.training.experiment import Experiment
from preceptor.training.history import History

__all__ = ["embed", "is_embedding"]

Listener = Callable[["EmbeddingRun"], None]

# What a training of word vectors listens to, beside the options of its model.
_SETTINGS = ("task", "name", "seed", "data.source", "model.name", "optimizer.name", "optimizer.lr",
             "training.epochs", "training.batch_size", "training.device")  # fmt: skip
_MODEL: dict[str, Any] = {
    "dim": 100,
    "window": 16,
    "weighting": "uniform",
    "sample": "auto",
    "x_max": 100.0,
    "alpha": 0.75,
    "level": "word",
    "lower": False,
    "min_count": 5,
    "size": None,
    "common_directions": 1,
}
# Frequent words are thinned out as in word2vec, but none of those that occur fewer than some hundred times.
_SAMPLE, _KEPT = 1e-4, 400
_PIECE = 1 << 20  # words that are counted at once
_BATCH, _PARTS, _STEPS = (
    400_000,
    20,
    300,
)  # pairs a step at most, steps a pass at least, steps in all at least


def is_embedding(task: Any, experiment: Experiment | None) -> bool:
    """Return whether word vectors are asked for.

    Example:
        >>> is_embedding("embedding", None), is_embedding(None, Experiment())
        (True, False)
    """
    return (task if task is not None else experiment.task if experiment else None) == "embedding"


def embed(
    data: Any,
    chosen: Mapping[str, Any] | None = None,
    *,
    experiment: Experiment | None = None,
    out: Path | str | bool | None = None,
    on_start: Listener | None = None,
    on_epoch: Listener | None = None,
) -> EmbeddingRun:
    """Train vectors for the words of a text file by GloVe, in two passes over it, and write a run folder.

    Arguments:
        data: a text file (.txt, .gz, .xz), one document a line: pairs of words do not reach over line ends.
        chosen: settings by dotted key, such as ``{"model.dim": 50}``.
        experiment: settings to start from.
        out: the run's folder; default: the next ``runs/glove-<n>``; False: nothing is written.
        on_start: called when the text has been counted, before the first step.
        on_epoch: called after each pass over the pairs.

    Raises:
        DataError: no such text, or too little of it.
        ConfigError: a setting that word vectors have not.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.txt"
        >>> _ = file.write_text("the cat sat on the mat\\nthe dog sat on the mat\\n" * 20)
        >>> run = embed(file, {"model.dim": 4, "model.sample": 0}, out=False)
        >>> len(run.vectors), run.status
        (6, 'finished')
    """
    settings = _settings(data, dict(chosen or {}), experiment)
    path = Path(settings.data.source)
    vocabulary, counts, settings, reader = _count(path, settings)
    options = settings.model.options
    trainer = GloveTrainer(
        counts,
        lr=settings.optimizer.options["lr"],
        batch=int(settings.training.batch_size),
        seed=settings.seed,
        device=choose_device(settings.training.device),
        **{k: options[k] for k in ("dim", "x_max", "alpha")},
    )
    given = sorted({*(chosen or {}), *(experiment.chosen() if experiment else ())})
    facts = _facts(reader, counts, options["min_count"])
    run = EmbeddingRun(settings, vocabulary, History(), None, facts, fingerprint=reader.fingerprint)
    run.folder = None if out is False else begin(run, given, out)
    if on_start is not None:
        on_start(run)
    try:
        for epoch in range(1, settings.training.epochs + 1):
            started = perf_counter()
            row = {"epoch": epoch, "train_loss_running": trainer.epoch()}
            rate = settings.optimizer.options["lr"]
            run.history.rows.append({**row, "lr": rate, "seconds": perf_counter() - started})
            if on_epoch is not None:
                on_epoch(run)
        run.status = "finished"
    except KeyboardInterrupt:
        run.status = "interrupted"  # what was learned so far can be used
    except BaseException:
        if run.folder:
            with suppress(StorageError):
                run.folder.update_manifest(status="failed")
        raise
    run.model = trainer.model
    finish(run)
    return run


def _settings(data: Any, chosen: dict[str, Any], experiment: Experiment | None) -> Experiment:
    """Return settings with all defaults of word vectors, and refuse those that they have not."""
    known = [*_SETTINGS, *(f"model.{key}" for key in _MODEL)]
    base = {k: v for k, v in experiment.flat().items() if k in experiment.chosen()} if experiment else {}
    usual = Experiment().flat()
    strange = [k for k, v in {**base, **chosen}.items() if k not in known and usual.get(k, _MODEL) != v]
    if strange:
        close = nearest(strange[0], known, 1)
        raise ConfigError(
            f"word vectors have no setting {strange[0]!r}",
            expected=", ".join(known),
            received=strange[0],
            hint=f"did you mean {close[0]!r}?" if close else None,
        )
    usual = {"name": "glove", "model.name": "glove", "optimizer.name": "adagrad", "optimizer.lr": 0.05}
    merged = {**usual, **{f"model.{k}": v for k, v in _MODEL.items()}}
    merged |= {k: v for k, v in {**base, **chosen}.items() if k in known and v != "auto"}
    if isinstance(data, str | Path):
        merged["data.source"] = str(data)
    for key in ("model.name", "optimizer.name"):
        if merged[key] != usual[key]:
            raise ConfigError(
                f"{key} does not suit word vectors", expected=repr(usual[key]), received=repr(merged[key])
            )
    if merged.get("data.source", "arrays") == "arrays":
        raise DataError(
            "word vectors are trained on a text file",
            expected="a path to .txt, .gz or .xz",
            received=repr(data)[:60],
        )
    return Experiment.of({**merged, "task": "embedding"})


def _count(path: Path, settings: Experiment) -> tuple[Vocabulary, Cooccurrences, Experiment, _Reader]:
    """Go through the text twice: which words there are, and which stand near each other."""
    options = settings.model.options
    vocabulary = Vocabulary.build(
        read_lines(path),
        specials=(),
        **{key: options[key] for key in ("level", "lower", "size", "min_count")},
    )
    if len(vocabulary) < 2:
        raise DataError(
            "too few words are frequent enough",
            expected=f"at least two words that occur {options['min_count']} times",
            received=f"{len(vocabulary)}",
            hint="more text, or --set model.min_count=1",
        )
    reader = _Reader(path, vocabulary)
    draws = np.random.default_rng(settings.seed)
    sample = options["sample"]
    if sample == "auto":
        sample = max(_SAMPLE, _KEPT / sum(vocabulary.counts))
    kept = (subsampled(piece, vocabulary.counts, sample, generator=draws) for piece in reader.pieces())
    counts = cooccurrence_matrix(kept, len(vocabulary), options["window"], options["weighting"])
    if not len(counts):
        raise DataError("no words stand near each other", expected="lines of several words", received="none")
    decided = {"model.sample": sample, **_decided(settings, 2 * len(counts))}
    return vocabulary, counts, settings.changed(decided), reader


def _facts(reader: _Reader, counts: Cooccurrences, min_count: int) -> tuple[str, ...]:
    rare = 1 - sum(reader.vocabulary.counts) / max(reader.tokens, 1)
    return (
        f"{reader.tokens:,} tokens in {reader.lines:,} lines",
        f"{counts.size:,} words that occur {min_count} times or more; the others, {rare:.2%} of the tokens, "
        "are left out",
        f"co-occurrences: {counts.text}",
    )


class _Reader:
    """The words of a text that have ids, in pieces, with −1 between lines."""

    def __init__(self, path: Path, vocabulary: Vocabulary) -> None:
        self.path, self.vocabulary = path, vocabulary
        self.tokens = self.lines = 0
        self._digest = hashlib.sha256()

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the ids of the words that were read so far, and the words."""
        digest = self._digest.copy()
        digest.update(self.vocabulary.fingerprint.encode())
        return digest.hexdigest()

    def pieces(self) -> Iterator[NDArray[np.int64]]:
        index, split = self.vocabulary.index, self.vocabulary.tokenizer.split
        ids: list[int] = []
        for line in read_lines(self.path):
            words = split(line)
            self.tokens += len(words)
            self.lines += 1
            ids += [index[word] for word in words if word in index]
            ids.append(-1)
            if len(ids) >= _PIECE:
                yield self._taken(ids)
                ids = []
        if ids:
            yield self._taken(ids)

    def _taken(self, ids: list[int]) -> NDArray[np.int64]:
        piece = np.array(ids, dtype=np.int64)
        self._digest.update(piece.astype("<i4").tobytes())
        return piece


def _decided(settings: Experiment, pairs: int) -> dict[str, Any]:
    """Return batch size and passes where they were left open: enough steps, however small the text."""
    chosen, training = settings.chosen(), settings.training
    batch = min(_BATCH, max(1, ceil(pairs / _PARTS)))
    if isinstance(training.batch_size, int):
        batch = training.batch_size
    elif training.batch_size == "full":
        batch = pairs
    epochs = training.epochs if "training.epochs" in chosen else max(5, ceil(_STEPS / ceil(pairs / batch)))
    device = str(choose_device(training.device))
    return {"training.batch_size": batch, "training.epochs": epochs, "training.device": device}
