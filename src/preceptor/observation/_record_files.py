"""A record on disk: record.json and one file of plain arrays that it names; nothing in them is executed."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from preceptor.errors import StorageError, import_extra
from preceptor.files import atomic, write_text
from preceptor.observation.series import SMALLEST_CAP, Columns, Series
from preceptor.seals import KEY, sealed
from preceptor.untrusted import harmless_cell

__all__ = ["name_of", "pack", "parsed", "plain", "read", "to_csv", "to_parquet", "unpack", "write"]

Arrays = dict[str, np.ndarray[Any, Any]]

_FORMAT, _VERSION = "preceptor-record", 1
_ARRAYS_NAME = re.compile(r"series-[0-9a-f]{16}\.safetensors")
_TYPES = {"steps": np.int64, "values": np.float64, "low": np.float64, "high": np.float64, "counts": np.int64,
          "samples": np.uint64}  # fmt: skip
_LARGEST_JSON, _LARGEST_ARRAYS = 1 << 28, 1 << 32
_NOT_FINITE = ("nan", "inf", "-inf")


def write(folder: Path, content: Mapping[str, Any], arrays: Arrays) -> str:
    """Write a record into a folder; a crash at any moment leaves the former record or the new one, whole.

    Returns the name of the file of arrays, which no other content has.

    The arrays go under a name of their own (their digest) before record.json, which names them, is
    replaced in one rename.

    Raises:
        StorageError: the disk is full or not writable.
    """
    try:
        told = plain(content, strict=True)
        # The arrays hold the checksum of what record.json says, and that their name.
        data = safetensors.numpy.save(arrays, metadata={KEY: sealed(told)[KEY]})
        name = f"series-{_digest(data)}.safetensors"
        head = {"format": _FORMAT, "version": _VERSION, "arrays": name}
        text = json.dumps({**head, **told}, allow_nan=False, indent=1)
    except (RecursionError, ValueError, SafetensorError) as error:
        raise StorageError(f"cannot write the record {folder}", received=str(error)) from error
    with atomic(folder / name) as path:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    write_text(folder / "record.json", text)
    for other in folder.iterdir():
        if _ARRAYS_NAME.fullmatch(other.name) and other.name != name:
            with suppress(OSError):
                other.unlink()
    return name


def name_of(folder: Path) -> str:
    """Return what `write` returned of the record that lies in a folder now."""
    return str(_document(folder / "record.json")["arrays"])


def read(folder: Path) -> tuple[dict[str, Any], Arrays]:
    """Read what `write` wrote, checked for form, types and digest.

    Raises:
        StorageError: no record there, damaged, or from a later version.
    """
    for last in (False, False, True):
        content = _document(folder / "record.json")
        path = folder / content["arrays"]
        # A save that goes on beside this may have replaced both files in between: then read them again.
        if path.is_file() or last:
            arrays, written = _arrays(path)
            _check(folder / "record.json", content, written)
            return content, arrays
    raise AssertionError


def pack(series: Iterable[Series]) -> tuple[list[list[Any]], Arrays]:
    """Return an index for JSON and the columns of all series, one behind the other.

    Low, high and counts are stored for merged points only: of the others they are known.
    """
    index: list[list[Any]] = []
    parts: list[Columns] = []
    for one in series:
        merged = len(one) - one.fresh
        index.append([one.name, one.subject, len(one), merged, one.stride, one.cap])
        steps, values, low, high, counts = one.columns()
        parts.append((steps, values, low[:merged], high[:merged], counts[:merged]))
    names = ("steps", "values", "low", "high", "counts")
    return index, {
        name: np.concatenate([np.empty(0, _TYPES[name]), *(part[i] for part in parts)])
        for i, name in enumerate(names)
    }


def unpack(index: Any, arrays: Arrays) -> list[Series]:
    """Rebuild the series that `pack` took.

    Raises:
        ValueError: the index and the arrays do not agree.
    """
    found, at, merged_at = [], 0, 0
    for name, subject, length, merged, stride, cap in index:
        _check_row(name, subject, (length, merged, stride, cap))
        points, wide = slice(at, at + length), slice(merged_at, merged_at + merged)
        at, merged_at = points.stop, wide.stop
        steps, values = arrays["steps"][points], arrays["values"][points]
        narrow = [arrays[column][wide] for column in ("low", "high", "counts")]
        lengths = {len(steps), len(values)}, {len(column) for column in narrow}
        if lengths != ({length}, {merged}):
            raise ValueError(f"{name!r} of {subject!r} has fewer points than the index says")
        fresh = values[merged:]
        low, high = np.concatenate([narrow[0], fresh]), np.concatenate([narrow[1], fresh])
        counts = np.concatenate([narrow[2], np.ones(length - merged, np.int64)])
        if (counts < 1).any():
            raise ValueError(f"{name!r} of {subject!r} has points that stand for nothing")
        columns = (steps, values, low, high, counts)
        found.append(Series.of(name, subject, columns, cap=cap, stride=stride, fresh=length - merged))
    if at != len(arrays["steps"]) or merged_at != len(arrays["counts"]):
        raise ValueError(f"{at} points are listed, {len(arrays['steps'])} are there")
    return found


def plain(value: Any, *, strict: bool = False) -> Any:
    """Return a value as JSON can hold it; strictly, NaN and ±∞ become ``{"$float": "nan"}`` and the like.

    Example:
        >>> plain({"shape": (2, 3), "loss": float("nan"), 0: np.float32(0.5)}, strict=True)
        {'shape': [2, 3], 'loss': {'$float': 'nan'}, '0': 0.5}
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist(), strict=strict)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return {"$float": str(float(value))} if strict and not math.isfinite(value) else float(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, strict=strict) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, strict=strict) for item in value]
    return str(value)


def parsed(text: str) -> Any:
    """Return what `plain` made, strictly, of a value, from its JSON.

    Raises:
        ValueError: not JSON.
    """
    return json.loads(text, object_hook=_not_finite, parse_constant=_refused)


def to_csv(path: Path, series: Iterable[Series]) -> None:
    """Write name, subject, step, value, low, high: one row a point, floats exact to the last bit.

    A name that a spreadsheet would compute has a quote before it.
    """

    def rows(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["name", "subject", "step", "value", "low", "high"])
            for one in series:
                lists = (column.tolist() for column in one.columns()[:4])
                head = [harmless_cell(label) for label in (one.name, one.subject)]
                writer.writerows([*head, *row] for row in zip(*lists, strict=True))

    with atomic(path) as temporary:
        rows(temporary)


def to_parquet(path: Path, series: Iterable[Series]) -> None:
    """Write the same rows as `to_csv` as a Parquet file.

    Raises:
        ExtraMissing: pyarrow is not installed.
    """
    purpose = "writing Parquet"
    pa = import_extra("pyarrow", extra="tables", purpose=purpose)
    parquet = import_extra("pyarrow.parquet", extra="tables", purpose=purpose)
    all_of = [one for one in series if len(one)]
    lengths = [len(one) for one in all_of]
    columns = {
        "name": _labels(pa, [one.name for one in all_of], lengths),
        "subject": _labels(pa, [one.subject for one in all_of], lengths),
    }
    for i, name in enumerate(("step", "value", "low", "high")):
        kind = np.int64 if name == "step" else np.float64
        columns[name] = pa.array(np.concatenate([np.empty(0, kind), *(one.columns()[i] for one in all_of)]))
    with atomic(path) as temporary:
        parquet.write_table(pa.table(columns), temporary)


def _labels(pa: Any, labels: list[str], lengths: list[int]) -> Any:
    distinct = list(dict.fromkeys(labels))
    place = {label: i for i, label in enumerate(distinct)}
    codes = np.repeat(np.array([place[label] for label in labels], dtype=np.int32), lengths)
    words = [label.encode("utf-8", "backslashreplace").decode() for label in distinct]
    return pa.DictionaryArray.from_arrays(
        pa.array(codes), pa.array(words, type=pa.string())
    ).dictionary_decode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _bytes(path: Path, most: int) -> bytes:
    if not path.is_file():
        raise StorageError(
            f"no record in {str(path.parent)!r}",
            expected="a folder that Record.save wrote: record.json and series-….safetensors",
            received=f"{path.name} is " + ("no plain file" if path.exists() else "missing"),
        )
    if (size := path.stat().st_size) > most:
        raise damaged(path, f"{size:,} bytes, where {most:,} are the most that is read")
    try:
        return path.read_bytes()
    except OSError as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception | str) -> StorageError:
    """Return the error for a record that cannot be read."""
    return StorageError(
        f"the record {str(path)!r} cannot be read",
        expected="what Record.save wrote, unchanged",
        received=f"{type(error).__name__}: {error}"[:400] if isinstance(error, Exception) else error,
    )


def _document(path: Path) -> dict[str, Any]:
    data = _bytes(path, _LARGEST_JSON)
    try:
        content = parsed(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise damaged(path, error) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise damaged(path, f"a file that does not say it is a {_FORMAT}")
    version = content.get("version")
    if version != _VERSION or isinstance(version, bool):
        raise StorageError(
            f"the record {str(path)!r} has a form that this version does not know",
            expected=f"version {_VERSION}",
            received=f"version {version!r:.40}",
            hint="pip install --upgrade preceptor",
        )
    name = content.get("arrays")
    if not isinstance(name, str) or not _ARRAYS_NAME.fullmatch(name):
        raise damaged(path, f"arrays called {name!r:.60}")
    return content


def _arrays(path: Path) -> tuple[Arrays, str | None]:
    """Return the arrays, and the checksum of the text that they belong to."""
    data = _bytes(path, _LARGEST_ARRAYS)
    if _digest(data) not in path.name:
        raise damaged(path, "bytes whose digest is not the file's name")
    try:
        arrays: Arrays = safetensors.numpy.load(data)
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged(path, error) from error
    for name, kind in _TYPES.items():
        if name not in arrays or arrays[name].dtype != kind or arrays[name].ndim != 1:
            raise damaged(path, f"{name!r} is no column of {kind.__name__}")
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return arrays, header.get("__metadata__", {}).get(KEY)


def _check(path: Path, content: Mapping[str, Any], written: str | None) -> None:
    told = {key: value for key, value in content.items() if key not in ("format", "version", "arrays")}
    if written is not None and sealed(plain(told, strict=True))[KEY] != written:
        raise damaged(path, "a text that has changed since it was written")


def _check_row(name: Any, subject: Any, numbers: tuple[Any, ...]) -> None:
    whole = all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 62 for n in numbers)
    if not (isinstance(name, str) and isinstance(subject, str) and whole):
        raise ValueError("a row of the index has values of the wrong type")
    length, merged, stride, cap = numbers
    powers = stride > 0 and stride & (stride - 1) == 0
    if not (merged <= length <= cap and SMALLEST_CAP <= cap <= 1 << 24 and powers):
        raise ValueError(f"the index of {name!r} is inconsistent")


def _not_finite(item: dict[str, Any]) -> Any:
    if len(item) == 1 and item.get("$float") in _NOT_FINITE:
        return float(item["$float"])
    return item


def _refused(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")
