"""``preceptor audit``, and what ``train`` and ``predict`` say of data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Cli


@pytest.mark.slow
def test_a_clean_set(cli: Cli) -> None:
    done = cli("audit", "wine", "--fail-on", "warning")
    assert (done.code, done.err) == (0, "")
    assert done.lines[0] == "178 rows × 13 columns · 3 classes · split 124/27/27 (stratified, seed 0)"
    assert "  ✓ no column tells the target by itself" in done.lines
    assert done.lines[-1].startswith("nothing to warn of (")
    assert not any(line.startswith("  !") for line in done.lines)


def leaky(tmp_path: Path, n: int = 80) -> Path:
    lines = ["size,colour,paid,kind"]
    for i in range(n):
        kind = "rose" if (i * 37) % 100 > 50 else "lily"
        lines.append(
            f"{(i * 53) % 71},{'red' if i % 2 else 'blue'},{'1.5' if kind == 'rose' else '0.5'},{kind}"
        )
    path = tmp_path / "leaky.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_leak_is_shown_with_what_to_do(cli: Cli, tmp_path: Path) -> None:
    done = cli(
        "audit", leaky(tmp_path), "--target", "kind", "--quick", "--json", "found.json", "--fail-on=warning"
    )
    assert done.code == 3
    (flaw,) = [line for line in done.lines if line.startswith("  !")]
    assert "read off paid alone" in flaw
    plain = json.loads((tmp_path / "found.json").read_text())
    assert plain["remarks"]["target-leakage"][0]["columns"] == ["paid"]
    alone = cli("audit", leaky(tmp_path), "--target", "kind", "--quick", "--json", "-")
    assert json.loads(alone.out)["remarks"].keys() == plain["remarks"].keys()


def test_a_training_says_it_too(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", leaky(tmp_path), "--target", "kind", "--epochs", 1)
    assert done.code == 0
    assert any(line.startswith("audit    ! the target can be read off paid alone") for line in done.lines)
    quiet = cli("train", leaky(tmp_path), "--target", "kind", "--epochs", 1, "--set", "data.audit=none")
    assert not any(line.startswith("audit") for line in quiet.lines)


def test_bad_wishes(cli: Cli) -> None:
    assert "an audit has no such setting" in cli("audit", "iris", "--set", "model.name=mlp").err
    assert "--fail-on is not usable" in cli("audit", "iris", "--fail-on", "info").err
    assert "unknown data set 'irsi'" in cli("audit", "irsi").err


def test_predictions_come_with_a_note_where_inputs_have_shifted(
    cli: Cli, prices: Path, tmp_path: Path
) -> None:
    cli("train", prices, "--target", "price", "--epochs", 2, "--out", "run")
    head, *rows = prices.read_text().splitlines()
    cells = [row.split(";") for row in rows]
    (tmp_path / "feet.csv").write_text(
        "\n".join([head, *(f"{float(a) * 10.76};{b};{c}" for a, b, c in cells)])
    )
    assert cli("predict", "run", prices).err == ""
    done = cli("predict", "run", "feet.csv", "--out", "answers.csv")
    assert done.code == 0
    assert done.err.startswith("note: these 90 inputs are not distributed as those trained on: 1 of 2")
    assert "area: " in done.err
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 91
