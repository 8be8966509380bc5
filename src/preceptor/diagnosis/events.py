"""Scalars from TensorBoard's event files, read without TensorBoard, TensorFlow or protobuf."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from preceptor.diagnosis.curve import Curve
from preceptor.errors import DataError, StorageError

__all__ = ["crc32c", "event_files", "read_scalars", "records", "scalars_of"]

_LARGEST = 1 << 20  # bytes of a record that may hold scalars; a larger one is a picture or a graph
_CHECKED = 1 << 12  # bytes up to which a record's checksum is computed: in Python that takes 0.1 µs each
_POINTS = 5_000_000
_HEAD = struct.Struct("<QI")
_WIDTHS = {1: 8, 5: 4}
_KINDS = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}  # of a tensor, by its number
_LISTS = {5: "<f4", 6: "<f8"}  # fields of a tensor that hold its values one by one
_WHOLE = (7, 10)  # the same, of whole numbers


def _table() -> tuple[int, ...]:
    found = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        found.append(value)
    return tuple(found)


_TABLE = _table()


def crc32c(data: bytes | memoryview) -> int:
    """Return the cyclic redundancy check of Castagnoli's polynomial.

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'

    Source: RFC 3720 (2004), appendix B.4.
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> int:
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(file: IO[bytes], complain: Callable[[str], None] | None = None) -> Iterator[bytes]:
    """Yield the records of a file: length, checksum of it, data, checksum of them, all little-endian.

    A record that is cut off ends the file: its writer is at work, or was killed. Damage ends it too, and is
    told of. Records of over a megabyte are passed over.
    """
    count = 0
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        length, check = _HEAD.unpack(head)
        if _masked(head[:8]) != check:
            _say(complain, f"damaged after {count:,} records; what came before is used")
            return
        count += 1
        if length > _LARGEST:
            file.seek(length + 4, 1)
            continue
        data, check_of_data = file.read(length), file.read(4)
        if len(data) < length or len(check_of_data) < 4:
            return
        if length <= _CHECKED and struct.pack("<I", _masked(data)) != check_of_data:
            _say(complain, f"damaged at record {count:,}; what came before is used")
            return
        yield data


def _say(complain: Callable[[str], None] | None, text: str) -> None:
    if complain is not None:
        complain(text)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError("a number of more than ten bytes")


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a message of protocol buffers: number, and an integer or bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            width, at = _varint(data, at)
        elif wire in _WIDTHS:
            width = _WIDTHS[wire]
        else:
            raise ValueError(f"a field of the unknown form {wire}")
        if at + width > len(data):
            raise ValueError("a field that goes beyond its message")
        yield number, data[at : at + width]
        at += width


def scalars_of(record: bytes) -> Iterator[tuple[str, int, float]]:
    """Yield tag, step and value of each scalar in an event; nothing of pictures, histograms and texts.

    Raises:
        ValueError: the bytes are no event.

    Example:
        >>> event = b"\\x10\\x03\\x2a\\x0d" + b"\\x0a\\x0b\\x0a\\x04loss" + b"\\x15\\x00\\x00\\x80\\x3f"
        >>> list(scalars_of(event))
        [('loss', 3, 1.0)]
    """
    step, summaries = 0, []
    for number, value in _fields(memoryview(record)):
        if number == 2 and isinstance(value, int):
            step = value - (1 << 64) if value >> 63 else value
        elif number == 5 and not isinstance(value, int):
            summaries.append(value)
    for summary in summaries:
        for number, value in _fields(summary):
            if number == 1 and not isinstance(value, int):
                tag, found = _value(value)
                if found is not None:
                    yield tag, step, found


def _value(data: memoryview) -> tuple[str, float | None]:
    tag, found = "", None
    for number, value in _fields(data):
        if isinstance(value, int):
            continue
        if number == 1:
            tag = bytes(value).decode("utf-8", "replace")
        elif number == 2 and len(value) == 4:
            found = float(struct.unpack("<f", value)[0])
        elif number == 8:
            found = _single(value)
    return tag, found


def _single(tensor: memoryview) -> float | None:
    """Return the value of a tensor that holds one number; None of any other."""
    kind, values = 0, []
    content = memoryview(b"")
    for number, value in _fields(tensor):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 4 and not isinstance(value, int):
            content = value
        elif number in _LISTS and not isinstance(value, int):
            values += np.frombuffer(value, _LISTS[number]).tolist()
        elif number in _WHOLE and isinstance(value, int):
            values.append(float(value - (1 << 64) if value >> 63 else value))
    if kind in _KINDS and len(content):
        values = np.frombuffer(content, _KINDS[kind]).tolist()
    return float(values[0]) if len(values) == 1 else None


def event_files(folder: Path) -> list[Path]:
    """Return the event files that lie in a folder itself, oldest first."""
    return sorted(path for path in folder.glob("*tfevents*") if path.is_file())


def read_scalars(
    folders: Iterable[tuple[str, Path]], complain: Callable[[str], None] | None = None
) -> dict[str, Curve]:
    """Return the scalars of some folders as curves, by tag; where a step was written twice, the later value.

    Arguments:
        folders: what goes before a folder's tags, such as ``"train/"``, and the folder.
        complain: hears of damaged files, of which the sound part is used.

    Raises:
        StorageError: a file cannot be read.
        DataError: what a file holds is no event, or there are over five million points.
    """
    points: dict[str, dict[int, float]] = {}
    count = 0
    for prefix, folder in folders:
        for path in event_files(folder):
            for tag, step, value in _scalars(path, complain):
                points.setdefault(prefix + tag, {})[step] = value
                count += 1
                if count > _POINTS:
                    raise DataError(
                        f"{str(folder)!r} holds too many points", expected=f"at most {_POINTS:,}",
                        hint="export the curves that matter as CSV",
                    )  # fmt: skip
    return {tag: Curve(*zip(*sorted(found.items()), strict=True)) for tag, found in points.items()}


def _scalars(path: Path, complain: Callable[[str], None] | None) -> Iterator[tuple[str, int, float]]:
    def told(text: str) -> None:
        _say(complain, f"{path.name}: {text}")

    try:
        with path.open("rb") as file:
            for record in records(file, told):
                yield from scalars_of(record)
    except OSError as error:
        raise StorageError(f"cannot read {path}", received=error.strerror or str(error)) from error
    except (ValueError, IndexError) as error:
        raise DataError(
            f"{path} is not an event file of TensorBoard",
            expected="records of events",
            received=str(error),
        ) from error
