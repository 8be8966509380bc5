"""How many samples, and how many a batch: planted mistakes, and what only looks like them."""

from __future__ import annotations

import pytest
import torch

from ._data_runs import alarms, blobs, found, line, mlp, run


def test_batches_that_leave_few_updates() -> None:
    x, y = blobs(1000, apart=0.8)
    case = run((x, y), batch_size=500, epochs=4, optimizer=lambda p: torch.optim.SGD(p, lr=0.05))
    finding = found(case)["unsuitable-batch-size"]
    assert finding.severity == "warning"
    assert finding.evidence["updates"] == 8
    assert finding.evidence["updates an epoch"] == 2


@pytest.mark.slow
def test_full_batches_that_make_their_way_are_fine() -> None:
    x, y = blobs(300)
    assert alarms(run((x, y), batch_size=300, epochs=300)) == set()
    adam = lambda p: torch.optim.Adam(p, lr=0.2)  # noqa: E731
    assert alarms(run((x, y), batch_size=300, epochs=60, optimizer=adam)) == set()


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


def test_few_samples_that_suffice_are_fine() -> None:
    x, y = blobs(40, features=4, classes=2, apart=5.0)
    assert alarms(run((x, y), blobs(200, features=4, classes=2, apart=5.0, seed=1), epochs=40)) == set()
