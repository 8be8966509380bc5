"""How many samples: planted mistakes, and what only looks like them."""

from __future__ import annotations

import pytest

from ._data_runs import alarms, blobs, found, line, mlp, run


@pytest.mark.slow
def test_few_samples_learned_by_heart() -> None:
    x, y = line(30, features=10, noise=1.5)
    held_out = line(300, features=10, seed=1, noise=1.5)
    wide = mlp(10, 1, width=400)
    finding = found(run((x, y), held_out, loss="mse_loss", model=wide, epochs=150))["too-little-data"]
    assert finding.severity == "warning"
    assert finding.evidence["training samples"] == 30
    more = line(600, features=10, noise=1.5)
    case = run(more, held_out, loss="mse_loss", model=mlp(10, 1, width=400), epochs=20)
    assert "too-little-data" not in found(case)


@pytest.mark.slow
def test_few_samples_that_suffice_are_fine() -> None:
    x, y = blobs(40, features=4, classes=2, apart=5.0)
    assert alarms(run((x, y), blobs(200, features=4, classes=2, apart=5.0, seed=1), epochs=40)) == set()
