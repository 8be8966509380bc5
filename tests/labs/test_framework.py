"""What labs are made of: rules of verdicts, seeds, running, what is kept, figures, pages."""

from __future__ import annotations

import math
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from preceptor.errors import ConfigError, DataError
from preceptor.labs import (
    Check,
    Claim,
    Evidence,
    Figure,
    Lab,
    Setup,
    above,
    beyond,
    exact,
    find,
    flipped,
    keep,
    lab,
    labs,
    more,
    near,
    perform,
    perform_all,
    read_results,
    rising,
    share,
    slope,
    told,
    verdict,
)
from preceptor.labs._several import _named
from preceptor.labs.chapters import ORDER, titles
from preceptor.labs.pages import lab_page, pages, write_pages

DOCS = Path(__file__).resolve().parents[2] / "docs" / "labs"
WRITE = "python -m preceptor.labs.pages docs/labs"


def made(name: str = "made", run: Any = None, claims: tuple[str, ...] = ("one",), **texts: str) -> Lab:
    """A lab that nobody has registered; by default it confirms its claims."""

    def confirm(setup: Setup) -> Evidence:
        return Evidence({claim: [exact("error", 0.0)] for claim in claims})

    named = {claim: Claim(f"The claim {claim}.", **texts) for claim in claims}
    return Lab(name, "likelihood", named, "numbers", "none is wrong", run or confirm)


# Verdicts


def test_a_verdict_is_that_of_its_weakest_check() -> None:
    yes, no, open_ = (Check("", holds) for holds in (True, False, None))
    assert verdict([yes, yes]) == "confirmed"
    assert verdict([yes, open_]) == "inconclusive"
    assert verdict([yes, open_, no]) == "refuted"
    assert verdict([yes, told("beside it", 3)]) == "confirmed"
    with pytest.raises(ConfigError, match="nothing that decides"):
        verdict([told("alone", 3)])


def test_above_goes_by_students_interval() -> None:
    values = [1.0, 1.2, 0.7, 1.1, 0.9]
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert above("x", values, low - 1e-6).holds is True
    assert above("x", values, low + 1e-6).holds is None
    assert above("x", values, high - 1e-6).holds is None
    assert above("x", values, high + 1e-6).holds is False


def test_more_compares_seed_by_seed() -> None:
    smaller = np.array([1.0, 5.0, 9.0])
    larger = smaller + np.array([0.1, 0.11, 0.09])
    assert more("x", larger, smaller).holds is True
    assert more("x", larger, smaller, by=0.2).holds is False
    assert above("x", larger, float(smaller.mean())).holds is None  # without the pairs nothing is seen
    with pytest.raises(ConfigError, match="pairs"):
        more("x", larger, smaller[:2])


def test_share_goes_by_wilsons_interval() -> None:
    low, high = stats.binomtest(40, 50).proportion_ci(method="wilson")
    assert share("x", 40, 50, above=low - 1e-6).holds is True
    assert share("x", 40, 50, above=low + 1e-6).holds is None
    assert share("x", 40, 50, above=high + 1e-6).holds is False


@pytest.mark.parametrize(
    ("check", "holds"),
    [
        (near("x", [0.9, 1.0], 1.0, within=0.06), True),
        (near("x", [0.9, 1.0], 1.0, within=0.04), False),
        (near("x", [math.nan], 1.0, within=9.0), False),
        (exact("x", 1e-7, 1e-6), True),
        (exact("x", math.nan, 1e-6), False),
        (beyond("x", math.inf, 1.0), True),
        (beyond("x", 1.0, 1.0), False),
        (rising("x", [1, 2, 3], [0.1, 0.2, 0.9]), True),
        (rising("x", [1, 2, 3], [0.3, 0.2, 0.1]), False),
        (rising("x", [1, 2, 3], [0.3, 0.2, 0.1], falling=True), True),
        (slope("x", [1, 10, 100], [2, 200, 20000], 2, within=0.01), True),
        (slope("x", [1, 10, 100], [2, 20, 200], 2, within=0.5), False),
    ],
)
def test_rules_without_chance(check: Check, holds: bool) -> None:
    assert check.holds is holds


def test_a_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing was measured"):
        above("x", [])


# Labs


def test_seeds_are_as_many_as_asked_for_and_differ() -> None:
    assert len(set(Setup().seeds(20))) == 20
    assert Setup().seeds(20)[:5] == Setup().seeds(5)
    assert len(Setup(full=True).seeds(3, 7)) == 7
    assert len(Setup(full=True).seeds(3)) == 3


def test_names_are_taken_once() -> None:
    assert labs()
    with pytest.raises(ConfigError, match="taken"):
        lab("likelihood", {"log-likelihood": Claim("Again.")}, data="", rule="")(lambda setup: Evidence({}))


def test_a_lab_is_found_by_its_name_and_by_its_claims() -> None:
    assert find("underflow") is find("log-likelihood")


@pytest.mark.parametrize(
    ("wrong", "near_by"),
    [("underflwo", "underflow"), ("log-likelyhood", "log-likelihood"), ("graph", "graphs")],
)
def test_an_unknown_name_gets_the_nearest(wrong: str, near_by: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean .*'{near_by}'"):
        find(wrong)


def test_chapters_and_labs_have_names_of_their_own() -> None:
    names = [name for one in labs() for name in (one.name, *(c for c in one.claims if c != one.name))]
    assert len(names) == len(set(names))
    assert not {*ORDER, "index"} & set(names)
    assert set(titles()) == set(ORDER)


# Running


def test_a_lab_leaves_every_generator_and_the_number_type_as_they_were() -> None:
    def restless(setup: Setup) -> Evidence:
        torch.set_default_dtype(torch.float64)
        drawn = random.random() + np.random.rand() + float(torch.rand(()))
        return Evidence({"one": [told("draw", drawn)]})

    def state() -> tuple[Any, ...]:
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = state()
    with pytest.raises(ConfigError, match="nothing that decides"):
        perform(made(run=restless))
    assert state() == before
    assert torch.get_default_dtype() == torch.float32


def test_the_master_seed_decides_every_draw() -> None:
    def drawing(setup: Setup) -> Evidence:
        drawn = [random.random(), np.random.rand(), float(torch.rand(()))]
        return Evidence({"one": [exact("error", 0.0)]}, table=[{"drawn": tuple(drawn)}])

    drawn = [perform(made(run=drawing), Setup(seed)).evidence.table[0]["drawn"] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert all(a != b for a, b in zip(drawn[0], drawn[2], strict=True))


def test_a_lab_decides_what_it_claims() -> None:
    with pytest.raises(ConfigError, match="does not decide"):
        perform(made(run=lambda setup: Evidence({"another": [exact("error", 0.0)]})))


def broken(setup: Setup) -> Evidence:
    raise ValueError("out of luck")


def test_several_labs_are_told_one_by_one_and_the_first_error_ends_them() -> None:
    chosen = [made("first"), made("second", run=broken), made("third")]
    begun: list[str] = []
    seen: list[str] = []
    with pytest.raises(ValueError, match="luck"):
        perform_all(chosen, Setup(), 1, lambda r: seen.append(r.lab.name), lambda one: begun.append(one.name))
    assert (begun, seen) == (["first", "second"], ["first"])


def test_the_others_go_on_where_somebody_hears_of_the_error() -> None:
    chosen = [made("first"), made("second", run=broken), made("third")]
    failed: list[tuple[str, str]] = []
    results = perform_all(chosen, Setup(), failed=lambda one, error: failed.append((one.name, str(error))))
    assert [result.lab.name for result in results] == ["first", "third"]
    assert failed == [("second", "out of luck")]


def test_processes_of_their_own_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads stand in for the processes, which would take seconds to begin."""
    from concurrent.futures import ThreadPoolExecutor

    def threads(jobs: int, mp_context: Any, initializer: Any) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1)

    monkeypatch.setattr("preceptor.labs._several.ProcessPoolExecutor", threads)
    chosen = [find("scaled-inputs"), made("unknown-there"), find("saturated-output")]
    failed: list[str] = []
    apart = perform_all(chosen, Setup(1), 2, failed=lambda one, error: failed.append(one.name))
    alone = [perform(one, Setup(1)) for one in (chosen[0], chosen[2])]
    assert failed == ["unknown-there"]
    assert [str(result) for result in apart] == [str(result) for result in alone]
    assert _named("saturated-output", Setup(1))[1] == alone[1].verdicts


# What is kept


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    def measured(setup: Setup) -> Evidence:
        figure = Figure("Loss", "step", "loss", {"sgd": [1.0, 0.5]}, [0, 1])
        row = {"n": np.int64(3), "loss": np.float64(0.5)}
        return Evidence({"one": [beyond("gain", 2, 1)]}, figure, [row], "So.")

    result = perform(made(run=measured), Setup(4))
    keep(result, tmp_path / "kept")
    (tmp_path / "kept" / "other.json").write_text("[1]")
    found = read_results(tmp_path / "kept")
    assert list(found) == ["made"]
    assert found["made"] == result.to_plain()
    assert found["made"]["table"] == [{"n": 3, "loss": 0.5}]
    assert found["made"]["claims"]["one"] == {"verdict": "confirmed", "checks": ["✓ gain 2, above 1"]}
    assert "<text" in (tmp_path / "kept" / "made.svg").read_text()


def test_a_folder_without_results_has_none(tmp_path: Path) -> None:
    assert read_results(tmp_path / "nowhere") == {}
    (tmp_path / "half.json").write_text('{"claims": ')
    with pytest.raises(DataError, match=r"half\.json"):
        read_results(tmp_path)


def test_verdicts_that_flip_are_named() -> None:
    plain = perform(made(claims=("one", "two"))).to_plain()
    before = {"made": {"claims": {"one": {"verdict": "refuted"}, "gone": {"verdict": "confirmed"}}}}
    assert flipped(before, [plain]) == [("one", "refuted", "confirmed")]
    assert flipped({}, [plain]) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lines", "points", "bars"])
def test_figures_are_the_same_to_the_byte(kind: Any, tmp_path: Path) -> None:
    rows = [[1.0, 0.1, 0.01], [2.0, 0.2, 0.02]]
    places = ["a", "b", "c"] if kind == "bars" else [1, 10, 100]
    figure = Figure("$T$", "x", "y", {"a": rows, "b": [3, 2, 1]}, places, kind, "xy", {"least": 0.01})
    for name in ("first", "second"):
        figure.save(tmp_path / name / "figure.svg")
    drawn = [(tmp_path / name / "figure.svg").read_bytes() for name in ("first", "second")]
    assert drawn[0] == drawn[1]
    assert figure.text().startswith("$T$. a: 1.5 at ")


# Pages


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one result, and its pages."""
    place = tmp_path_factory.mktemp("labs")
    keep(perform(find("saturated-output")), place)
    write_pages(place)
    return place


@pytest.mark.slow
def test_pages_are_short_and_their_links_lead_somewhere(folder: Path) -> None:
    written = sorted(folder.glob("*.md"))
    assert {page.name for page in written} >= {"index.md", "likelihood.md", "saturated-output.md"}
    for page in written:
        _assert_sound(page)


def test_a_lab_has_a_page_once_it_has_been_run(folder: Path) -> None:
    chapter = (folder / "likelihood.md").read_text(encoding="utf-8")
    assert "](saturated-output.md)" in chapter
    assert "](xor-training.md)" not in chapter
    assert not (folder / "xor-training.md").exists()


def test_a_page_shows_all_there_is(folder: Path) -> None:
    one = made(instead_of="the contrary", reference="3", source="Gauss, 1809")
    kept = perform(one).to_plain()
    kept |= {"table": [{"a|b": 1.23456, "c": "x\ny"}], "note": "So it is.", "figure": "A [b]."}
    page = lab_page(one, kept)
    for text in (
        "Often said: the contrary.",
        "Reference figure: 3.",
        "Source: Gauss, 1809.",
        "**Confirmed.**",
        "- ✓ error: error 0, at most 0",
        "So it is.",
        "| a\\|b | c |",
        "| 1.235 | x y |",
        "![A (b).](made.svg)",
    ):
        assert text in page


@pytest.mark.skipif(not DOCS.is_dir(), reason="the pages have not been written")
def test_the_pages_are_those_of_the_results() -> None:
    expected = pages(read_results(DOCS))
    assert {page.name for page in DOCS.glob("*.md")} == set(expected), WRITE
    for name, text in expected.items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, WRITE
        _assert_sound(DOCS / name)


def _assert_sound(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 160, page
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []
    targets = re.findall(r"\]\(([^)]+)\)", "\n".join(lines))
    assert [target for target in targets if not (page.parent / target).is_file()] == []
