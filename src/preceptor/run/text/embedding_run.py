"""`EmbeddingRun`: vectors that were trained on a text, their folder, and what can be asked of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from preceptor.catalogue.word_vectors import Glove, WordVectors
from preceptor.data.text import Vocabulary
from preceptor.errors import CheckpointError, ConfigError
from preceptor.report.summary import Summary
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder
from preceptor.training.history import History
from preceptor.training.manifest import origin, versions

__all__ = ["EmbeddingRun", "begin", "finish", "load_embedding"]


@dataclass
class EmbeddingRun:
    """Vectors that were trained on a text.

    Attributes:
        experiment: everything that was chosen, defaults included.
        vocabulary: the words that have vectors.
        history: one row a pass: ``epoch``, ``train_loss_running`` (mean cost of a pair), ``lr``, ``seconds``.
        folder: the run's folder; None where nothing is written.
        facts: lines about text and counts.
        model: vectors and biases as they are now.
        status: ``"running"``, ``"finished"`` or ``"interrupted"``.
        fingerprint: SHA-256 over the words of the text, in order.
    """

    experiment: Experiment
    vocabulary: Vocabulary
    history: History
    folder: RunFolder | None
    facts: tuple[str, ...]
    model: Glove | None = None
    status: str = "running"
    fingerprint: str = ""

    @cached_property
    def vectors(self) -> WordVectors:
        """The words with their vectors, w + w̃ without the directions that nearly all of them share."""
        if self.model is None:
            raise CheckpointError("the vectors are not there yet", expected="a run that has ended")
        plain = WordVectors(self.vocabulary.symbols, self.model.vectors)
        directions = int(self.experiment.model.options["common_directions"])
        return plain.without_common(directions) if directions else plain

    def neighbours(self, expression: str, count: int = 10) -> list[tuple[str, float]]:
        """Return the words nearest to a word or to a sum such as ``"king - man + woman"``."""
        return self.vectors.neighbours(expression, count)

    def report(self, path: Path | str | None = None) -> Path:
        """Write the report as one HTML file; default: ``report.html`` in the run's folder. Return its path.

        Raises:
            ConfigError: neither a path nor a run folder.
        """
        from preceptor.report import write

        if path is None:
            if self.folder is None:
                raise ConfigError("the run has no folder", expected="run.report('report.html')")
            path = self.folder.path / "report.html"
        return write(self._summary(), Path(path))

    def _summary(self) -> Summary:
        return Summary(
            name=self.experiment.name,
            folder=str(self.folder.path) if self.folder else None,
            task="embedding: a vector for each word, by the company that it keeps",
            measure="the weighted squared error of log co-occurrence counts",
            experience="; ".join(self.facts),
            status=self.status,
            history=self.history.rows,
            best_epoch=len(self.history) or None,
            monitor="train_loss_running",
        )

    def __repr__(self) -> str:
        where = f" in {self.folder.path}" if self.folder else ""
        return f"<EmbeddingRun {self.experiment.name}: {self.status}, {len(self.vocabulary):,} words{where}>"


def begin(run: EmbeddingRun, chosen: list[str], out: Path | str | bool | None) -> RunFolder:
    """Make the run's folder, with all that is known before the first step."""
    facts = {
        "status": "running",
        "chosen": chosen,
        "signature": {"kind": "embedding", "words": len(run.vocabulary)},
        "facts": run.facts,
        "data": {"text": run.fingerprint, "vocabulary": run.vocabulary.fingerprint},
        "versions": versions(),
        "ledger": [],
        **origin(),
    }
    files = {
        "experiment.toml": run.experiment.to_toml(),
        "manifest.json": json.dumps(facts, indent=1) + "\n",
        "vocabulary.json": json.dumps(run.vocabulary.to_json(), ensure_ascii=False) + "\n",
    }
    where = out if isinstance(out, str | Path) else None
    return RunFolder.create(run.experiment.name, files, out=where)


def finish(run: EmbeddingRun) -> None:
    """Write history and vectors into the folder, where there is one."""
    if run.folder is None or run.model is None:
        return
    m = run.model
    run.folder.write("history.csv", run.history.to_csv())
    run.folder.write_weights(
        "best",
        {
            "words": m.words,
            "contexts": m.contexts,
            "word_biases": m.word_biases,
            "context_biases": m.context_biases,
        },
    )
    run.folder.seal(status=run.status, best_epoch=len(run.history) or None)


def load_embedding(folder: Path | str) -> EmbeddingRun:
    """Load a run of word vectors from its folder.

    Raises:
        CheckpointError: no such run, or damaged files.
    """
    where = RunFolder(folder)
    manifest = where.manifest
    if manifest["signature"].get("kind") != "embedding":
        raise CheckpointError(
            f"{where.path} holds no word vectors",
            expected="a run of --task embedding",
            received=f"a run of {where.experiment.task}",
        )
    try:
        state = json.loads(where.text("vocabulary.json"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"cannot read {where.path / 'vocabulary.json'}", expected="a vocabulary", received=str(error)
        ) from error
    weights = where.weights()
    names = ("words", "contexts", "word_biases", "context_biases")
    vocabulary = Vocabulary.from_json(state)
    if any(n not in weights or len(weights[n]) != len(vocabulary) for n in names):
        raise CheckpointError(
            "vectors and vocabulary do not belong together",
            expected=f"{', '.join(names)}, a row for each of {len(vocabulary):,} words",
            received=", ".join(f"{n} {tuple(w.shape)}" for n, w in weights.items()),
        )
    return EmbeddingRun(
        where.experiment,
        vocabulary,
        where.history,
        where,
        tuple(manifest.get("facts", ())),
        Glove(weights["words"], weights["contexts"], weights["word_biases"], weights["context_biases"]),
        str(manifest["status"]),
    )
