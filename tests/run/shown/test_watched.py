"""From a run to what its report shows of the watch over it, and of the run that it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

import preceptor
from preceptor.run.shown.watched import parent, watched


@pytest.mark.slow
def test_a_run_and_the_same_run_loaded_show_what_was_seen(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = preceptor.train(data="iris", epochs=2, out="a")
    second = preceptor.train(data="iris", epochs=2, out="b", lr=0.05)
    assert parent(first) is None
    second.folder.update_manifest(**{"from": {"run": "a", "changes": [{"text": "lr 0.001 → 0.05"}]}})
    for run in (second, preceptor.load("b")):
        seen, came = watched(run), parent(run)
        assert seen is not None
        assert seen.record.subjects("grad_norm")
        assert seen.findings == tuple(second.findings)
        assert came is not None
        assert came.said == ("lr 0.001 → 0.05",)
        assert ("optimizer.lr", 0.001, 0.05) in came.settings
        assert "val_loss" in {key for key, *_ in came.results}
    text = second.report().read_text(encoding="utf-8")
    assert 'id="parent"' in text
    assert 'id="parameters"' in text
    assert 'id="graph"' in text
    second.folder.update_manifest(**{"from": {"run": "gone", "changes": []}})
    came = parent(second)
    assert came is not None
    assert "no longer there" in came.notes[0]
    (tmp_path / "b" / "record" / "observed.json").write_text("{", encoding="utf-8")
    assert watched(preceptor.load("b")) is None
