"""`audit`: data looked over by themselves, and what a training keeps of its own data before it begins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from preceptor.data import load, split
from preceptor.data._targets import retarget
from preceptor.data.audit import Audit, examine
from preceptor.errors import CheckpointError, ConfigError, DataError
from preceptor.files import write_json
from preceptor.run.examined.shift import keep_reference, saved_reference
from preceptor.tasks import KIND_OF_TASK
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["audit", "look_over", "saved_audit"]

_FILE = "audit.json"
_KINDS = ("images", "table", "vectors", "tensors")


def audit(
    data: Any,
    *,
    target: str | None = None,
    task: str | None = None,
    val: float | None = None,
    test: float | None = None,
    seed: int | None = None,
    settings: dict[str, Any] | None = None,
    quick: bool = False,
) -> Audit:
    """Look data over before anything is learnt from them.

    Types, ranges, missing values; constant, duplicated, mixed and identifying columns; outliers; copies
    within the data and across the parts; rare classes, contradictory and gainsaid labels; leaks of the
    target; shift between the parts.

    Arguments:
        data: what `preceptor.train` takes, other than a DataLoader or a Dataset of your own.
        target: the column to predict, where the data are a table.
        task: as in `preceptor.train`; default: by the targets.
        val: share of the examples to validate on, as a training would cut it.
        test: share of the examples to test on.
        seed: of the split.
        settings: further settings of the data by dotted key, such as ``{"data.order": "blocks"}``.
        quick: only what is cheap enough for every training.

    Returns:
        The audit: ``print(it)`` shows a line for each check, ``it.flaws`` are the warnings with the rows that
        they are about, ``it.remarks`` all that was said.

    Raises:
        DataError: the data cannot be read.
        ConfigError: a setting is of no use here.

    Example:
        >>> found = audit("wine")
        >>> found.clean, "✓ no column tells the target by itself" in str(found)
        (True, True)
    """
    given = {"data.val": val, "data.test": test, "data.seed": seed, "data.target": target}
    chosen = {key: value for key, value in given.items() if value is not None} | (settings or {})
    idle = sorted(key for key in chosen if not key.startswith("data."))
    if idle:
        raise ConfigError(
            "an audit has no such setting", expected="settings of the data, data.*", received=", ".join(idle)
        )
    if task is not None and task not in (*KIND_OF_TASK, "auto"):
        raise ConfigError("unknown task", expected=", ".join(KIND_OF_TASK), received=repr(task))
    wanted = Experiment().changed(chosen).data
    dataset = load(data, target=wanted.target, image_size=wanted.image_size, image_fit=wanted.image_fit)
    dataset = retarget(dataset, KIND_OF_TASK.get(task or "auto"))
    if dataset.kind not in _KINDS:
        raise DataError("these data cannot be audited", expected=", ".join(_KINDS), received=dataset.text)
    parts = split(dataset, val=wanted.val, test=wanted.test, seed=wanted.seed, order=wanted.order)
    return examine(dataset, parts, scale="none" if wanted.scale == "none" else "standard", quick=quick)


def look_over(run: Run, resumed: bool) -> None:
    """Audit the data that a run is about to learn from, as its setting says, and keep what it learns from.

    What goes on keeps what was found and kept when it was begun.
    """
    prepared, how = run.prepared, run.experiment.data.audit
    if resumed and run.folder is not None:
        run.audit, run.reference = saved_audit(run.folder), saved_reference(run.folder)
    if prepared is None or prepared.dataset.kind not in _KINDS:
        return
    if run.reference is None:
        run.reference = keep_reference(prepared, run.folder)
    if run.audit is None and how != "none":
        scale = run.experiment.data.scale
        run.audit = examine(prepared.dataset, prepared.split, scale=scale, quick=how == "quick")
        if run.folder is not None:
            write_json(run.folder.path / _FILE, run.audit.to_plain())


def saved_audit(folder: RunFolder) -> Audit | None:
    """Return the audit of a run that was saved; None where none was made.

    Raises:
        CheckpointError: it is damaged.
    """
    path = folder.path / _FILE
    if not path.is_file():
        return None
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}", expected="a JSON object", received=str(error)) from error
    return Audit.from_plain(plain)
