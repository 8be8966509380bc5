"""The order of samples, their number, and batches: planted, and what only looks like it."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ._data_runs import alarms, blobs, found, line, mlp, run


def test_samples_sorted_by_label() -> None:
    x, y = blobs(classes=5)
    order = y.argsort()
    case = run((x[order], y[order]), blobs(classes=5, seed=1), shuffle=False, epochs=4)
    finding = found(case)["data-not-shuffled"]
    assert (finding.severity, finding.exact) == ("warning", True)
    assert finding.evidence["sampler"] == "SequentialSampler"
    assert finding.evidence["equal labels within a batch"] > 0.7


def test_samples_sorted_by_label_in_batches_made_by_hand() -> None:
    from preceptor.diagnosis.case import Case
    from preceptor.observation.watch import Watch

    x, y = blobs(classes=4)
    order = y.argsort()
    torch.manual_seed(0)
    model = mlp(6, 4)
    sgd = torch.optim.SGD(model.parameters(), lr=0.05)
    with Watch(budget=1.0) as watch:
        for _ in range(4):
            for rows in order.split(12):
                sgd.zero_grad()
                functional.cross_entropy(model(x[rows]), y[rows]).backward()
                sgd.step()
    finding = found(Case(watch.observed))["data-not-shuffled"]
    assert (finding.severity, finding.exact) == ("warning", False)


@pytest.mark.parametrize("in_order", [True, False])
def test_single_samples(in_order: bool) -> None:
    x, y = blobs(200, classes=4)
    order = y.argsort()
    case = run((x[order], y[order]), shuffle=not in_order, batch_size=1, epochs=1)
    assert alarms(case) == ({"data-not-shuffled"} if in_order else set())


def test_an_order_that_says_nothing_of_the_label_is_fine() -> None:
    assert alarms(run(blobs(), blobs(seed=1), shuffle=False)) == set()


def test_full_batches_and_sorting_within_a_batch_are_fine() -> None:
    x, y = blobs(120)
    order = y.argsort()
    assert alarms(run((x[order], y[order]), shuffle=False, batch_size=120, epochs=150)) == set()
    balanced = torch.stack([(y == label).nonzero()[:24, 0] for label in range(3)]).reshape(3, 6, 4)
    rows = balanced.transpose(0, 1).reshape(-1)  # each batch: four of each class, one class after the other
    assert alarms(run((x[rows], y[rows]), shuffle=False, batch_size=12)) == set()


def test_unequal_classes_in_any_order_are_fine() -> None:
    x, y = blobs(400, classes=2)
    keep = (y == 0) | (torch.arange(400) % 4 == 0)
    assert alarms(run((x[keep], y[keep]), blobs(classes=2, seed=1))) == set()


def test_targets_of_a_regression_in_order() -> None:
    x, y = line(320, noise=1.0)
    order = y[:, 0].argsort()
    case = run((x[order], y[order]), line(seed=1), loss="mse_loss", shuffle=False, epochs=2,
               optimizer=lambda p: torch.optim.SGD(p, lr=0.3))  # fmt: skip
    assert "data-not-shuffled" in alarms(case)
    assert "data-not-shuffled" not in found(run((x, y), line(seed=1), loss="mse_loss", epochs=2))
