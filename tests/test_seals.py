"""Checksums notice every changed byte of what they stand for."""

from __future__ import annotations

import json

import pytest

from preceptor.seals import KEY, sealed, unsealed

CONTENT = {
    "status": "running",
    "ledger": [{"look": 1, "metrics": {"accuracy": 0.1}}],
    "nan": float("nan"),
    "ü": None,
}


def test_a_round_trip_through_text() -> None:
    back = unsealed(json.loads(json.dumps(sealed(CONTENT), indent=1)))
    assert repr(back) == repr(CONTENT)
    assert unsealed(CONTENT) is not CONTENT
    assert KEY not in back


def test_every_flipped_bit_is_noticed_or_changes_nothing() -> None:
    text = json.dumps(sealed(CONTENT)).encode()
    noticed = 0
    for at in range(8 * len(text)):
        data = bytearray(text)
        data[at // 8] ^= 1 << at % 8
        try:
            found = unsealed(dict(json.loads(data)))
        except (ValueError, TypeError):
            noticed += 1
        else:  # the checksum's own name, or another way to write the same letter
            assert repr({k: v for k, v in found.items() if k in CONTENT}) == repr(CONTENT)
    assert noticed >= 8 * (len(text) - len('"crc32" '))


def test_a_checksum_from_elsewhere_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has changed since it was written: checksum \w{8}, not 00000000"):
        unsealed({**CONTENT, KEY: "00000000"})
