"""What is read of an evaluation: shapes of comparisons, axes, divisors; nothing of it changes the program."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.overrides import _get_current_function_mode_stack

from preceptor.observation._divisors import _tree, divides_hits
from preceptor.observation._judging import Judging
from preceptor.observation.watch import Watch

Y = torch.arange(8) % 3


def read(step) -> list[dict]:
    torch.manual_seed(0)
    rows: list[dict] = []
    output = torch.randn(8, 3)
    judging = Judging(output, rows.append)
    judging.start()
    step(output)
    judging.stop()
    assert _get_current_function_mode_stack() == []
    return rows


@pytest.mark.parametrize(
    ("step", "kinds"),
    [
        (lambda out: out.argmax(1) == Y, [("pick", 1)]),
        (lambda out: out.argmax(dim=-1) == Y, [("pick", 1)]),
        (lambda out: out.argmax(0), [("pick", 0)]),
        (lambda out: out.max(0), [("pick", 0)]),
        (lambda out: out.argmax(1, keepdim=True) == Y, [("pick", 1), ("compare", [8, 8])]),
        (lambda out: Y[:, None] - out[:, 0], [("compare", [8, 8])]),
        (lambda out: (out[:, 0] > 0.5).eq(Y), []),
        (lambda out: out.sum(1).max(0), []),
        (lambda out: Y[:, None] == Y, []),
        (lambda out: out.max(), []),
    ],
)
def test_rows(step, kinds) -> None:
    rows = read(step)
    assert [(row["kind"], row.get("axis", row.get("shapes", [0])[-1])) for row in rows] == kinds
    assert all(row["where"].startswith("test_judging.py:") for row in rows)


def test_errors_and_warnings_are_the_program_s_own() -> None:
    with pytest.raises(RuntimeError, match="must match") as caught:
        read(lambda out: out == torch.ones(7))
    assert str(caught.traceback[-1].path) == __file__
    for mode in list(_get_current_function_mode_stack()):
        mode.stop()
    assert _get_current_function_mode_stack() == []
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        read(lambda out: out.T.T[None].T)
    assert [Path(warning.filename).name for warning in seen] == ["test_judging.py"] * len(seen)


def _program(evaluate) -> tuple[list[float], list[int]]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
    optimizer, x = torch.optim.Adam(net.parameters(), lr=0.01), torch.randn(8, 4)
    losses, scores = [], []
    for _ in range(4):
        net.train()
        for _ in range(3):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), Y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        net.eval()
        scores.append(evaluate(net, x))
    return losses, scores


def _without_gradient(net, x) -> int:
    with torch.no_grad():
        return int((net(x).argmax(1) == Y).sum())


@torch.inference_mode()
def _inferring(net, x) -> int:
    return int((net(x).argmax(1, keepdim=True) == Y).sum())


def _within_another_mode(net, x) -> int:
    with torch.no_grad(), torch.device("cpu"):
        right = net(x).argmax(1) == Y
    return int(right.sum())


def _interrupted(net, x) -> int:
    try:
        with torch.no_grad():
            net(x) == torch.ones(7)  # noqa: B015
    except RuntimeError:
        return -1
    return 0


@pytest.mark.slow
@pytest.mark.parametrize("evaluate", [_without_gradient, _inferring, _within_another_mode, _interrupted])
def test_nothing_of_a_program_changes(evaluate) -> None:
    plain = _program(evaluate)
    state = torch.get_rng_state()
    with Watch() as watch:
        assert _program(evaluate) == plain
    assert torch.equal(torch.get_rng_state(), state)
    assert watch.notes == []
    assert _get_current_function_mode_stack() == []


def test_a_table_of_what_was_read() -> None:
    with Watch() as watch:
        _program(_inferring)
    kinds = [(row["kind"], row["op"]) for row in watch.record.tables["judging"]]
    assert kinds == [("pick", "argmax"), ("compare", "eq")]


# ---------------------------------------------------------------------- divisors

LOOP = """
def score(model, loader):
    hits = total = 0
    value = 0.0
    for x, y in loader:
        hits += {added}
        total += len(y)
    return {result}
"""
HITS = "(model(x).argmax(1) == y).sum().item()"


@pytest.mark.parametrize(
    ("added", "result", "text"),
    [
        (HITS, "hits / len(loader)", "hits / len(loader)"),
        (HITS, "100 * hits / len(loader)", "100 * hits / len(loader)"),
        (HITS, "hits / len(loader) * 100", "hits / len(loader)"),
        ("torch.sum(pred == y.data)", "hits.double() / len(loader)", "hits.double() / len(loader)"),
        ("pred.eq(y).sum()", "float(hits) / len(loader)", "float(hits) / len(loader)"),
        (HITS, "hits / total", None),
        (HITS, "hits / len(loader) / 32", None),
        (HITS, "hits / len(loader) / batch_size", None),
        (HITS, "hits / (len(loader) * 32)", None),
        ("(pred == y).float().mean()", "hits / len(loader)", None),
        ("(pred == y).sum() / len(y)", "hits / len(loader)", None),
        ("loss.item()", "hits / len(loader)", None),
        (HITS, "value / len(loader)", None),
    ],
)
def test_the_text_of_a_division(tmp_path, added, result, text) -> None:
    path = tmp_path / "program.py"
    path.write_text(LOOP.format(added=added, result=result), encoding="utf-8")
    assert divides_hits(str(path), 8) == text


def test_several_divisions_on_a_line_are_told_apart(tmp_path) -> None:
    path = tmp_path / "program.py"
    path.write_text(LOOP.format(added=HITS, result="value / len(loader), hits / len(data)"), encoding="utf-8")
    line = path.read_text().splitlines()[7]
    assert divides_hits(str(path), 8) is None
    assert divides_hits(str(path), 8, line.index("len(loader)")) is None
    assert divides_hits(str(path), 8, line.index("len(data)")) == "hits / len(data)"


def test_only_the_length_of_a_loader_counts(tmp_path) -> None:
    path = tmp_path / "program.py"
    path.write_text(LOOP.format(added="(x == y).sum()", result='f"{value / len(loader)} {hits / len(x)}"'))
    names: dict = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(Y, Y), batch_size=4)
    with Watch() as watch:
        names["score"](None, loader)
    assert watch.record.facts["divisors"] == []
    path.write_text(LOOP.format(added="(x == y).sum()", result='f"{value / len(x)} {hits / len(loader)}"'))
    exec(compile(path.read_text(), str(path), "exec"), names)
    _tree.cache_clear()
    with Watch() as watch:
        names["score"](None, loader)
    found = [row["text"] for row in watch.record.facts["divisors"]]
    assert found == (["hits / len(loader)"] if sys.version_info >= (3, 11) else [])


def test_what_cannot_be_read_has_no_text(tmp_path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def :", encoding="utf-8")
    assert divides_hits(str(broken), 1) is None
    assert divides_hits(str(tmp_path / "none.py"), 1) is None
    assert divides_hits("<stdin>", 1) is None
