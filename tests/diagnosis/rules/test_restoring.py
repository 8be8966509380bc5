"""States that are kept and restored: planted mistakes, and what only looks like them."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional

import preceptor
from preceptor.diagnosis.rules import restoring

from ._families import ALL
from ._judge import alarms, findings

X = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def run(keep, other: nn.Module | None = None):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    with preceptor.watch(level="full") as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        best = None
        for step in range(8):
            optimizer.zero_grad()
            functional.cross_entropy(model(X), Y).backward()
            optimizer.step()
            if step == 4:
                best = keep(model)
        (other or model).load_state_dict(best)
    return watch.observed


def test_a_state_that_is_kept_by_reference() -> None:
    seen = run(lambda model: model.state_dict())
    for over in (True, False):
        told = findings(seen, *ALL, over=over)
        assert set(told) == {"stale-best-weights"}
        assert told["stale-best-weights"].steps == (8,)


def through_a_file(model):
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


COPIES = {
    "deep copy": lambda model: copy.deepcopy(model.state_dict()),
    "clones": lambda model: {name: tensor.clone() for name, tensor in model.state_dict().items()},
    "file": through_a_file,
}


@pytest.mark.parametrize("name", COPIES)
def test_a_state_that_is_copied(name) -> None:
    assert alarms(run(COPIES[name]), *ALL) == set()


def test_a_target_that_takes_over_the_weights() -> None:
    target = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    assert alarms(run(lambda model: model.state_dict(), target), restoring) == set()


def stopped(keep=copy.deepcopy, *, restore: bool = False, save=None, best_at=(1, 3)):
    """Evaluate after each epoch, and keep the state where it was best."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    with preceptor.watch(level="full") as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for epoch in range(6):
            for _ in range(3):
                optimizer.zero_grad()
                functional.cross_entropy(model(X), Y).backward()
                optimizer.step()
            with torch.no_grad():
                model(X[:20])
            if epoch in best_at:
                best = keep(model.state_dict())
                if save:
                    save(best)
        if restore:
            model.load_state_dict(best)
    return watch.observed


def test_a_best_state_that_is_never_put_back() -> None:
    told = findings(stopped(), *ALL)
    assert set(told) == {"stale-best-weights"}
    assert told["stale-best-weights"].steps == (12,)


def test_a_best_state_that_is_put_back_or_written_down() -> None:
    assert alarms(stopped(restore=True), *ALL) == set()
    assert alarms(stopped(save=lambda state: torch.save(state, io.BytesIO())), *ALL) == set()


@pytest.mark.parametrize("best_at", [range(6), (5,), (2, 5), ()])
def test_states_that_are_taken_for_another_purpose(best_at) -> None:
    assert alarms(stopped(best_at=best_at), *ALL) == set()
