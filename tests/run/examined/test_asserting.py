"""Assertions for a project's own tests, and the plug-in of pytest that makes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import preceptor
from preceptor.diagnosis.finding import Finding, Findings
from preceptor.errors import ConfigError, UnknownName
from preceptor.run.examined import asserting

pytest_plugins = ["pytester"]


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
    return x, x[:, :3].argmax(1)


@pytest.mark.slow
def test_a_network_that_learns(net: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    before = [p.clone() for p in net.parameters()]
    found = preceptor.assert_learns(net, batch)
    assert [one.check for one in found] == list(asserting.LEARNS)
    assert all(map(torch.equal, before, net.parameters()))
    x, _ = batch
    preceptor.assert_learns(nn.Linear(4, 1), (x, x[:, :1] + 1), "mse", checks="one-batch")


def test_a_network_that_does_not(net: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    class Overwritten(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(torch.zeros_like(x))

    squashed = nn.Sequential(net, nn.Softmax(1))
    with pytest.raises(AssertionError, match="does not learn this batch") as raised:
        preceptor.assert_learns(squashed, batch, checks=["outputs-suit-loss"])
    assert "remedy" in str(raised.value)
    with pytest.raises(AssertionError, match=r"there was no more time|not learnt"):
        preceptor.assert_learns(Overwritten(), batch, checks="one-batch", seconds=0)


@pytest.mark.parametrize(
    "targets", [torch.zeros(16, dtype=torch.int32), torch.zeros(16, 3, dtype=torch.long)]
)
def test_a_loss_that_cannot_be_guessed(net: nn.Module, targets: torch.Tensor) -> None:
    with pytest.raises(preceptor.errors.PreceptorError, match="the loss is not known"):
        preceptor.assert_learns(net, (torch.randn(16, 4), targets))


def test_misspelt_names(net: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    with pytest.raises(UnknownName, match="did you mean 'one-batch'"):
        preceptor.assert_learns(net, batch, checks="one-bach")
    with pytest.raises(UnknownName, match="did you mean 'cross-entropy'"):
        preceptor.assert_learns(net, batch, "cros-entropy")
    with pytest.raises(UnknownName, match="did you mean 'critical'"):
        preceptor.assert_healthy([], severity="critcal")
    with pytest.raises(UnknownName, match="did you mean 'overfitting'"):
        preceptor.assert_healthy(Path(), ignore=["overfiting"])


def test_findings_fail() -> None:
    bad = Finding("overfitting", "warning", "The validation loss rises.", where="train.py:3")
    remark = Finding("memory-growth", "info", "It grows.")
    assert preceptor.assert_healthy([remark]) == [remark]
    assert preceptor.assert_healthy([bad], severity="critical") == [bad]
    assert preceptor.assert_healthy([bad], ignore=["overfitting"]) == Findings()
    with pytest.raises(AssertionError, match="not healthy: 1 warning") as raised:
        preceptor.assert_healthy([bad, remark])
    assert "train.py:3" in str(raised.value)
    assert "memory-growth" not in str(raised.value)
    with pytest.raises(AssertionError, match="memory-growth"):
        preceptor.assert_healthy([remark], severity="info")


def test_runs_and_curves(tmp_path: Path) -> None:
    run = preceptor.train(data="iris", optimizer="sgd", lr=1e30, epochs=2, out=False)
    with pytest.raises(AssertionError, match="diverged"):
        preceptor.assert_healthy(run)
    with pytest.raises(UnknownName):
        preceptor.assert_healthy(run, ignore=["x"])
    unwatched = preceptor.train(data="iris", epochs=1, out=False, settings={"training.watch": False})
    with pytest.raises(ConfigError, match="was not watched"):
        preceptor.assert_healthy(unwatched)
    rows = [f"{e},{2 * 0.8**e},{2 * 0.8**e + 0.1 + 0.02 * max(0, e - 10)}" for e in range(40)]
    (tmp_path / "log.csv").write_text("\n".join(["epoch,loss,val_loss", *rows]))
    with pytest.raises(AssertionError, match="overfitting"):
        preceptor.assert_healthy(tmp_path / "log.csv")


TESTS = """
import pytest, torch
from torch import nn

def train(sign):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x = torch.randn(64, 4)
    for _ in range(12):
        optimizer.zero_grad()
        (sign * nn.functional.cross_entropy(net(x), (x[:, 0] > 0).long())).backward()
        optimizer.step()

@pytest.mark.healthy(severity="critical")
def test_descends():
    train(1)

@pytest.mark.healthy
def test_climbs():
    train(-1)

@pytest.mark.healthy(ignore=["gradient-ascent"])
def test_accepted():
    train(-1)

@pytest.mark.healthy
def test_its_own_failure_goes_first():
    train(-1)
    assert 1 == 2

@pytest.mark.healthy
def test_nothing_trains():
    pass

@pytest.mark.healthy(severty="critical")
def test_misspelt():
    pass

def test_unmarked():
    torch.ones(1).requires_grad_().sum().backward()

def test_fixtures(assert_learns, assert_healthy):
    assert_healthy([])
    assert assert_learns.__name__ == "assert_learns"
"""


def test_the_plug_in(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    arguments = ["--strict-markers", "-q", "-p", "no:cacheprovider"]
    done = pytester.runpytest_inprocess(*arguments)
    done.assert_outcomes(passed=4, failed=4)
    done.stdout.fnmatch_lines(
        ["the training is not healthy: 1 critical*", "✗ gradient-ascent *critical*test_the_plug_in.py:*"]
    )
    text = done.stdout.str()
    assert "assert 1 == 2" in text
    assert "nothing trains in it" in text
    assert "did you mean 'severity'?" in text
    assert "FAILED test_the_plug_in.py::test_accepted" not in text


def test_loading_it_imports_no_torch() -> None:
    program = "import sys, preceptor.pytest_plugin; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_an_undecided_check_is_none_that_passed() -> None:
    assert asserting._undecided(SimpleNamespace(check="one-batch", status="skipped"))  # type: ignore[arg-type]
    assert not asserting._undecided(SimpleNamespace(check="shapes", status="skipped"))  # type: ignore[arg-type]
