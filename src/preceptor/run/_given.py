"""What a run is asked about: a part of its own data, or examples from outside in the form of its data."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preceptor import data, tasks
from preceptor.data import Part, Preprocessor
from preceptor.data.batches import Batches
from preceptor.errors import CheckpointError, ConfigError, DataError
from preceptor.run.examined.shift import warn_of_shift
from preceptor.training.dense import disturbed, with_noise
from preceptor.training.evaluate import outputs
from preceptor.training.feeds import in_order
from preceptor.training.inputs import Inputs, make_feeds
from preceptor.training.own_code import is_own_code
from preceptor.training.source import going_on

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["ensure_data", "examples_of", "in_words", "known_target", "network_outputs", "read_like"]

Keep: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def ensure_data(run: Run) -> None:
    """Read the data of a run that was loaded again, once.

    Raises:
        DataError: they were given in code.
        CheckpointError: they are not what they were.
    """
    if run.feeds is not None:
        return
    source = run.experiment.data.source
    if source == "arrays" or (run.preprocessor is None and run.coder is None):
        raise DataError(
            "the run's data were given in code, and are not kept",
            expected="a run on data that have a name or a path",
            received=source,
            hint="give new data: run.evaluate((x, y))",
        )
    inputs = Inputs(
        source,
        own_model=is_own_code(run.experiment.model.name),
        source=going_on(run.folder) if run.folder else None,
        coder=run.coder,
        carries=run.predictor.carried is not None,
    )
    run.feeds, run.prepared, _ = make_feeds(run.experiment, inputs, run.predictor.device)
    recorded = run.folder.manifest.get("data") if run.folder else None
    present = run.feeds.data
    if recorded and present and recorded["split"] != present["split"]:
        raise CheckpointError(
            "the data have changed since the run",
            expected=f"fingerprint {recorded['split'][:12]}",
            received=present["split"][:12],
            hint="restore the data; other data can be evaluated by naming their file",
        )


def read_like(run: Run, source: Any, preprocessor: Preprocessor) -> tuple[Any, Any]:
    """Return the inputs and targets of a source, read as those of the training were."""
    images = run.experiment.data
    return data.read_inputs(source, preprocessor, image_size=images.image_size, image_fit=images.image_fit)


def network_outputs(run: Run, x: Any, keep: Keep | None = None) -> Tensor:
    """Return what the network gives for new examples, or what ``keep`` makes of it.

    Raises:
        ConfigError: the run does not take examples one by one.
        DataError: there are none, or they are of another form.
    """
    if run.coder is not None:
        raise ConfigError("a text is continued, not predicted row by row", hint="run.generate(prompt)")
    if isinstance(run.task, tasks.Translation):
        raise ConfigError("sentences are translated, symbol by symbol", hint="run.translate(sentences)")
    if run.preprocessor is not None:
        raw, _ = read_like(run, x, run.preprocessor)
        for column, values in run.preprocessor.unseen(raw).items():
            shown = ", ".join(map(repr, values[:6]))
            warnings.warn(f"column {column!r}: not seen in training, taken as none: {shown}", stacklevel=3)
        inputs = run.preprocessor.inputs(raw)
        warn_of_shift(run, raw, stacklevel=3)
    elif isinstance(x, str | Path):
        raise DataError(
            "a run on your own loaders predicts for tensors",
            expected="inputs of the form that the loader yielded",
            received=repr(str(x)),
            hint="run.predict(x) in Python",
        )
    else:
        inputs = torch.as_tensor(x)
    if not len(inputs):
        raise DataError("there is nothing to predict", expected="at least one example", received="none")
    grid = isinstance(run.task, tasks.Segmentation | tasks.Reconstruction) and inputs.ndim == 4
    dummy = torch.zeros((len(inputs), 1, 1) if grid else len(inputs), dtype=torch.long)
    batches = in_order(
        Part(inputs, dummy, np.arange(len(inputs))), batch_size=64, device=run.predictor.device
    )
    assert batches is not None  # noqa: S101 - there is at least one example
    return outputs(run.predictor, batches, keep)[0]


def examples_of(run: Run, on: Any) -> tuple[str, Batches]:
    """Return the examples of a part, or of a source, as batches, and what they are called.

    Raises:
        DataError: there are none, or their targets are missing.
    """
    if isinstance(on, str) and on in ("train", "val", "test"):
        ensure_data(run)
        assert run.feeds is not None  # noqa: S101 - just made sure
        batches = {"train": run.feeds.probe, "val": run.feeds.val, "test": run.feeds.test}[on]
        if on == "train" and run.prepared is not None:
            seen = disturbed(run.prepared.train, with_noise(run.experiment))
            batches = in_order(seen, batch_size=64, device=run.predictor.device)
        if batches is None:
            raise DataError(
                f"there are no {on} examples",
                expected=f"a run that holds some out: {on}=0.15",
                received=run.prepared.split.text if run.prepared else f"no {on} loader",
            )
        return on, batches
    if run.preprocessor is None:
        raise DataError(
            "a run on your own loaders is evaluated on its own parts", expected="train, val or test"
        )
    raw, target = read_like(run, on, run.preprocessor)
    target = known_target(run.preprocessor, raw, target)
    if target is None:
        raise DataError(
            "the targets are missing", expected="the column that was predicted", received=str(on)[:80]
        )
    x, y = run.preprocessor.inputs(raw), run.preprocessor.targets(target)
    warn_of_shift(run, raw, stacklevel=4)
    run.familiar = run.reference.trained_on(raw) if run.reference else 0
    seen = disturbed(Part(x, y, np.arange(len(y))), with_noise(run.experiment))
    batches = in_order(seen, batch_size=64, device=run.predictor.device)
    if batches is None:
        raise DataError("there is nothing to evaluate", expected="at least one example", received="none")
    return Path(on).name if isinstance(on, str | Path) else "data", batches


def known_target(preprocessor: Preprocessor, raw: Any, target: Any) -> Any:
    """Return the target of new data: the inputs where they are their own, zeros where none is known."""
    if preprocessor.target_kind == "inputs":
        return raw
    nothing = preprocessor.target_kind == "anomalies" and not preprocessor.classes
    return np.zeros(len(raw), np.int64) if nothing else target


def in_words(run: Run, predicted: NDArray[Any]) -> NDArray[Any]:
    """Return numbers of classes as the data call the classes; numbers as they are where there are none."""
    classes = run.preprocessor.classes if run.preprocessor else ()
    if not classes:
        return predicted
    whole = all(name.lstrip("-").isdigit() for name in classes)
    labels: NDArray[Any] = np.array([int(name) for name in classes] if whole else classes)
    named: NDArray[Any] = labels[predicted]
    return named
