"""What a run answers for new examples, where that is neither one class nor numbers: labels, gaps, texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from preceptor import tasks
from preceptor.catalogue.architectures.densities import Density
from preceptor.data._scaler import Scaler
from preceptor.data._transcripts import TranscriptCoder
from preceptor.data._trees import TreeCoder
from preceptor.errors import ConfigError
from preceptor.run._given import network_outputs, read_like
from preceptor.run.apart.structure import StructureRun

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["answers", "columns", "sampled", "scored"]

_OWN = (tasks.MultiLabel, tasks.DensityEstimation)


def answers(run: Run, x: Any, made: torch.Tensor) -> NDArray[Any] | None:
    """Return what is answered, from the task's predictions ``made``; None where others know better."""
    if isinstance(run.task, _OWN):
        return made.numpy()
    if isinstance(run.task, tasks.Tagging) and run.preprocessor is not None:
        counts = [len(str(text).split()) for text in read_like(run, x, run.preprocessor)[0].tolist()]
        rows = zip(made.tolist(), counts, strict=True)
        return np.array([" ".join(run.task.classes[tag] for tag in tags[:n]) for tags, n in rows])
    if isinstance(run.task, tasks.Parsing) and run.preprocessor is not None:
        trees, given = run.preprocessor.coder, read_like(run, x, run.preprocessor)[0].tolist()
        assert isinstance(trees, TreeCoder)  # noqa: S101 - by the task
        return np.array(
            [trees.tree(str(text), rows) for text, rows in zip(given, made.tolist(), strict=True)]
        )
    if isinstance(run.task, tasks.Transcription):
        coder = run.preprocessor.coder if run.preprocessor is not None else None
        return np.array(coder.texts(made)) if isinstance(coder, TranscriptCoder) else made.numpy()
    if not isinstance(run.task, tasks.Imputation) or run.preprocessor is None:
        return None
    raw = np.asarray(read_like(run, x, run.preprocessor)[0], dtype=np.float64)
    return np.where(np.isnan(raw), made.numpy().astype(np.float64), raw)


def scored(run: Run, x: Any) -> NDArray[Any]:
    """Return how unusual each example is, in nats below the threshold, (N,); above 0 it is an anomaly.

    Raises:
        ConfigError: the run does not detect anomalies.
    """
    if not isinstance(run.task, tasks.AnomalyDetection):
        raise ConfigError(
            "this run does not tell what is unusual",
            expected="a run of the task anomaly-detection",
            received=run.task.name,
        )
    return run.task.scores(network_outputs(run, x)).numpy()


def sampled(run: Run, count: int, seed: int | None) -> NDArray[Any]:
    """Return new examples, (count, …), in the units of the data.

    Raises:
        ConfigError: the run's network has learned no density, or the data no units to return to.
        ModelError: it gives densities, but cannot draw from them.
    """
    encoder = run.preprocessor.encoder if run.preprocessor is not None else None
    if not isinstance(run.model, Density) or not isinstance(encoder, Scaler):
        raise ConfigError(
            "this run cannot draw examples",
            expected="a run of the task density-estimation on images or numbers",
            received=f"{run.task.name} with the model {run.experiment.model.name}",
        )
    generator = torch.Generator().manual_seed(seed) if seed is not None else None
    made: NDArray[Any] = encoder.restore(run.model.sample(count, generator))
    return made


def columns(
    run: Run | StructureRun, x: Any, predictions: NDArray[Any]
) -> tuple[list[str], list[list[Any]]] | None:
    """Return the columns of a file of predictions: names and rows; None where others know better."""
    if isinstance(run, StructureRun):
        values = predictions.reshape(len(predictions), -1)
        head = (
            ["cluster"] if predictions.ndim == 1 else [f"component_{i + 1}" for i in range(values.shape[1])]
        )
        return head, values.tolist()
    names = list(run.preprocessor.classes) if run.preprocessor is not None else []
    if isinstance(run.task, tasks.MultiLabel):
        sure = run.predict_proba(x)
        listed = [";".join(n for n, one in zip(names, row, strict=True) if one) for row in predictions]
        rows = [[text, *(f"{p:.4f}" for p in row)] for text, row in zip(listed, sure, strict=True)]
        return ["prediction", *names], rows
    if isinstance(run.task, tasks.AnomalyDetection):
        pairs = zip(predictions.tolist(), scored(run, x).tolist(), strict=True)
        return ["anomaly", "score"], [[said, f"{score:.4f}"] for said, score in pairs]
    if isinstance(run.task, tasks.DensityEstimation):
        return ["log_density"], [[f"{value:.4f}"] for value in predictions.tolist()]
    if isinstance(run.task, tasks.Imputation) and run.preprocessor is not None:
        features = run.preprocessor.feature_names or [f"x{i}" for i in range(predictions.shape[1])]
        return list(features), predictions.tolist()
    return None
