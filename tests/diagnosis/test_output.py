"""Findings in a terminal, for code hosts, and as known ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from preceptor.diagnosis.baseline import key_of, read_baseline, write_baseline
from preceptor.diagnosis.causes import CAUSES
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.sarif import sarif
from preceptor.diagnosis.show import as_text, counts
from preceptor.errors import StorageError

SOFTMAX = Finding(
    "probabilities-as-logits",
    "critical",
    "cross_entropy receives the output of softmax.",
    {"rows sum to": 1.0, "steps": [0, 2, 9], "graph": "linear → softmax → cross_entropy"},
    exact=True,
    where="train.py:41",
    steps=(0, 2),
    layers=("head",),
    effect="loss cannot fall below 1.46 with 10 classes",
    consequences=("Learning looks slow.",),
)
SLOW = Finding("learning-rate-too-low", "warning", "The loss fell by 2 % in 900 steps.", confidence=0.6)
NOTE = Finding("slow-data-loading", "info", "Half of the time is waiting.", {"share": 0.51})


def test_a_finding_in_a_terminal() -> None:
    assert as_text(SOFTMAX).splitlines() == [
        "✗ probabilities-as-logits          critical · train.py:41",
        "  cross_entropy receives the output of softmax.",
        "  evidence   rows sum to 1; steps 0, 2, 9; graph linear → softmax → cross_entropy",
        "  seen       at step 0 and 1 more in head",
        "  effect     loss cannot fall below 1.46 with 10 classes",
        "  remedy     give the logits to the loss; apply softmax or sigmoid only to show probabilities",
        "  consequences  Learning looks slow",
    ]
    assert as_text(SLOW).startswith("! learning-rate-too-low            warning\n  The loss fell")
    assert as_text(SOFTMAX, known=True) == "✗ probabilities-as-logits          critical · train.py:41 · known"


def test_lines_are_wrapped() -> None:
    lines = as_text(SLOW.but(title="word " * 60, evidence={"long": "word " * 80})).splitlines()
    assert max(map(len, lines)) <= 110
    assert lines[-2].startswith(" " * 13 + "word")


def test_counts() -> None:
    assert counts([SOFTMAX, SLOW, SLOW, NOTE]) == "1 critical, 2 warnings; remark: slow-data-loading"
    assert counts([NOTE, NOTE]) == "nothing wrong was found; remarks: slow-data-loading, slow-data-loading"


def test_sarif() -> None:
    found = [SOFTMAX, SLOW.but(where="net.py:7"), NOTE]
    log = sarif(found, version="1.2", program="train.py", locate=lambda file: f"my src/{file}")
    assert json.loads(json.dumps(log, allow_nan=False)) == log
    assert (log["version"], log["$schema"][-10:]) == ("2.1.0", "2.1.0.json")
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [finding.cause for finding in found]
    assert rules[0]["shortDescription"]["text"] == CAUSES["probabilities-as-logits"].meaning
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert 0 <= result["rank"] <= 100
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert [place["artifactLocation"]["uri"] for place in places] == [
        "my%20src/train.py",
        "my%20src/net.py",
        "my%20src/train.py",
    ]
    assert [place["region"]["startLine"] for place in places] == [41, 7, 1]
    assert run["results"][0]["locations"][0]["logicalLocations"][0]["name"] == "head"


ODD = Finding(
    "unscaled-inputs",
    "warning",
    "Inputs reach 1e9.",
    {"largest": float("inf"), "means": [0.5, float("nan")], "shape": (3, 4), "by column": {1: float("nan")}},
    where="a b/ü.py:0",
)


def _check_run(run: dict[str, Any]) -> None:
    """Assert what SARIF 2.1.0 asks of a run (sections 3.14, 3.18, 3.19, 3.49 of the standard)."""
    driver = run["tool"]["driver"]
    assert isinstance(driver["name"], str)
    assert driver["name"]
    assert run.get("columnKind") in ("utf16CodeUnits", "unicodeCodePoints")
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids)
    for rule in driver["rules"]:
        assert rule["id"]
        assert " " not in rule["name"]
        for text in ("shortDescription", "fullDescription", "help"):
            assert rule[text]["text"]
    for result in run["results"]:
        _check_result(result, ids)


def _check_result(result: dict[str, Any], ids: list[str]) -> None:
    """Assert what SARIF 2.1.0 asks of a result (sections 3.27, 3.28, 3.29, 3.30, 3.35)."""
    assert ids[result["ruleIndex"]] == result["ruleId"]
    assert isinstance(result["message"]["text"], str)
    assert result["message"]["text"]
    assert result["level"] in ("none", "note", "warning", "error")
    assert 0 <= result["rank"] <= 100
    assert result.get("baselineState", "new") in ("new", "unchanged", "updated", "absent")
    assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
    for suppression in result.get("suppressions", []):
        assert suppression["kind"] in ("inSource", "external")
    for location in result["locations"]:
        assert location
        for logical in location.get("logicalLocations", []):
            assert logical["name"]
        if "physicalLocation" in location:
            _check_place(location["physicalLocation"])


def _check_place(place: dict[str, Any]) -> None:
    uri = place["artifactLocation"]["uri"]
    assert uri
    assert re.fullmatch(r"[A-Za-z0-9._~!$&'()*+,;=@%/-]+", uri)  # RFC 3986, without a scheme
    assert not uri.startswith(("/", "./"))
    assert place["region"]["startLine"] >= 1


@pytest.mark.parametrize(
    "locate",
    [
        lambda file: file,
        lambda file: f"src/{file}",
        lambda file: f".\\my src\\{file}",
        lambda file: str(Path.cwd() / file),
        lambda file: f"/elsewhere/{file}",
    ],
    ids=["bare", "below", "backslashes", "absolute", "elsewhere"],
)
@pytest.mark.parametrize("known", [set(), {key_of(SLOW)}], ids=["new", "known"])
def test_what_the_standard_asks_for(locate: Any, known: set[str]) -> None:
    everything = [SOFTMAX, SLOW.but(where="net.py:7"), SLOW, NOTE, ODD]
    for found in ([], everything):
        log = sarif(found, version="1.2.3", known=known, program="train.py", locate=locate)
        assert json.loads(json.dumps(log, allow_nan=False)) == log
        assert log["version"] == "2.1.0"
        assert log["$schema"].startswith("https://")
        for run in log["runs"]:
            _check_run(run)
    places = [result["locations"][0]["physicalLocation"] for result in log["runs"][0]["results"]]
    assert all(place["artifactLocation"]["uri"].endswith(".py") for place in places)
    assert places[-1]["region"]["startLine"] == 1
    states = [result.get("baselineState") for result in log["runs"][0]["results"]]
    assert set(states) == ({None} if not known else {"new", "unchanged"})


def test_sarif_of_nothing_and_without_a_place() -> None:
    assert sarif([], version="1")["runs"][0]["results"] == []
    assert sarif([SLOW], version="1")["runs"][0]["results"][0]["locations"] == []


def test_known_findings_are_suppressed() -> None:
    results = sarif([SOFTMAX, SLOW], version="1", known={key_of(SLOW)})["runs"][0]["results"]
    assert ["suppressions" in result for result in results] == [False, True]
    moved = sarif([SOFTMAX.but(where="train.py:99")], version="1")["runs"][0]["results"][0]
    assert moved["partialFingerprints"] == results[0]["partialFingerprints"]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"where": "train.py:1"}, True),
        ({"title": "Other numbers.", "evidence": {}}, True),
        ({"where": "other.py:41"}, False),
        ({"cause": "loss-mismatch"}, False),
        ({"layers": ("other",)}, False),
        ({"layers": ("other",), "exact": False}, False),
    ],
)
def test_what_a_finding_is_recognised_by(changes, same: bool) -> None:
    assert (key_of(SOFTMAX.but(**changes)) == key_of(SOFTMAX)) is same


def test_layers_of_a_statistic_do_not_count() -> None:
    assert key_of(SLOW.but(layers=("a",))) == key_of(SLOW)


def test_a_baseline(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    write_baseline(path, [SOFTMAX, SLOW])
    assert read_baseline(path) == {key_of(SOFTMAX), key_of(SLOW)}
    assert json.loads(path.read_text())["findings"][0]["title"] == SOFTMAX.title


@pytest.mark.parametrize(
    "text", [None, "", "[]", "{}", '{"format": "preceptor-baseline", "version": 9}', "\xff"]
)
def test_no_baseline(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "known.json"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StorageError, match="cannot read the baseline"):
        read_baseline(path)
