"""How a sound file is damaged: bytes, words of its format, whole values of JSON, members of archives."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import random
import struct
import warnings
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

from preceptor.diagnosis.events import _masked
from preceptor.seals import KEY

__all__ = ["Mutator", "bytewise", "framed_events", "in_json", "in_record", "in_safetensors", "in_zip"]

Mutator = Callable[[random.Random, bytes, Sequence[bytes]], bytes]

_NUMBERS = (
    0,
    1,
    7,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 62,
    (1 << 64) - 1,
)
_TEXTS = (
    *(b"nan", b"-inf", b"1e999", b"-1", b"0", b"1_000", b"9" * 400, b"true", b"null"),
    *(
        b'""',
        b"[]",
        b"{}",
        b"'",
        b'"',
        b",",
        b";",
        b"\t",
        b"\n",
        b"\r",
        b" ",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
    ),
    *("\u202e\u2028é\U0001f600".encode(), b"\x1b[2J\x1b]0;x\x07", b"[bold]", b"<script>alert(1)</script>"),
    *(b"=cmd|' /C calc'!A0", b"../../../etc/passwd", b"/etc/passwd", b"%s%n{0}"),
    *(b"[" * 5000, b'{"a":' * 3000, b"(" * 5000, b"a" * 5000),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, -(2**70), 0.5, float("nan"), float("inf"), 1e308),
    *("", "x", "0", "../x", "<b>", "\x1b[2J", "=1+1", "\ud800", "a" * 3000),
    *([], {}, [[]], [None], {"": None}, {"name": []}, [0] * 50),
)


def bytewise(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """Change a few places of the bytes: flip, set, cut, repeat, put in, exchange with another file."""
    data = bytearray(content)
    for _ in range(1 + int(rng.expovariate(0.7))):
        at = rng.randrange(len(data) + 1)
        rng.choice(_CHANGES)(rng, data, at, others)
    return bytes(data[: 1 << 20])


def _flip(rng: random.Random, data: bytearray, at: int, others: Sequence[bytes]) -> None:
    if at < len(data):
        data[at] ^= 1 << rng.randrange(8)


def _set(rng: random.Random, data: bytearray, at: int, others: Sequence[bytes]) -> None:
    if at < len(data):
        data[at] = rng.choice((0, 1, 10, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _number(rng: random.Random, data: bytearray, at: int, others: Sequence[bytes]) -> None:
    size, order = rng.choice((1, 2, 4, 8)), rng.choice("<>")
    form = order + {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
    data[at : at + size] = struct.pack(form, rng.choice(_NUMBERS) & ((1 << 8 * size) - 1))


def _cut(rng: random.Random, data: bytearray, at: int, others: Sequence[bytes]) -> None:
    del data[at : at + 1 + int(rng.expovariate(0.1))]


def _end(rng: random.Random, data: bytearray, at: int, others: Sequence[bytes]) -> None:
    del data[at:]


def _repeat(rng: random.Random, data: bytearray, at: int, others: Sequence[bytes]) -> None:
    data[at:at] = bytes(data[at : at + rng.randrange(1, 64)]) * rng.choice((1, 2, 50))


def _put(rng: random.Random, data: bytearray, at: int, others: Sequence[bytes]) -> None:
    data[at:at] = rng.choice(_TEXTS)


def _over(rng: random.Random, data: bytearray, at: int, others: Sequence[bytes]) -> None:
    text = rng.choice(_TEXTS)
    data[at : at + len(text)] = text


def _exchange(rng: random.Random, data: bytearray, at: int, others: Sequence[bytes]) -> None:
    other = rng.choice(others)
    start = rng.randrange(len(other) + 1)
    data[at : at + rng.randrange(1, 200)] = other[start : start + rng.randrange(1, 200)]


_CHANGES = (_flip, _flip, _set, _set, _number, _cut, _end, _repeat, _put, _over, _exchange)


def in_json(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """Exchange whole values of a JSON text, so that it stays JSON; now and then change its bytes."""
    if rng.random() < 0.2:
        return bytewise(rng, content, others)
    try:
        plain = json.loads(content)
    except ValueError:
        return bytewise(rng, content, others)
    for _ in range(1 + int(rng.expovariate(1.0))):
        plain = _changed(rng, plain)
    return json.dumps(plain).encode("utf-8", "surrogatepass")


def _changed(rng: random.Random, value: Any) -> Any:
    """Return nested values with one of them exchanged, left out or doubled."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return copy.deepcopy(rng.choice(_VALUES))
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key, act = rng.choice(keys), rng.random()
    if act < 0.1:
        del value[key]
    elif act < 0.2 and isinstance(value, dict):
        value[rng.choice(("", "__class__", "name", "$float", "x" * 300))] = value.pop(key)
    elif act < 0.2:
        value.insert(key, value[key])  # type: ignore[union-attr]
    else:
        value[key] = _changed(rng, value[key])
    return value


def in_zip(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """Change a member of an archive and pack it again, with sound checksums; or its name."""
    if rng.random() < 0.3:
        return bytewise(rng, content, others)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w") as target:
        chosen = rng.choice(source.namelist())
        for name in source.namelist():
            data = source.read(name)
            if name == chosen:
                data = _header(rng, data) if rng.random() < 0.5 else bytewise(rng, data, others)
                name = rng.choice(
                    (name, name, name, "../../x.npy", "/tmp/x.npy", "y.npy", "x", "/x.npy\x00y", "a" * 999)
                )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                target.writestr(name, data, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    return out.getvalue()


def _header(rng: random.Random, data: bytes) -> bytes:
    """Put another header before an array's bytes: other types, shapes beyond all memory."""
    kinds = (
        "<f8",
        "|O",
        "<U4",
        "|S3",
        "<M8[s]",
        "<c16",
        "|b1",
        "|V8",
        "<f2",
        "<i8",
        "<u4",
        ">f4",
        "[('a','<f8')]",
    )
    shapes = (
        "()",
        "(3,)",
        "(0,)",
        "(2, 0)",
        "(99999999999,)",
        "(-1,)",
        "(1,)*30",
        "(2, 3)",
        "(4, 4, 4)",
        "(1, 1, 1, 1)",
    )
    descr = rng.choice(kinds)
    descr = descr if descr.startswith("[") else repr(descr)
    text = f"{{'descr': {descr}, 'fortran_order': {rng.random() < 0.3}, 'shape': {rng.choice(shapes)}}}"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data[128:]


def in_safetensors(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """Exchange values in the header of a safetensors file, or in the JSON that it holds as text."""
    if rng.random() < 0.3:
        return bytewise(rng, content, others)
    (size,) = struct.unpack("<Q", content[:8])
    head, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    head.get("__metadata__", {}).pop(KEY, None)
    inner = [key for key, text in head.get("__metadata__", {}).items() if text[:1] in "{["]
    if inner and rng.random() < 0.7:
        key = rng.choice(inner)
        head["__metadata__"][key] = in_json(rng, head["__metadata__"][key].encode(), others).decode(
            "utf-8", "replace"
        )
    else:
        head = _changed(rng, head)
    text = json.dumps(head).encode("utf-8", "replace")
    return struct.pack("<Q", len(text)) + text + data


def in_record(rng: random.Random, content: bytes, others: Sequence[bytes]) -> tuple[str, bytes]:
    """Change the arrays of a record, and name the file by their digest, as it should be."""
    data = in_safetensors(rng, content, others)
    return f"series-{hashlib.sha256(data).hexdigest()[:16]}.safetensors", data


def framed_events(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """Change records of an event file, and put sound checksums around them."""
    if rng.random() < 0.2:
        return bytewise(rng, content, others)
    out, at = b"", 0
    while at + 12 <= len(content):
        (length,) = struct.unpack("<Q", content[at : at + 8])
        data = content[at + 12 : at + 12 + length]
        at += 16 + length
        if rng.random() < 0.4:
            data = bytewise(rng, data, [data])
        head = struct.pack("<Q", len(data))
        out += head + struct.pack("<I", _masked(head)) + data + struct.pack("<I", _masked(data))
    return out
