"""The page: well-formed, offline, small, safe, deterministic, and complete for every kind of run."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import itertools
import math
import re
import time
from collections import Counter
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest

from preceptor.errors import StorageError
from preceptor.report import (
    DataSummary,
    Feature,
    Layer,
    ModelSummary,
    Predictions,
    Setting,
    Summary,
    TestLook,
    Timing,
    render,
    write,
)

VOID = {"meta", "link", "img", "br", "hr", "input"}
LIMIT = 1_000_000
SCRIPT = files("preceptor.report").joinpath("templates/report.js").read_text(encoding="utf-8")


class Page(HTMLParser):
    """Reads a page and keeps its elements; raises where a tag is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len(dict(attrs)), f"an attribute of <{tag}> occurs twice"
        self.elements.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert "svg" in self.open or tag in VOID
        self.elements.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((tuple(self.open), data.strip()))

    def all(self, tag):
        return [attributes for name, attributes, _ in self.elements if name == tag]

    def text(self, tag):
        return [data for path, data in self.texts if tag in path]


def bare(**changes) -> Summary:
    fields = {
        "name": "run", "folder": None, "task": "T", "measure": "P", "experience": "E", "status": "finished",
        "history": [], "best_epoch": None, "monitor": "val_loss",
    }  # fmt: skip
    return Summary(**{**fields, **changes})


def classified(n: int, n_classes: int, **changes) -> Predictions:
    rng = np.random.default_rng(0)
    target = rng.integers(0, n_classes, n)
    fields = {
        "kind": "classification", "part": "val", "target": target, "predicted": rng.permutation(target),
        "losses": rng.random(n), "rows": np.arange(n), "classes": tuple(f"c{k}" for k in range(n_classes)),
    }  # fmt: skip
    return Predictions(**{**fields, **changes})


def enormous(long: str, n_classes: int) -> Summary:
    """Everything at once, far beyond what a page can hold."""
    rng = np.random.default_rng(0)
    history = [
        {"epoch": e, "lr": 1e-3, "val_loss": rng.random()}
        | {f"{part}_{long[:50]}_{m}": rng.random() for part in ("train", "val") for m in range(12)}
        for e in range(1, 10_001)
    ]
    images = rng.integers(0, 256, (12, 3, 300, 300)).astype(np.uint8)
    names = tuple(f"{long}{k}" for k in range(n_classes))
    predictions = classified(3000, n_classes, classes=names, probabilities=rng.random((3000, n_classes)))
    worst = np.argsort(-predictions.losses, kind="stable")[:12]
    return bare(
        name=long,
        folder=long,
        task=long * 9,
        measure=long * 9,
        experience=long * 9,
        status=long,
        history=history,
        best_epoch=5000,
        settings=tuple(Setting(f"{long}{k}", list(range(999)), long, k % 2 == 0) for k in range(2000)),
        data=DataSummary(
            rows=((long, long),) * 300,
            class_counts={part: dict.fromkeys(names, 3) for part in ("train", "val", "test")},
            notes=(long,) * 500,
            features=tuple(Feature(f"{long}{k}", long, 0.1, 0.2, 0.3, 0.4, 5) for k in range(5000)),
        ),
        model=ModelSummary(long, "line\n" * 9999, 10**9, (Layer(long, long, long, 10**6),) * 3000),
        predictions=dataclasses.replace(predictions, images=dict(zip(worst.tolist(), images, strict=True))),
        test=TestLook({long: 0.5}, 3000, 7, (0.4, 0.6)),
        timing=Timing({f"{long}{k}": 0.01 for k in range(90)}, 1.0, 2.0, 3.0, 4.0, 5, 6.0),
        versions={f"{long}{k}": long for k in range(500)},
        notes=(long,) * 500,
    )


@pytest.fixture(scope="module")
def pages(digits, diabetes):
    return {s.name: render(s) for s in (digits, diabetes)}


@pytest.fixture(scope="module")
def edge_cases():
    values = [0.9, math.nan, None, math.inf, 0.5]
    gaps = [{"epoch": i + 1, "train_loss": v, "val_loss": v, "lr": 0.1} for i, v in enumerate(values)]
    return {
        "nothing": bare(),
        "gaps": bare(history=gaps, best_epoch=5),
        "one epoch": bare(
            history=[{"epoch": 1, "train_loss": 0.3, "val_loss": 0.4, "lr": 0.1}], best_epoch=1
        ),
        "no validation": bare(
            history=[{"epoch": e, "train_loss": 1 / e} for e in (1, 2)], monitor="train_loss"
        ),
        "no predictions": bare(predictions=classified(0, 3)),
        "a thousand classes": bare(predictions=classified(4000, 1000)),
        "hostile": bare(
            name='<script>alert("1")</script>',
            folder="</style><img src=x onerror=alert(1)>",
            status="<b>failed</b>",
            history=[{"epoch": 1, "train_loss": 1.0, "val_<img src=http://evil.example/a.png>": 1.0}],
            predictions=classified(9, 2, classes=('"><script>x</script>', "\x00\ud800{{ 7*7 }}")),
            settings=(Setting("<i>", "</table><script>", "&", True),),
            data=DataSummary(features=(Feature("<svg onload=alert(1)>", "number"),)),
            versions={"<script>": "url(http://evil.example)"},
            notes=("<script src=//evil.example></script>",),
        ),
        "enormous": enormous("name that goes on and on " * 40, 1000),
        "enormous and quoted": enormous('"' * 2500, 30),
    }


@pytest.fixture(scope="module")
def all_pages(pages, edge_cases):
    return pages | {name: render(summary) for name, summary in edge_cases.items()}


def test_tags_are_balanced_and_ids_unique(all_pages):
    for text in all_pages.values():
        page = Page(text)
        ids = [attributes["id"] for _, attributes, _ in page.elements if attributes.get("id")]
        assert len(ids) == len(set(ids))
        assert text.startswith('<!doctype html>\n<html lang="en">')


def test_links_and_labels_lead_somewhere(all_pages):
    for text in all_pages.values():
        page = Page(text)
        ids = {attributes.get("id") for _, attributes, _ in page.elements}
        for tag, attributes, _ in page.elements:
            target = attributes.get("href") or ""
            assert tag == "link" or not target or target[1:] in ids
            assert attributes.get("aria-labelledby", None) in (None, *ids)


def test_nothing_is_loaded_from_anywhere(all_pages):
    for name, text in all_pages.items():
        page = Page(text)
        for tag, attributes, _ in page.elements:
            assert tag not in ("iframe", "object", "embed", "form", "base")
            assert not any(key.startswith("on") for key in attributes)
            for key in ("src", "href", "xlink:href", "srcset", "data", "action"):
                assert re.match(r"data:|#|$", attributes.get(key) or "")
        assert page.text("script") == [SCRIPT.strip()]
        allowed = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
        assert f"script-src 'sha256-{allowed}'" in page.all("meta")[3]["content"]
        css = " ".join(page.text("style"))
        assert "@import" not in css
        assert "url(" not in css
        if name != "hostile":
            assert not re.search(r"https?:", text.replace(SCRIPT, ""))
        policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv"))
        assert "default-src 'none'" in policy


def test_every_page_is_small(all_pages):
    assert {name: len(text.encode()) for name, text in all_pages.items() if len(text.encode()) >= LIMIT} == {}


def test_what_a_user_wrote_is_shown_and_never_run(all_pages):
    page = Page(all_pages["hostile"])
    assert page.text("h1") == ['<script>alert("1")</script>']
    assert page.text("title")[0].startswith("<script>")
    assert "</table><script>" in page.text("td")
    assert "<svg onload=alert(1)>" in page.text("th")
    assert "��{{ 7*7 }}" in page.text("th")
    assert '"><script>x</script>' in page.text("th")
    assert not [a for a in page.all("img") if a.get("src") == "x"]


def test_every_figure_has_a_text_alternative_and_a_table(all_pages):
    for text in all_pages.values():
        page = Page(text)
        figures = len(page.all("figure"))
        drawings = [
            a for a in page.all("svg") if a.get("role") == "img" and len(a.get("aria-label") or "") > 20
        ]
        assert len(drawings) == len(page.all("svg")) == figures
        tables = [path for tag, _, path in page.elements if tag == "table" and "figure" in path]
        assert len(tables) == figures
        assert all("details" in path for path in tables)
        for image in page.all("img"):
            assert image["alt"]
            assert image["src"].startswith("data:image/png;base64,")


def test_tables_name_their_rows_and_columns(all_pages):
    for text in all_pages.values():
        page = Page(text)
        for tag, attributes, path in page.elements:
            if tag == "th":
                assert attributes.get("scope") == ("col" if "thead" in path else "row")
        kinds = Counter(tag for tag, _, _ in page.elements)
        assert kinds["caption"] == kinds["table"] == kinds["thead"]


def test_landmarks_and_headings_are_in_order(all_pages):
    for text in all_pages.values():
        page = Page(text)
        kinds = Counter(tag for tag, _, _ in page.elements)
        assert (kinds["main"], kinds["h1"], kinds["nav"], kinds["footer"]) == (1, 1, 1, 1)
        levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_same_summary_gives_the_same_bytes(digits, tmp_path):
    first = write(digits, tmp_path / "a.html").read_bytes()
    assert write(dataclasses.replace(digits), tmp_path / "b.html").read_bytes() == first


def test_the_verdict_stands_first(pages):
    verdict = " ".join(data for path, data in Page(pages["digits"]).texts if path[-2:] == ("p", "span"))
    assert verdict.startswith("Finished: all 25 epochs. Best epoch ")
    assert re.search(
        r"Test accuracy 0\.\d{3}, 95 % interval 0\.\d{3} to \d\.\d{3}, on 270 examples\.", verdict
    )
    assert "This was the first look at the test set." in verdict


def test_a_later_look_at_the_test_set_is_called_one():
    text = render(bare(test=TestLook({"accuracy": 0.9}, 100, 3)))
    assert "look number 3 at the test set" in text
    assert "first look" not in text
    assert "has not been looked at" in render(bare())


def test_task_measure_and_experience_are_told(pages, digits):
    told = Page(pages["digits"]).text("dd")
    assert {digits.task, digits.measure, digits.experience} <= set(told)


def test_worst_images_are_shown_with_what_was_predicted(pages, digits):
    images = Page(pages["digits"]).all("img")
    assert len(images) == 12
    p = digits.predictions
    first = int(p.losses.argmax())
    assert (
        images[0]["alt"] == f"row {p.rows[first]:,}: true {p.target[first]}, predicted {p.predicted[first]}"
    )


def image_of(pixels):
    """Return the first image that a page shows of ``pixels``."""
    from PIL import Image

    text = render(bare(predictions=classified(1, 2, images=pixels)))
    encoded = Page(text).all("img")[0]["src"].partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))


def test_shown_images_have_the_pixels_of_the_data():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 9, 7)).astype(np.uint8)
    assert (image_of(pixels) == pixels[0].transpose(1, 2, 0)).all()


def test_dark_images_are_stretched():
    pixels = np.tile(np.array([0, 4, 16], np.uint8), (1, 1, 3, 1))
    assert image_of(pixels)[0].tolist() == [0, 64, 255]


@pytest.mark.parametrize("shape", [(1, 8, 8), (8, 8), (3, 200, 10), (2, 4, 4), (1, 1, 1)])
def test_images_of_any_range_can_be_shown(shape):
    image = np.linspace(-3, 5, math.prod(shape)).reshape(shape)
    image.flat[0] = np.nan
    text = render(bare(predictions=classified(2, 2, images=[image, np.full(shape, np.inf)])))
    assert len(Page(text).all("img")) == 2


@pytest.mark.parametrize("image", [np.zeros(5), np.zeros((0, 2, 2)), "no image"])
def test_what_is_no_image_is_left_out(image):
    page = Page(render(bare(predictions=classified(1, 2, images=[image]))))
    assert page.all("img") == []
    assert len([a for a in page.all("li") if "class" not in a]) > 8


def test_the_worst_rows_are_tabled_where_there_are_no_images(pages, diabetes):
    p = diabetes.predictions
    cells = Page(pages["diabetes"]).text("th")
    assert f"{p.rows[p.losses.argmax()]:,}" in cells


def test_chosen_settings_stand_apart_from_defaults_in_words(pages):
    text = pages["digits"]
    chosen, defaults = text.split("<h3>Left at the default</h3>")
    assert "<h3>Chosen</h3>" in chosen
    assert ">optimizer.lr</th>" in chosen
    assert ">batch_size</a></dt>" in defaults


def test_missing_values_are_dashes(all_pages):
    cells = Page(all_pages["gaps"]).text("td")
    assert cells.count("–") >= 6
    assert not {"nan", "inf", "None"} & set(cells)


def test_what_is_left_out_is_said(all_pages):
    text = all_pages["enormous"]
    for said in (
        "of 10,000 epochs",
        "of 2,000 settings",
        "of 3,000 layers",
        "of 5,000 columns",
        "of 1,000 classes",
    ):
        assert said in text
    assert "4 further measures" in text
    assert "Pictures and the ends of long lists were left out" not in text
    assert "Pictures and the ends of long lists were left out" in all_pages["enormous and quoted"]


def test_a_page_is_made_quickly(digits):
    render(digits)
    start = time.process_time()
    render(digits)
    assert time.process_time() - start < 1.5


def variables(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))


def luminance(colour: np.ndarray) -> float:
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(a: np.ndarray, b: np.ndarray) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_have_contrast(pages, theme):
    css = " ".join(Page(pages["digits"]).text("style"))
    blocks = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    assert len(blocks) == 2
    assert f"color-scheme: {theme}" in blocks[theme == "dark"]
    named = variables(blocks[theme == "dark"])
    c = {name: np.array([int(v[i : i + 2], 16) / 255 for i in (1, 3, 5)]) for name, v in named.items()}
    assert set(c) == {"paper", "card", "ink", "muted", "rule", "train", "val", "rate", "hit", "miss", "mark"}
    for ground in ("paper", "card"):
        for text in ("ink", "muted", "train", "val", "rate", "mark"):
            assert contrast(c[text], c[ground]) >= 4.5, (text, ground)
    for shade in ("hit", "miss", "rule"):
        for opacity in np.linspace(0, 1, 11):
            cell = opacity * c[shade] + (1 - opacity) * c["card"]
            assert contrast(c["ink"], cell) >= 4.5, (shade, opacity)


def test_every_variable_that_is_used_is_defined(all_pages):
    for text in all_pages.values():
        defined = set(re.findall(r"(--[a-z]+):", text))
        assert set(re.findall(r"var\((--[a-z]+)\)", text)) <= defined


def test_print_is_light_and_focus_is_visible(pages):
    css = " ".join(Page(pages["digits"]).text("style"))
    assert "@media screen and (prefers-color-scheme: dark)" in css
    assert "@media print" in css
    assert ":focus-visible { outline: 3px" in css


def test_a_report_replaces_the_one_before_it(tmp_path):
    path = tmp_path / "new" / "report.html"
    write(bare(name="first"), path)
    assert write(bare(name="second"), str(path)) == path
    assert "<h1>second</h1>" in path.read_text(encoding="utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_a_failed_write_leaves_the_old_report(tmp_path, monkeypatch):
    path = write(bare(name="first"), tmp_path / "report.html")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write(bare(name="second"), path)
    assert "<h1>first</h1>" in path.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_path_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"report\.html"):
        write(bare(), tmp_path / "file" / "report.html")
