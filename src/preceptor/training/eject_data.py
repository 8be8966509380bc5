"""The lines of a plain script that load, split and scale the data of a run."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

from preceptor.data import Prepared
from preceptor.errors import ConfigError
from preceptor.training.experiment import Experiment

__all__ = ["data_lines"]

_MISSING = '{"", "?", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none"}'


def data_lines(experiment: Experiment, prepared: Prepared, parts: list[str]) -> tuple[str, set[str]]:
    """Return the lines that make ``x_train``, ``y_train`` and so on, and the imports that they need.

    Raises:
        ConfigError: the data have no plain form: arrays that were made in code, folders of images, archives.
    """
    dataset, state = prepared.dataset, prepared.preprocessor.to_state()
    if dataset.origin.startswith("sklearn:"):
        lines, imports = _built_in(dataset.origin.partition(":")[2], state)
    elif dataset.kind == "table" and _is_text(experiment.data.source):
        lines, imports = _csv(experiment, prepared, state)
    else:
        raise ConfigError(
            "this run cannot be written as a plain script",
            expected="data built in, or from a text file with columns",
            received=f"{dataset.kind} from {dataset.origin}",
            hint="write the loading of x and y yourself, and take the rest from another run's script",
        )
    cut = _split(prepared, parts)
    imports |= {"import numpy as np"}
    if any("train_test_split" in line for line in cut):
        imports |= {"from sklearn.model_selection import train_test_split"}
    return "\n".join([*lines, *_targets(state, indexed=dataset.origin.startswith("sklearn:")), *cut]), imports


def _is_text(source: str) -> bool:
    return Path(source.removesuffix(".gz")).suffix in (".csv", ".tsv")


def _built_in(key: str, state: dict[str, Any]) -> tuple[list[str], set[str]]:
    name = "load_" + key.replace("-", "_")
    options = "scaled=False" if key == "diabetes" else ""
    lines = [f"data = {name}({options})"]
    lines.append("raw = data.images[:, None]" if key == "digits" else "raw = data.data")
    lines += _scaled(state["inputs"], axes=len(state["inputs"]["shape"]))
    lines.append("targets = data.target")
    return lines, {f"from sklearn.datasets import {name}"}


def _scaled(inputs: dict[str, Any], axes: int) -> list[str]:
    """Standardise as the run did: in float64, by constants of the training rows; 0 where nothing varies."""
    if inputs["mean"] is None:
        return ["x = torch.from_numpy(raw.astype(np.float32))"]
    shape = f".reshape({', '.join(['-1'] + ['1'] * (axes - 1))})" if axes > 1 else ""
    return [
        f"mean = np.array({inputs['mean']!r}){shape}",
        f"deviation = np.array({inputs['deviation']!r}){shape}",
        "scaled = (raw - mean) / np.where(deviation > 0, deviation, np.inf)",
        "x = torch.from_numpy(scaled.astype(np.float32))",
    ]


def _csv(experiment: Experiment, prepared: Prepared, state: dict[str, Any]) -> tuple[list[str], set[str]]:
    source, target = experiment.data.source, prepared.dataset.target_name
    opened = "gzip.open" if source.endswith(".gz") else "open"
    delimiter = _delimiter(source, {*prepared.dataset.feature_names, target})
    comma = "" if delimiter == "," else '.replace(",", ".")'
    goal = f"read(row, {target!r})"
    if state["target_kind"] == "numbers" or _whole(state["targets"]["classes"]):
        goal = f"decimal({goal})"
    columns = []
    for code in state["inputs"]["columns"]:
        if "values" in code:
            columns.append(f"    *category({code['name']!r}, {code['values']!r}, {code['marked']}),")
        else:
            scale = f"{code['mean']!r}, {code['deviation']!r}, {code['marked']}"
            columns.append(f"    *number({code['name']!r}, {scale}),")
    lines = [
        f"MISSING = {_MISSING}",
        "",
        "",
        "def read(row, name):",
        "    text = row[name].strip()",
        "    return None if text.lower() in MISSING else text",
        "",
        "",
        "def decimal(text):",
        f"    return float(text{comma})",
        "",
        "",
        "def number(name, mean, deviation, marked):",
        "    texts = [read(row, name) for row in table]",
        "    missing = np.array([text is None for text in texts])",
        "    values = np.array([mean if text is None else decimal(text) for text in texts])",
        "    if deviation is not None:",
        "        values = (values - mean) / (deviation if deviation > 0 else np.inf)",
        "    return [values, missing] if marked else [values]",
        "",
        "",
        "def category(name, known, marked):",
        "    texts = np.array([str(read(row, name)) for row in table])",
        "    missing = [np.array([read(row, name) is None for row in table])] if marked else []",
        "    return [texts == value for value in known] + missing",
        "",
        "",
        f'with {opened}({source!r}, "rt", encoding="utf-8-sig", newline="") as file:',
        f"    rows = csv.reader(file, delimiter={delimiter!r})",
        "    header, *rows = [row for row in rows if any(map(str.strip, row))]",
        'names = [name.strip() or f"column {i}" for i, name in enumerate(header, 1)]',
        "table = [dict(zip(names, row)) for row in rows]",
        f"table = [row for row in table if read(row, {target!r}) is not None]",
        "x = torch.from_numpy(np.stack([",
        *columns,
        "], axis=1).astype(np.float32))",
        f"targets = np.array([{goal} for row in table])",
    ]
    return lines, {"import csv", *({"import gzip"} if opened == "gzip.open" else set())}


def _delimiter(source: str, names: set[str | None]) -> str:
    """Return the delimiter that parts the header into the columns' names."""
    opened = gzip.open if source.endswith(".gz") else open
    for delimiter in ",;\t":
        with opened(source, "rt", encoding="utf-8-sig", newline="") as file:
            header = next((row for row in csv.reader(file, delimiter=delimiter) if any(row)), [])
        if names <= {name.strip() or f"column {i}" for i, name in enumerate(header, 1)}:
            return delimiter
    raise ConfigError("the file is not the one that was read", received=source, hint="restore the file")


def _targets(state: dict[str, Any], *, indexed: bool) -> list[str]:
    targets = state["targets"]
    if state["target_kind"] == "numbers":
        values = "targets.astype(np.float64).reshape(len(targets), -1)"
        scale = f"({values} - np.array({targets['offset']!r})) / np.array({targets['scale']!r})"
        return [f"y = torch.from_numpy(({scale}).astype(np.float32))"]
    if indexed:
        return ["y = torch.from_numpy(targets).long()"]
    classes = targets["classes"]
    name = "str(int(t))" if _whole(classes) else "str(t)"
    return [f"classes = {classes!r}", f"y = torch.tensor([classes.index({name}) for t in targets])"]


def _whole(classes: list[str]) -> bool:
    return all(name.lstrip("-").isdigit() for name in classes)


def _split(prepared: Prepared, parts: list[str]) -> list[str]:
    """Cut as the run did, part by part, from what the part before left over."""
    split = prepared.split
    if prepared.dataset.part is not None:
        raise ConfigError("a split that the source fixes has no plain form", received=prepared.dataset.origin)
    lines = ["train = np.arange(len(y))"]
    for part in ("test", "val"):
        rows = getattr(split, part)
        if len(rows):
            by = ", stratify=y[train]" if split.stratified else ""
            cut = f"train_test_split(train, test_size={len(rows)}, random_state={split.seed}{by})"
            lines.append(f"train, {part} = {cut}")
    return lines + [f"x_{part}, y_{part} = x[{part}], y[{part}]" for part in parts]
