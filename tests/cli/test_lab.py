"""``preceptor lab``: the list, one lab, many, what was interrupted, what failed, what has flipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from preceptor.labs import Claim, Evidence, Lab, Setup, exact, labs

from .conftest import Cli

NAMES = ("first", "second", "third")


class Bench:
    """Three labs in place of all: what each does when it is run can be changed."""

    def __init__(self) -> None:
        self.error = 0.0
        self.ends: dict[str, BaseException] = {}
        self.setups: list[Setup] = []
        self.labs = [self.made(name, i != 1) for i, name in enumerate(NAMES)]

    def made(self, name: str, quick: bool) -> Lab:
        def run(setup: Setup) -> Evidence:
            self.setups.append(setup)
            if name in self.ends:
                raise self.ends[name]
            return Evidence({f"{name}-claim": [exact("error", self.error, 0.5)]})

        claims = {f"{name}-claim": Claim("It is so.", source="Gauss, 1809", instead_of="it is not")}
        return Lab(name, "likelihood", claims, "numbers", "none is wrong", run, quick)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    labs()  # the others, before they are hidden
    monkeypatch.setattr("preceptor.labs._lab._LABS", {one.name: one for one in made.labs})
    return made


def kept(folder: Path = Path("labs")) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def test_the_list_shows_the_last_verdicts(cli: Cli, bench: Bench):
    assert cli("lab", "second").code == 0
    found = cli("lab")
    rows = [line.split() for line in found.lines[1:4]]
    assert [row[1:3] for row in rows] == [[name, f"{name}-claim"] for name in NAMES]
    assert [" ".join(row[3:]) for row in rows] == ["not run", "confirmed", "not run"]
    assert found.lines[-1].startswith("3 claims, 2 not run")


def test_one_lab_is_told_and_kept(cli: Cli, bench: Bench):
    found = cli("lab", "first-claim", "--seed", 3, "--full", "--out", "here")
    assert found.code == 0
    assert found.lines[0].startswith("first · likelihood · ")
    told = ("data  numbers", "rule  none is wrong", "first-claim: It is so.", "✓ error: error 0, at most 0.5")
    for text in (*told, "often said  it is not", "source  Gauss, 1809", "confirmed"):
        assert f"  {text}" in found.lines
    assert bench.setups == [Setup(3, True)]
    assert list(kept(Path("here"))) == ["first"]
    assert not Path("here/index.md").exists()


def test_all_labs_end_with_a_page_of_verdicts(cli: Cli, bench: Bench):
    found = cli("lab", "--all")
    assert found.code == 0
    assert [line for line in found.lines if line[1:3] == "/3"] != []
    assert "3 claims: 3 confirmed, 0 refuted, 0 inconclusive" in found.lines[-1]
    assert found.lines[-1].endswith("labs/index.md")
    assert "| 3 | 3 | – | – | – |" in Path("labs/index.md").read_text()


@pytest.mark.parametrize("arguments", [("--quick",), ("--all", "--quick"), ("likelihood", "--quick")])
def test_quick_takes_the_quick_ones(cli: Cli, bench: Bench, arguments: tuple[str, ...]):
    assert cli("lab", *arguments).code == 0
    assert list(kept()) == ["first", "third"]


def test_a_chapter_is_run_by_its_name(cli: Cli, bench: Bench):
    assert cli("lab", "likelihood").code == 0
    assert list(kept()) == sorted(NAMES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("frist",), "did you mean 'first'"),
        (("likelyhood",), "did you mean 'likelihood'"),
        (("qqq",), "preceptor lab lists all"),
        (("first", "--all"), "name one lab, or take all"),
        (("second", "--quick"), "takes longer than a second"),
        (("first", "--check"), "there are no verdicts to compare with"),
    ],
)
def test_what_does_not_fit_is_said(cli: Cli, bench: Bench, arguments: tuple[str, ...], said: str):
    found = cli("lab", *arguments)
    assert found.code == 2
    assert said in found.err
    assert kept() == {}


def test_an_interruption_keeps_what_is_done(cli: Cli, bench: Bench):
    bench.ends["second"] = KeyboardInterrupt()
    found = cli("lab", "--all")
    assert found.code == 130
    assert "stopped: 1 of 3 labs are done" in found.lines[-1]
    assert list(kept()) == ["first"]
    assert "| 3 | 1 | – | – | 2 |" in Path("labs/index.md").read_text()


def test_a_lab_that_fails_does_not_end_the_others(cli: Cli, bench: Bench):
    bench.ends["second"] = ValueError("out of luck")
    found = cli("lab", "--all")
    assert found.code == 1
    assert "  failed: ValueError: out of luck" in found.lines
    assert "failed: second" in found.lines[-1]
    assert list(kept()) == ["first", "third"]


def test_a_flipped_verdict_is_told_and_kept(cli: Cli, bench: Bench):
    assert cli("lab", "--all").code == 0
    bench.error = 1.0
    found = cli("lab", "first")
    assert found.code == 0
    assert found.lines[-1] == "flipped: first-claim was confirmed, is refuted"
    assert kept()["first"]["claims"]["first-claim"]["verdict"] == "refuted"


def test_check_fails_where_a_verdict_has_flipped_and_keeps_nothing(cli: Cli, bench: Bench):
    assert cli("lab", "--all").code == 0
    before = kept()
    assert cli("lab", "--all", "--check").code == 0
    bench.error = 1.0
    found = cli("lab", "--all", "--check")
    assert found.code == 1
    assert len([line for line in found.lines if line.startswith("flipped: ")]) == 3
    assert "index.md" not in found.lines[-1]
    assert kept() == before
