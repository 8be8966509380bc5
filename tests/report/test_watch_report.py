"""The page of a watch: whatever was recorded, it is sound, offline, small, escaped, and says what matters."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from preceptor.diagnosis.finding import Finding
from preceptor.errors import StorageError
from preceptor.observation.capture import capture
from preceptor.observation.record import Record
from preceptor.report._watch_tables import rows_of
from preceptor.report.watch import watch_html
from preceptor.run.examined.watch import Watch, write_report

LIMIT = 1_000_000
VOID = {"meta", "link", "img", "br", "wbr"}
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>\x00{{ 7*7 }}</style></svg>'


class Page(HTMLParser):
    """Reads a page and keeps its elements; raises where a tag is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len(dict(attrs))
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert "svg" in self.open
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((tuple(self.open), data.strip()))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def said(self, *tags):
        return " ".join(data for path, data in self.texts if set(tags) <= set(path))

    def strips(self, what):
        """Return the classes of colour of each strip whose text alternative begins with ``what``."""
        found, wanted = [], False
        for tag, attributes in self.elements:
            if tag == "svg":
                wanted = (attributes.get("aria-label") or "").startswith(what)
                found += [[]] if wanted else []
            elif tag == "path" and wanted:
                found[-1].append(attributes["class"])
        return found


def checked(text: str) -> Page:
    """Read a page that must be sound: closed tags, unique ids, links that lead somewhere, nothing loaded."""
    page = Page(text)
    ids = [a["id"] for _, a in page.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        assert tag not in ("iframe", "object", "embed", "form", "base")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "action"):
            assert re.match(r"data:|#|$", attributes.get(name) or "")
        target = attributes.get("href") or "#"
        assert tag == "link" or target == "#" or target[1:] in ids
        assert attributes.get("aria-labelledby") in (None, *ids)
    for marker in re.findall(r"url\(#([^)]*)\)", text):
        assert marker in ids
    assert len(page.all("script")) == 1
    css = page.said("style")
    assert "@import" not in css
    assert "url(" not in css
    assert "default-src 'none'" in next(a["content"] for a in page.all("meta") if a.get("http-equiv"))
    assert {c for a in page.all("path") for c in (a.get("class") or "").split()} <= set(
        re.findall(r"\.(\w+)", css)
    )
    assert len(text.encode()) < LIMIT
    return page


def train(record: Record, names: list[str], steps: int = 30, gradient=lambda depth, step: 0.1) -> Record:
    """Fill a record as a training of the parameters ``names`` would."""
    for step in range(steps):
        record.add("loss", step, 2.0 * math.exp(-step / 10), "train")
        g = [gradient(depth, step) for depth in range(len(names))]
        record.add_many("grad_norm", step, names, g)
        record.add_many("weight_norm", step, names, [2.0] * len(names))
        record.add_many("update_norm", step, names, [2e-3] * len(names))
        record.add_many("update_ratio", step, names, [1e-3] * len(names))
        record.add_many("zero_grad_share", step, names, [0.0] * len(names))
        record.add("total_grad_norm", step, float(np.linalg.norm(g)))
        record.add("lr", step, 0.1, "0.0")
    return record


@pytest.fixture(scope="module")
def graph():
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    with capture(net) as captured:
        torch.nn.functional.cross_entropy(net(torch.ones(5, 4)), torch.zeros(5, dtype=torch.long)).backward()
    return captured.graph


def test_an_empty_record_still_makes_a_page():
    page = checked(watch_html({}, Record(), {}, title="nothing"))
    assert page.said("h1") == "nothing"
    assert "0 training steps were seen." in page.said("span")
    assert "No step left a number to draw." in page.said("p")
    assert "Nothing is known to have been missed." in page.said("p")


def test_findings_come_first():
    found = [
        Finding(
            "missing-zero-grad",
            "critical",
            HOSTILE,
            {HOSTILE: HOSTILE},
            where="train.py:9",
            layers=(HOSTILE,),
        ),
        Finding("slow-data-loading", "info", "Half of the time is waiting.", {"share": 0.51}),
    ]
    text = watch_html({"steps": {"train": 3}}, Record(), {}, title="train.py", findings=found)
    page = checked(text)
    assert text.index('id="findings"') < text.index('id="curves"')
    assert "missing-zero-grad" in page.said("article", "h3")
    assert "critical · train.py:9" in page.said("article", "small")
    assert [a["class"] for a in page.all("article")] == ["finding critical", "finding info"]
    assert "share" in page.said("article", "dt")
    assert "0.51" in page.said("article", "dd")
    assert text.index('class="judged critical"') < text.index('class="verdict"')
    assert page.said("div", "ol", "a").startswith('"><script>')  # every alarm leads to its article
    assert "1 critical; remark: slow-data-loading" in page.said("h2", "small")
    assert "Findings" in page.said("nav", "a")


@pytest.mark.parametrize("judged", [True, False])
def test_a_page_says_that_nothing_was_found_only_if_asked(judged: bool):
    page = checked(watch_html({}, Record(), {}, title="t", findings=[] if judged else None))
    assert ("Nothing wrong was found." in page.said("p")) is judged
    assert "Findings" not in page.said("nav", "a")


def test_what_was_recorded_is_shown(graph):
    record = train(Record(), ["0.weight", "0.bias", "2.weight", "2.bias"])
    for step in (9, 19, 29):
        record.add("loss", step, 1.5, "evaluation:train.py:41")
    for name, value in {
        "step": 1e-3,
        "data": 2e-4,
        "forward": 3e-4,
        "backward": 3e-4,
        "optimizer": 1e-4,
    }.items():
        record.add(f"{name}_seconds", 3, value)
    record.add_many("act_std", 3, ["0", "1"], [0.5, 0.2])
    record.add_many("inactive_units", 3, ["1"], [0.75])
    record.facts["models"] = [{"name": "", "class": "Net", "parameters": 23, "where": "train.py:3"}]
    record.facts["environment"] = {"torch": "2.9.0", "devices": ["cpu"]}
    record.facts["classes"] = {"train": {"3": 70, "8": 20}}
    record.table("batches", {"step": 0, "what": "input", "shape": [5, 4], "dtype": "float32", "max": 1.0})
    record.table("losses", {"step": 0, "function": "cross_entropy", "where": "train.py:9", "value": 0.69})
    record.samples.add("train", np.arange(10, dtype=np.uint64))
    record.samples.add("evaluation", np.arange(8, 12, dtype=np.uint64))
    summary = {
        "steps": {"train": 30, "evaluations": 3, "epochs": 3},
        "seconds": 2.0,
        "look_seconds": 0.03,
        "looks": 30,
        "typical_step": ["forward Net (train.py:8)"] * 4 + ["backward (train.py:9)"],
        "notes": ["a compiled model hides its layers"],
    }
    page = checked(watch_html(summary, record, {3: graph, 20: graph}, title="train.py"))
    assert "30 training steps, 3 evaluation passes and 3 epochs were seen." in page.said("span")
    assert "The loss in evaluation (train.py:41) went from 1.500 to 1.500." in page.said("span")
    assert {"Loss", "Norm of the whole gradient", "Learning rate", "Where the time went"} == {
        data for path, data in page.texts if "figcaption" in path
    }
    cells = page.said("td")
    for told in ("Net", "[5,\xa04]", "cross_entropy", "70", "20.0 %"):
        assert told in cells
    assert "75.0 %" in page.said("b")
    assert "1.5 %" in page.said("b")
    assert page.said("ol", "code") == "forward Net (train.py:8) × 4 backward (train.py:9)"
    assert "a compiled model hides its layers" in page.said("li")
    assert sum("Computational graph" in (a.get("aria-label") or "") for a in page.all("svg")) == 2
    labels = [a.get("aria-label") or "" for a in page.all("svg")]
    assert any("data 20.0 %, forward 30.0 %, backward 30.0 %, step 10.0 %, other 10.0 %" in s for s in labels)


def test_gradients_that_vanish_fade_and_zeros_stand_out():
    def gradient(depth, step):
        return (
            0.0
            if depth == 1 and step >= 15
            else math.nan
            if depth == 2 and step >= 20
            else 10.0 ** (depth - 8)
        )

    names = [f"{k}.weight" for k in range(8)]
    page = checked(watch_html({}, train(Record(), names, gradient=gradient), {}, title="deep"))
    strips = page.strips("gradient norm")
    assert strips[0] == ["h0"]
    assert strips[7] == ["h8"]
    assert strips[1] == ["h1", "zero"]
    assert strips[2][-1] == "bad"
    depth = [int(strip[0][1]) for strip in strips]
    assert depth == sorted(depth)
    assert page.strips("update ratio") == [["d4"]] * 8
    notices = page.said("aside", "li")
    assert "No gradient at all (exactly 0) at the last look: 1 of 8 parameters (1.weight)." in notices
    assert "A gradient that is not finite at the last look: 1 of 8 parameters (2.weight)." in notices


@pytest.mark.parametrize(
    ("ratio", "colour"), [(1e-9, "d0"), (1e-3, "d4"), (3e-2, "d6"), (7.0, "d8"), (0.0, "zero")]
)
def test_updates_that_are_off_have_their_colour(ratio, colour):
    record = Record()
    record.add("update_ratio", 0, ratio, "w")
    assert checked(watch_html({}, record, {}, title="one")).strips("update ratio") == [[colour]]


def test_a_strip_keeps_to_the_steps_that_were_looked_at():
    record = Record()
    for step in (0, 50, 99):
        record.add("grad_norm", step, 1.0, "a")
    record.add("grad_norm", 99, 1.0, "b")
    text = watch_html({}, record, {}, title="two")
    runs = re.findall(r'aria-label="gradient norm[^>]*><path class="h\d" d="([^"]*)"', text)
    assert runs == ["M0 0h64v1h-64z", "M63 0h1v1h-1z"]


def test_losses_that_are_not_finite_are_named_and_leave_gaps():
    record = Record()
    for step, value in enumerate([1.0, 0.5, math.nan, math.inf, 0.25, -math.inf, 1e300]):
        record.add("loss", step, value, "train")
    page = checked(watch_html({"steps": {"train": 7}}, record, {}, title="broken"))
    assert "The loss is NaN at step 2, the first time." in page.said("span")
    assert "first NaN 2" in page.said("svg", "text")
    assert "A gap marks values that are not finite." in page.said("figure", "p")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_never_finite_has_no_curve(value):
    record = Record()
    for step in range(5):
        record.add("loss", step, value, "train")
        record.add("total_grad_norm", step, value)
        record.add_many("grad_norm", step, ["w"], [value])
        record.add_many("act_std", step, ["layer"], [value])
    page = checked(watch_html({}, record, {}, title="never"))
    assert page.all("figure") == []
    assert page.strips("gradient norm") == [["bad"]]


def test_a_long_run_is_a_line_in_a_band():
    record, rng = Record(), np.random.default_rng(0)
    for step, value in enumerate(rng.normal(5.0, 1.0, 20_000)):
        record.add("loss", step, value, "train")
    text = watch_html({}, record, {}, title="long")
    page = checked(text)
    assert "Band: lowest to highest" in page.said("figure", "p")
    assert "fill-opacity" in text
    assert len(text) < 60_000


def test_the_mean_of_a_band_weighs_every_step_alike():
    record = Record()
    for step in range(10_000):
        record.add("loss", step, float(step < 5_000), "train")
    rows = re.findall(
        r'<th scope="row">([\d,]+)</th><td>([^<]*)</td>', watch_html({}, record, {}, title="half")
    )
    means = [float(value) for _, value in rows]
    assert means.count(1.0) == pytest.approx(len(means) / 2, abs=2)
    assert set(means) <= {0.0, 1.0} or len(set(means) - {0.0, 1.0}) == 1


@pytest.mark.parametrize("name", ["encoder.{}.attention.{}.weight", "table_{}_{}", "{}.{}"])
def test_thousands_of_parameters_fit_on_a_page(name):
    names = [name.format(i, j) for i in range(60) for j in range(50)]
    rng = np.random.default_rng(0)
    page = checked(watch_html({}, train(Record(), names, 6, lambda *_: rng.lognormal()), {}, title="huge"))
    assert 50 <= len(page.strips("gradient norm")) <= 120
    assert "3,000 parameters" in page.said("p")


def test_modules_of_a_large_model_combine_their_parameters():
    names = [f"{i}.{kind}" for i in range(100) for kind in ("weight", "bias")]
    record = Record()
    record.add_many("grad_norm", 0, names, [3.0, 4.0] * 100)
    page = checked(watch_html({}, record, {}, title="blocks"))
    labels = [a["aria-label"] for a in page.all("svg") if "gradient norm" in (a.get("aria-label") or "")]
    assert labels == ["gradient norm from 5 to 5"] * 100


def test_a_gan_has_a_curve_for_each_optimizer():
    record = Record()
    for step in range(40):
        record.add("loss", step, 0.7 - 0.01 * step, "train:0")
        record.add("loss", step, 0.7 + 0.01 * step, "train:1")
        record.add("lr", step, 2e-4, "0.0")
        record.add("lr", step, 1e-4, "1.0")
        record.add("lr", step, 1e-4, "1.1")
    groups = [
        {"lr": 1e-4, "betas": [0.5, 0.999], "fused": None},
        {"lr": 1e-4, "betas": [0.5, 0.999], "fused": None},
    ]
    record.facts["optimizers"] = [
        {"label": "optimizer 0 (Adam)", "groups": [{"lr": 2e-4, "betas": [0.5, 0.999], "fused": None}]},
        {"label": "optimizer 1 (Adam)", "groups": groups},
    ]
    page = checked(watch_html({"steps": {"train": 80}}, record, {}, title="gan.py"))
    drawn = page.said("svg", "text")
    assert "train 0" in drawn
    assert "train 1" in drawn
    assert "1.0 +1" in drawn
    assert "The loss in train (optimizer 1) went from" in page.said("span")
    assert page.said("th").count("optimizer 1 (Adam)") == 2
    assert "fused" not in page.said("th")


def test_loaders_made_anew_each_epoch_are_one_evaluation():
    record = Record()
    for epoch in range(9):
        record.add("loss", epoch, 1.0 / (epoch + 1), f"evaluation:train.py:5 loader {epoch}")
    record.facts["loaders"] = [{"label": f"loader {k}", "batch_size": 64} for k in range(9)]
    page = checked(watch_html({}, record, {}, title="anew"))
    assert "The loss in evaluation (train.py:5) went from 1.000 to 0.1111." in page.said("span")
    assert page.said("tbody", "th").count("loader 0") == 1


def test_hostile_names_are_shown_and_never_run(graph):
    record = train(Record(), [HOSTILE, f"{HOSTILE}.x"], 3)
    record.add("loss", 1, 1.0, f"evaluation:{HOSTILE}")
    record.add_many("act_std", 0, [HOSTILE], [1.0])
    record.add("lr", 0, 0.5, HOSTILE)
    record.add("input_mean", 0, 0.5, HOSTILE)
    record.facts.update(
        {
            "models": [{HOSTILE: HOSTILE, "nested": {HOSTILE: [HOSTILE]}}],
            "environment": {HOSTILE: HOSTILE},
            "classes": {HOSTILE: {HOSTILE: 3}},
            HOSTILE: [HOSTILE],
        }
    )
    for table in ("batches", "losses", "notes", "offenders"):
        record.table(table, {HOSTILE: HOSTILE, "what": HOSTILE})
    record.samples.add(HOSTILE, np.arange(3, dtype=np.uint64))
    record.samples.add("train", np.arange(3, dtype=np.uint64))
    summary = {"typical_step": [HOSTILE], "notes": [HOSTILE], "level": HOSTILE}
    with capture(names={HOSTILE: (leaf := torch.ones(2, requires_grad=True))}) as captured:
        leaf.sum().backward()
    graphs = {0: captured.graph, 1: graph}
    page = checked(watch_html(summary, record, graphs, title=HOSTILE))
    assert page.said("h1").startswith('"><script>alert(1)</script>')
    assert page.all("img") == []
    assert "{{ 7*7 }}" in page.said("li", "code")
    assert "\x00" not in "".join(data for _, data in page.texts)


def test_a_large_graph_is_folded_text():
    with capture() as captured:
        x = torch.ones(3, requires_grad=True)
        y = x
        for _ in range(200):
            y = y * 1.0
        y.sum().backward()
    page = checked(watch_html({}, Record(), {7: captured.graph}, title="deep"))
    assert "Step 7: 20" in page.said("details", "summary")
    assert page.said("details", "pre").count("mul(") == 200


def test_of_many_graphs_three_are_shown(graph):
    page = checked(watch_html({}, Record(), dict.fromkeys(range(0, 50, 5), graph), title="many"))
    titles = [data for path, data in page.texts if path[-1] in ("h3", "summary") and data.startswith("Step")]
    assert [title.split(":")[0] for title in titles] == ["Step 0", "Step 20", "Step 45"]


def test_long_tables_say_what_they_leave_out():
    table = rows_of("Rows", [{"step": k, **{f"c{i}": i for i in range(40)}} for k in range(500)])
    assert (len(table.rows), len(table.head)) == (40, 24)
    assert table.note == "24 of 41 columns. 40 of 500 rows, evenly spaced."
    assert [table.rows[0][0], table.rows[-1][0]] == ["0", "499"]


def test_the_same_record_gives_the_same_page(graph):
    first, second = (
        watch_html({}, train(Record(), ["a.weight", "b.weight"]), {0: graph}, title="twice") for _ in range(2)
    )
    assert first == second


def test_a_watch_writes_its_report_whole_or_not_at_all(tmp_path, monkeypatch):
    layer = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    with Watch() as watch:
        for _ in range(3):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(layer(torch.ones(4, 2)), torch.ones(4, 1)).backward()
            optimizer.step()
    path = watch.report(tmp_path / "new" / "out.html")
    page = checked(path.read_text(encoding="utf-8"))
    assert "3 training steps were seen." in page.said("span")
    assert "mse_loss" in page.said("td")
    written = path.read_bytes()
    monkeypatch.setattr(
        "pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(StorageError, match="No space left"):
        write_report(watch, path, title="again")
    assert path.read_bytes() == written
    assert [p.name for p in path.parent.iterdir()] == ["out.html"]


def test_a_path_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        Watch().report(tmp_path / "file" / "out.html")
