import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import preceptor.observation
from preceptor.observation.signals import SIGNALS, Cadence, Combination, Kind, Signal


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=list(SIGNALS))
def test_each_formula_explains_its_symbols(signal: Signal) -> None:
    formula, _, symbols = signal.formula.partition("; ")
    assert formula
    explained = [part.partition(" = ") for part in symbols.replace(", ", "; ").split("; ")]
    names = [name for name, equals, text in explained if equals and text]
    assert names or "wall clock" in symbols, "no symbol is explained"
    assert any(name.rstrip("₀₁ₚ") in formula for name in names) or "wall clock" in symbols


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=list(SIGNALS))
def test_each_row_uses_the_words_of_the_table(signal: Signal) -> None:
    assert signal.of in get_args(Kind)
    assert signal.how in get_args(Cadence)
    assert signal.unit
    assert signal.combine is None or signal.combine in get_args(Combination)
    assert (signal.combine is not None) == (signal.of == "parameter")
    assert SIGNALS[signal.name] is signal


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        SIGNALS["loss"] = SIGNALS["lr"]  # type: ignore[index]


@pytest.mark.slow
def test_a_record_is_read_without_torch(tmp_path: Path) -> None:
    # The package's own __init__ offers the graph, which needs torch: it is left out here.
    home = str(Path(preceptor.observation.__file__).parent)
    code = (
        "import sys, types\n"
        "package = types.ModuleType('preceptor.observation')\n"
        f"package.__path__ = [{home!r}]\n"
        "sys.modules['preceptor.observation'] = package\n"
        "from preceptor.observation.record import Record\n"
        "record = Record()\n"
        "record.add('loss', 1, 0.5, 'train')\n"
        f"record.save({str(tmp_path / 'r')!r})\n"
        f"print(Record.load({str(tmp_path / 'r')!r}).signal('loss').last, 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert done.stdout.split() == ["0.5", "False"], done.stderr
