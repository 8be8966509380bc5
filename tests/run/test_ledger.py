"""The ledger of looks at the test set: one is free, another needs a reason, and those of other runs count."""

from __future__ import annotations

from pathlib import Path

import pytest

import preceptor
from preceptor.errors import ConfigError, DataError

from .conftest import QUICK


def test_a_second_look_is_refused_and_not_entered(tmp_path: Path) -> None:
    run = preceptor.train("mlp", "iris", epochs=2, out=tmp_path / "run")
    first = run.test()
    with pytest.raises(ConfigError, match=r"looked at already[\s\S]*look 2; look 1 gave accuracy") as caught:
        run.test()
    assert f"{first.metrics['accuracy']:.3f}" in str(caught.value)
    with pytest.raises(ConfigError, match="looked at already"):
        preceptor.load(tmp_path / "run").evaluate("test")
    with pytest.raises(ConfigError, match="a few words"):
        run.test(again="  ")
    assert len(run.ledger) == 1
    assert run.test(again="the labels were corrected").looks == 2
    assert preceptor.load(tmp_path / "run").ledger[-1]["reason"] == "the labels were corrected"


def test_looks_at_the_same_data_are_counted_together(tmp_path: Path) -> None:
    for name in "abc":
        run = preceptor.train("mlp", "iris", epochs=1, out=tmp_path / name)
        found = run.test()
        assert (found.looks, found.elsewhere) == (1, "abc".index(name))
    assert "looks of the runs beside this one at the same data: 2" in str(found)
    assert run.ledger[-1]["elsewhere"] == 2
    other = preceptor.train("mlp", "wine", epochs=1, out=tmp_path / "d")
    assert other.test().elsewhere == 0
    (tmp_path / "a" / "manifest.json").write_text("{")
    assert preceptor.train("mlp", "iris", epochs=1, out=tmp_path / "e").test().elsewhere == 2


def test_a_look_of_another_holder_of_the_run_is_seen(tmp_path: Path) -> None:
    run = preceptor.train("mlp", "iris", epochs=1, out=tmp_path / "run")
    preceptor.load(tmp_path / "run").test()
    with pytest.raises(ConfigError, match="looked at already"):
        run.test()


def test_a_reason_does_not_make_test_examples() -> None:
    run = preceptor.train("mlp", "iris", test=0, **QUICK)
    with pytest.raises(DataError, match="no test examples"):
        run.test(again="there are none")
    assert run.ledger == []
