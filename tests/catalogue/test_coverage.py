"""The count of an inventory's rows that the catalogue resolves."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).resolve().parents[2] / "benchmarks" / "coverage.py"
TABLES = """
## Some blocks

### X1. Output units and activations

| id | name (key) | where |
|---|---|---|
| 1 | Leaky ReLU (`leaky`) | – |
| 2 | Sigmoid (Bernoulli) output unit (`out_sigmoid`) | – |
| 3 | Softmax (Multinoulli) output unit (`out_softmax`) | – |
| 4 | Something nobody has (`nothing_at_all`) | – |

### X2. Learning-rate schedules

| id | name (key) |
|---|---|
| 5 | Constant rate (`sch_const`) |
| 6 | Step decay (`sch_steps`) |

| other | table |
|---|---|
| 7 | `adam` |
"""


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_of_an_inventory", TOOL)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_rows_are_counted_by_section(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "inventory.md").write_text(TABLES, encoding="utf-8")
    assert tool.main([str(tmp_path / "inventory.md"), "--missing", "--shown"]) == 1
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert {"X1 3 4", "X2 2 2", "all 5 6"} <= set(lines)
    assert "missing 4 Something nobody has (nothing_at_all)" in lines
    assert "2 Sigmoid (Bernoulli) output unit (out_sigmoid) → output-unit:sigmoid" in lines
    assert "5 Constant rate (sch_const) → schedule:constant" in lines


def test_all_covered_is_success(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "inventory.md").write_text(TABLES, encoding="utf-8")
    assert tool.main([str(tmp_path / "inventory.md"), "--sections", "X2"]) == 0
    assert "X1" not in capsys.readouterr().out
