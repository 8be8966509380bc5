"""Checksums beside what is written: a byte that has changed since then is noticed when it is read."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["KEY", "checksum", "sealed", "unsealed"]

KEY = "crc32"


def checksum(*parts: Any) -> str:
    """Return the CRC-32 of some bytes, one after the other, as eight hexadecimal digits.

    It finds every change within 32 bits that follow each other, and any other but for one in 4·10⁹. It is no
    protection against somebody who means to deceive.

    Arguments:
        parts: bytes, or whatever shows its memory as such.

    Example:
        >>> checksum(b"1234", b"56789")
        'cbf43926'
    """
    return f"{_over(parts):08x}"


def _over(parts: Iterable[Any]) -> int:
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return value


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object for JSON with a checksum of all that it holds.

    Example:
        >>> unsealed(sealed({"status": "running", "epochs": (1, 2)}))
        {'status': 'running', 'epochs': [1, 2]}
    """
    plain: dict[str, Any] = json.loads(json.dumps({k: v for k, v in content.items() if k != KEY}))
    return {**plain, KEY: _of(plain)}


def unsealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `sealed` was given; what has no checksum is returned as it is.

    Raises:
        ValueError: it has changed since.
    """
    plain = {k: v for k, v in content.items() if k != KEY}
    if KEY in content and content[KEY] != (now := _of(plain)):
        raise ValueError(f"its content has changed since it was written: checksum {now}, not {content[KEY]}")
    return plain


def _of(plain: Mapping[str, Any]) -> str:
    return checksum(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode())
