"""`audit`: data looked over by themselves, and what a training keeps of its own data before it begins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from preceptor.data import Dataset, Split, load, split
from preceptor.data._parallel import load_pairs
from preceptor.data._targets import retarget
from preceptor.data.audit import Audit, examine
from preceptor.data.audit._remark import EVERY, Remark
from preceptor.data.audit.lines import lines_of
from preceptor.data.audit.sampled import sampled
from preceptor.data.batches import LoaderBatches, rows_of
from preceptor.data.text import Place
from preceptor.errors import ConfigError, DataError, did_you_mean
from preceptor.run.examined.shift import keep_reference, saved_reference
from preceptor.tasks import APART, KIND_OF_TASK
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder
from preceptor.training.inputs import Inputs, dataset_for, loaders_for
from preceptor.training.language import is_language, text_defaults, text_path, text_places
from preceptor.training.pairs import is_pairs

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["audit", "look_over", "saved_audit"]

_FILE = "audit.json"
_FOLLOWED = ("images", "table", "vectors", "tensors")
_TEXTS = (".txt", ".text", ".tokens", ".txt.gz", ".txt.xz")
_OWN = {True: (500, 2.0), False: (2000, 20.0)}  # examples and seconds of reading, by whether it is quick
_CHARACTERS = {True: 1 << 21, False: 1 << 24}  # of each part of a text
_SETTINGS = ("data.", "text.")


def audit(
    data: Any,
    *,
    target: str | None = None,
    task: str | None = None,
    val: Any = None,
    test: Any = None,
    seed: int | None = None,
    settings: dict[str, Any] | None = None,
    quick: bool = False,
) -> Audit:
    """Look data over before anything is learnt from them.

    Types, ranges, missing values; constant, duplicated, mixed and identifying columns; outliers; copies
    within the data and across the parts; rare classes, contradictory and gainsaid labels; leaks of the
    target; shift between the parts. Of texts: broken characters, empty lines, copies, words that training
    lacks; of pairs, sides that do not go together.

    Arguments:
        data: what `preceptor.train` takes. Of a Dataset or DataLoader of your own some examples are read,
            evenly spread: 2,000, or 500 where it is quick; of a text the first 16 or 2 million characters.
        target: the column to predict, where the data are a table.
        task: as in `preceptor.train`; default: by the targets, and a text file is one to be continued.
        val: share of the examples to validate on, as a training would cut it, or data of their own.
        test: share of the examples to test on, or data of their own.
        seed: of the split.
        settings: further settings of data and text by dotted key, such as ``{"data.order": "blocks"}``.
        quick: only what is cheap enough for every training.

    Returns:
        The audit: ``print(it)`` shows a line for each check, ``it.flaws`` are the warnings with the rows that
        they are about, ``it.remarks`` all that was said.

    Raises:
        DataError: the data cannot be read.
        ConfigError: a setting is of no use here, or the task has no data.

    Example:
        >>> found = audit("wine")
        >>> found.clean, "✓ no column tells the target by itself" in str(found)
        (True, True)
    """
    shares = {"val": val, "test": test}
    given: dict[str, Any] = {"task": task, "data.seed": seed, "data.target": target}
    given |= {f"data.{part}": share for part, share in shares.items() if isinstance(share, int | float)}
    chosen = {key: value for key, value in given.items() if value is not None} | (settings or {})
    idle = sorted(key for key in settings or {} if not key.startswith(_SETTINGS))
    if idle:
        raise ConfigError(
            "an audit has no such setting", expected="settings of the data, data.*", received=", ".join(idle)
        )
    if task is not None and task not in (*KIND_OF_TASK, *APART, "auto"):
        known = (*KIND_OF_TASK, *APART)
        hint = did_you_mean(task, known)
        raise ConfigError("unknown task", expected=", ".join(known), received=repr(task), hint=hint)
    if task in (None, "auto") and _is_text(data):
        chosen["task"] = "language-modelling"
    experiment = Experiment().changed(chosen)
    experiment = experiment.changed(text_defaults(experiment, set(chosen)))
    held = [None if isinstance(share, int | float) else share for share in (val, test)]
    dataset, reading = _read(experiment, Inputs(data, val=held[0], test=held[1]), quick)
    wanted = experiment.data
    fixed = dataset.kind == "lines" or reading is not None
    cut = {"val": 0.0, "test": 0.0} if fixed else {"val": wanted.val, "test": wanted.test}
    parts = split(dataset, seed=wanted.seed, order=wanted.order, **cut)
    return _examined(experiment, dataset, parts, quick, reading)


def _is_text(data: Any) -> bool:
    return isinstance(data, str | Path) and str(data).lower().endswith(_TEXTS) and Path(data).is_file()


def _read(experiment: Experiment, inputs: Inputs, quick: bool) -> tuple[Dataset, tuple[Remark, ...] | None]:
    """Return the data, and what was seen in reading where they are a data set of one's own."""
    data, task, text = inputs.data, experiment.task, experiment.text
    if task == "reinforcement":
        raise ConfigError("there are no data to look over", expected="data", received="an environment")
    if is_pairs(experiment, data):
        held = {"val": inputs.val or text.val_file, "test": inputs.test or text.test_file}
        return load_pairs(data, target=experiment.data.target, keep_empty=True, **held), None
    if is_language(experiment):
        held = {"val_file": inputs.val or text.val_file, "test_file": inputs.test or text.test_file}
        return _lines(text_places(experiment, text_path(data), **held), text_path(data), quick), None
    if task == "embedding":
        return _lines({"train": Place(Path(text_path(data)))}, text_path(data), quick), None
    if isinstance(data, DataLoader | TorchDataset) and not isinstance(data, TensorDataset):
        most, seconds = _OWN[quick]
        loaders = dict(zip(("train", "val", "test"), loaders_for(experiment, inputs), strict=True))
        dataset, reading = sampled(loaders, most=most, seconds=seconds)
        return retarget(dataset, _kind(task)), reading
    if task in APART:
        return load(data, target=experiment.data.target, labelled=False), None
    return retarget(dataset_for(experiment, inputs), _kind(task)), None


def _kind(task: str) -> str | None:
    kind = KIND_OF_TASK.get(task)
    return None if kind == "anomalies" else kind  # which the targets have become already


def _lines(places: dict[str, Place], source: str, quick: bool) -> Dataset:
    name = Path(source).name.partition(".")[0] or "text"
    return lines_of(places, most=_CHARACTERS[quick], name=name, origin=source)


def _examined(
    experiment: Experiment,
    dataset: Dataset,
    parts: Split,
    quick: bool,
    reading: tuple[Remark, ...] | None = None,
) -> Audit:
    if dataset.kind not in EVERY:
        raise DataError("these data cannot be audited", expected=", ".join(EVERY), received=dataset.text)
    scale = "none" if experiment.data.scale == "none" or reading is not None else "standard"
    level = "word" if experiment.task == "embedding" else experiment.text.level
    return examine(
        dataset, parts, scale=scale, quick=quick, level=level, lower=experiment.text.lower, reading=reading
    )


def look_over(run: Run, resumed: bool) -> None:
    """Audit the data that a run is about to learn from, as its setting says, and keep what it learns from.

    What goes on keeps what was found and kept when it was begun.
    """
    prepared, how = run.prepared, run.experiment.data.audit
    if resumed and run.folder is not None:
        run.audit, run.reference = saved_audit(run.folder), saved_reference(run.folder)
    if prepared is not None and prepared.dataset.kind in _FOLLOWED and run.reference is None:
        run.reference = keep_reference(prepared, run.folder)
    if run.audit is None and how != "none":
        run.audit = _of_run(run, how == "quick")
        if run.folder is not None and run.audit is not None:
            run.folder.write_json(_FILE, run.audit.to_plain())


def _of_run(run: Run, quick: bool) -> Audit | None:
    """Return the audit of what a run is about to learn from; None where it cannot be read twice."""
    experiment, feeds = run.experiment, run.feeds
    if run.prepared is not None:
        known = run.prepared.dataset.kind in EVERY
        return _examined(experiment, run.prepared.dataset, run.prepared.split, quick) if known else None
    if feeds is None:
        return None
    if feeds.text is not None:
        held = {"val_file": experiment.text.val_file, "test_file": experiment.text.test_file}
        places = text_places(experiment, experiment.data.source, **held)
        dataset = _lines(places, experiment.data.source, quick)
        return _examined(experiment, dataset, split(dataset, val=0.0, test=0.0), quick)
    batches = {"train": feeds.train, "val": feeds.val, "test": feeds.test}
    loaders = {part: one.loader for part, one in batches.items() if isinstance(one, LoaderBatches)}
    if "train" not in loaders or any(rows_of(loader) is None for loader in loaders.values()):
        return None  # a stream may be one that flows once
    most, seconds = _OWN[quick]
    try:
        dataset, reading = sampled(loaders, most=most, seconds=seconds)
    except DataError:  # inputs of a kind that only the model knows
        return None
    return _examined(experiment, dataset, split(dataset, val=0.0, test=0.0), quick, reading)


def saved_audit(folder: RunFolder) -> Audit | None:
    """Return the audit of a run that was saved; None where none was made.

    Raises:
        CheckpointError: it is damaged.
    """
    path = folder.path / _FILE
    if not path.is_file():
        return None
    return Audit.from_plain(folder.json(_FILE))
