"""The pages in a real browser: nothing is fetched or complained of, charts answer, nobody is shut out."""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from preceptor.diagnosis.finding import Finding
from preceptor.observation.capture import capture
from preceptor.observation.record import Record
from preceptor.report import render, search
from preceptor.report.comparison import render as compared
from preceptor.report.summary import Parent, Watched
from preceptor.report.watch import watch_html

from .conftest import run_folder

api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium is installed", allow_module_level=True)

NAMES = ("own", "numbers", "watched", "search", "compared")
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 400, "height": 900}
TRIED = {"improved": True, "measure": "loss", "judged_on": "examples held out", "baseline": 2.3,
         "changed": 0.4, "interval": [1.2, 2.1], "steps": 80, "pairs": 3,
         "text": "lr 1 → 0.1: loss 2.3 → 0.4"}  # fmt: skip


def record() -> Record:
    made, names = Record(), ["0.weight", "0.bias", "2.weight"]
    for step in range(60):
        made.add("loss", step, 2.0 * math.exp(-step / 20) + 0.1 * math.sin(step), "train")
        made.add_many("grad_norm", step, names, [10.0 ** (k - 2) * (60 - step) for k in range(3)])
        made.add_many("weight_norm", step, names, [1.0 + step / 60] * 3)
        made.add_many("update_ratio", step, names, [1e-3, 0.0, math.nan])
        made.add_many("act_std", step, ["0", "1"], [0.5, 0.1])
        made.add_many("inactive_units", step, ["1"], [step / 60])
        made.add("total_grad_norm", step, 3.0 - step / 30)
        made.add("lr", step, 0.1, "0.0")
    for step in (19, 39, 59):
        made.add("loss", step, 1.5, "evaluation:train.py:41")
    made.table("losses", {"step": 0, "function": "cross_entropy", "where": "train.py:3", "value": 0.69})
    return made


def findings() -> tuple[Finding, ...]:
    evidence = {"steps that were followed": 8, "softmax at": "train.py:3"}
    return (
        Finding("missing-zero-grad", "critical", "gradients are never cleared", evidence, where="train.py:3",
                verification=TRIED),
        Finding("slow-data-loading", "info", "half of the time is waiting", {"share": 0.5}),
    )  # fmt: skip


def searched() -> search.SearchPage:
    axes = (search.Axis("optimizer.lr", "log:1e-4..1", log=True), search.Axis("model.activation", "relu|tanh",
            values=("relu", "tanh")))  # fmt: skip
    rates = np.geomspace(1e-4, 1, 8)
    tried = tuple(
        search.Tried(k, {"optimizer.lr": float(rate), "model.activation": ("relu", "tanh")[k % 2]},
                     abs(math.log10(rate) + 2), "", "", 5, 1.0 + k, "finished")
        for k, rate in enumerate(rates)
    )  # fmt: skip
    bars = (search.Bar("optimizer.lr", 0.9, 0.8, 0.95),)
    return search.SearchPage(
        "digits", "searches/digits-1", ("trial 4 wins.",), "val_loss", "min", axes, tried, 4, bars
    )


@pytest.fixture(scope="module")
def pages(digits, diabetes, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    program = folder / "train.py"
    program.write_text("import torch\n\nloss = criterion(model(x), y)\nloss.backward()\n", encoding="utf-8")
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    with capture(net) as captured:
        torch.nn.functional.cross_entropy(net(torch.ones(5, 4)), torch.zeros(5, dtype=torch.long)).backward()
    watched = Watched(record(), {3: captured.graph}, findings(), lambda _: program)
    parent = Parent(
        "runs/digits-0", ("lr 1 → 0.1",), (("optimizer.lr", 1.0, 0.1),), (("val_loss", 2.3, 0.4),)
    )
    steps = {"steps": {"train": 60, "evaluations": 3}, "seconds": 2.0, "look_seconds": 0.02}
    four = [run_folder(folder / f"{lr}-{seed}", lr, seed) for lr in (0.1, 0.5) for seed in (0, 1)]
    texts = {
        "own": render(dataclasses.replace(digits, watched=watched, parent=parent)),
        "numbers": render(diabetes),
        "watched": watch_html(steps, record(), {3: captured.graph}, title="train.py", findings=findings(),
                              find=lambda _: program),
        "search": search.render(searched()),
        "compared": compared(four),
    }  # fmt: skip
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def opened(browser: Any, path: Path, **options: Any) -> tuple[Any, list[str]]:
    """Return a page and what it complains of or asks for, beside its own file."""
    page = browser.new_page(viewport=WIDE, **options)
    page.set_default_timeout(20_000)
    noted: list[str] = []
    page.on("console", lambda message: noted.append(message.text))
    page.on("pageerror", lambda error: noted.append(str(error)))
    page.on("request", lambda request: noted.append(request.url))
    page.goto(path.as_uri())
    return page, [url for url in noted if url != path.as_uri() and not url.startswith("data:")]


@pytest.fixture(scope="module")
def own(browser, pages) -> Iterator[Any]:
    """The report of a run, open; a test leaves it as it found it."""
    page, _ = opened(browser, pages["own"])
    yield page
    page.close()


def broken(page: Any, **options: Any) -> list[str]:
    found = axe.Axe().run(page, options=options or None).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_page_works_alone_and_for_all(browser, pages, name):
    page, noted = opened(browser, pages[name])
    assert noted == []
    drawn = page.eval_on_selector_all(
        "figure .chart > svg",
        "all => all.map(s => [s.clientWidth > 200, s.querySelectorAll('path,use').length])",
    )
    assert drawn
    assert all(wide and marks > 1 for wide, marks in drawn)
    assert page.locator("figure[data-plot]").count() == page.locator(".probe").count() > 0
    dark = name in ("search", "watched")  # between them they have every component; each theme is seen of each
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.set_viewport_size(NARROW if name in ("own", "search") else WIDE)
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == ("rgb(20, 23, 26)" if dark else "rgb(246, 244, 238)")
    read = "all => all.map(probe => { probe.focus(); return probe.getAttribute('aria-valuetext'); })"
    assert all(re.search(r"\d", said) for said in page.eval_on_selector_all(".probe", read))
    if name != "numbers":  # which has no part that the others lack
        assert broken(page) == []
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    page.close()


def reading(page: Any, figure: str) -> str:
    return page.locator(f"{figure} .reading").inner_text().replace("\n", ", ")


@pytest.mark.slow
def test_the_pointer_reads_values(own, digits):
    probe = own.locator("#figure-loss .probe")
    probe.scroll_into_view_if_needed()
    box = probe.bounding_box()
    own.mouse.move(box["x"] + 0.98 * (1 - 76 / 460) * box["width"], box["y"] + 60)
    said = dict(part.rsplit(" ", 1) for part in reading(own, "#figure-loss").split(", "))
    row = digits.history[int(said["epoch"]) - 1]
    assert float(said["train"]) == pytest.approx(row["train_loss"], rel=1e-3)
    assert float(said["validation"]) == pytest.approx(row["val_loss"], rel=1e-3)
    own.mouse.move(5, 5)
    assert not own.locator("#figure-loss .reading").is_visible()


@pytest.mark.slow
def test_keys_read_and_enlarge(own):
    probe = own.locator("#figure-loss .probe")
    probe.focus()
    own.keyboard.press("End")
    assert probe.get_attribute("aria-valuetext").startswith("epoch 25, ")
    own.keyboard.press("ArrowLeft")
    assert probe.get_attribute("aria-valuetext").startswith("epoch 24, ")
    svg = own.locator("#figure-loss .chart > svg")
    own.keyboard.press("+")
    assert "zoomed" in svg.get_attribute("class")
    own.keyboard.press("Home")
    assert not probe.get_attribute("aria-valuetext").startswith("epoch 1,")
    own.keyboard.press("Escape")
    assert "zoomed" not in svg.get_attribute("class")
    probe.blur()


@pytest.mark.slow
def test_a_part_that_is_dragged_over_is_enlarged(own):
    svg, probe = own.locator("#figure-metric-0 .chart > svg"), own.locator("#figure-metric-0 .probe")
    probe.scroll_into_view_if_needed()
    box = probe.bounding_box()
    own.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 80)
    own.mouse.down()
    own.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 80)
    own.mouse.up()
    ticks = svg.locator("g.live > text").all_text_contents()
    epochs = [int(text) for text in ticks if re.fullmatch(r"\d+", text) and int(text) > 1]
    assert epochs
    assert max(epochs) - min(epochs) < 10
    own.locator("#figure-metric-0").get_by_role("button", name="Show all").click()
    assert "zoomed" not in svg.get_attribute("class")


@pytest.mark.slow
def test_cells_and_strips_tell_their_values(own):
    probe = own.locator("#figure-confusion .probe")
    probe.scroll_into_view_if_needed()
    probe.focus()
    assert re.match(r"true 0, predicted 0: \d+", probe.get_attribute("aria-valuetext"))
    probe.blur()
    time = own.locator("#parameters .time input")
    time.focus()
    own.keyboard.press("End")
    assert own.locator("#parameters .time output").inner_text() == "about 59"
    said = own.locator("#parameters .heat tbody tr").first.locator(".at").all_inner_texts()
    assert said == ["0.01", "1.98", "1e-3"]
    assert own.locator("#parameters .heat tbody tr").nth(2).locator(".at").nth(2).inner_text() == "not finite"
    own.keyboard.press("Home")
    own.locator("#parameters svg.strip").first.hover()
    assert "0.weight, gradient norm" in own.locator("#parameters .heat > .reading").inner_text()


@pytest.mark.slow
def test_an_alarm_leads_to_its_lines_and_its_cause(own):
    own.locator(".judged a").first.click()
    assert own.evaluate("location.hash") == "#finding-1"
    assert "3 ▸ loss = criterion(model(x), y)" in own.locator("#finding-1 pre b").inner_text()
    assert "helps" in own.locator("#finding-1 table").inner_text()
    own.locator("#finding-1 h3 a").click()
    assert "missing-zero-grad" in own.locator(":target dt").inner_text()


@pytest.mark.slow
def test_all_can_be_read_without_the_script_and_on_paper(browser, pages):
    page, noted = opened(browser, pages["own"], java_script_enabled=False)
    assert noted == []
    assert page.locator(".probe").count() == 0
    numbers = page.locator("#figure-loss details")
    assert not numbers.locator("table").is_visible()
    numbers.locator("summary").click()
    assert numbers.locator("tbody tr").count() == 25
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator("nav").is_visible()
    assert page.locator("#findings").is_visible()
    page.close()
