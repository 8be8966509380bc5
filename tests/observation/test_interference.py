"""A watched program says the same, to the last byte, as an unwatched one: over a corpus of programs.

By default a choice of programs is run; PRECEPTOR_ALL_PROGRAMS=1 runs them all, which takes half an hour.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ._programs import CHOSEN, CORPUS, TELLS_TIME, programs, run_both, without_closing, without_elapsed

EVERYTHING = os.environ.get("PRECEPTOR_ALL_PROGRAMS", "") not in ("", "0")
NAMES = programs(everything=EVERYTHING) or [
    pytest.param("", marks=pytest.mark.skip(reason="no corpus of programs beside this checkout"))
]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_program_changes(name: str, tmp_path: Path) -> None:
    findings = tmp_path / "findings.json"
    plain, watched = run_both(name, tmp_path, findings)
    assert without_elapsed(name, watched.stdout).decode() == without_elapsed(name, plain.stdout).decode()
    assert watched.code == plain.code
    assert without_closing(watched.stderr).decode() == plain.stderr.decode()
    assert watched.files == plain.files

    said = json.loads(findings.read_text(encoding="utf-8"))
    alarms = [finding["cause"] for finding in said["findings"] if finding["severity"] != "info"]
    assert bool(alarms) == name.endswith("/faulty"), alarms
    seen = said["watch"]
    assert seen["steps"]["train"] > 0
    assert [note for note in seen["notes"] if "error" in note] == []


def test_what_was_chosen_is_there() -> None:
    if not CORPUS.is_dir():
        pytest.skip("no corpus of programs beside this checkout")
    assert set(CHOSEN) <= set(programs(everything=True))


def test_closing_lines_are_told_from_the_program_s_own() -> None:
    own = b"watched  pot\nnote     never boils\nUserWarning: watched  it\n"
    closing = b"watched  3 training steps\nnote     an odd thing:\n         in two lines\njson     f.json\n"
    assert without_closing(own + closing) == own
    assert without_closing(closing) == b""
    assert without_closing(own) == own


def test_only_elapsed_seconds_are_left_out() -> None:
    line = b"page 25: loss 2.548  (%s s)\npage 26: loss 2.5 (0.5 s) so far\n"
    timed, other = TELLS_TIME[0], CHOSEN[0]
    assert without_elapsed(timed, line % b"1.1") == without_elapsed(timed, line % b"12.0")
    assert without_elapsed(other, line % b"1.1") == line % b"1.1"
    assert without_elapsed(timed, line % b"1.1").count(b"s)") == 1
