"""Runs that move inputs and no weights are silent, whatever net they look into; weights still count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.diagnosis._aimed import moves_inputs
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.diagnose import diagnose
from preceptor.observation.observed import Observed
from preceptor.observation.watch import Watch

STEPS = 30


def _net(*, frozen: bool, loaded: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1)),
        *(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)),
    )
    if loaded:
        net.load_state_dict({name: value.clone() for name, value in net.state_dict().items()})
    return net.requires_grad_(not frozen).eval()


def _attack(make: Any, *, frozen: bool, loaded: bool = False) -> Observed:
    net = _net(frozen=frozen, loaded=loaded)
    x, y = torch.rand(8, 3, 8, 8), torch.arange(8)
    with Watch(budget=1.0) as watch:
        delta = torch.zeros_like(x, requires_grad=True)
        optimizer = make([delta])
        for _ in range(STEPS):
            optimizer.zero_grad()
            (-functional.cross_entropy(net(x + delta), y)).backward()
            optimizer.step()
    return watch.observed


def _gram(maps: Tensor) -> Tensor:
    maps = maps.flatten(2)
    return maps @ maps.transpose(1, 2) / maps.shape[-1]


def _style(make: Any, *, frozen: bool, loaded: bool = False) -> Observed:
    net = _net(frozen=frozen, loaded=loaded)[:5]
    content, style = torch.rand(2, 1, 3, 8, 8)
    with torch.no_grad():
        maps, gram = net(content), _gram(net(style))
    with Watch(budget=1.0) as watch:
        image = content.clone().requires_grad_()
        optimizer = make([image])

        def closure() -> Tensor:
            optimizer.zero_grad()
            found = net(image)
            loss = functional.mse_loss(found, maps) + functional.mse_loss(_gram(found), gram)
            loss.backward()
            return loss

        for _ in range(STEPS):
            optimizer.step(closure)
    return watch.observed


def _dream(make: Any, *, frozen: bool, loaded: bool = False) -> Observed:
    net = _net(frozen=frozen, loaded=loaded)[:4]
    with Watch(budget=1.0) as watch:
        image = torch.rand(1, 3, 8, 8, requires_grad=True)
        optimizer = make([image])
        for _ in range(STEPS):
            optimizer.zero_grad()
            (-net(image).square().mean()).backward()
            optimizer.step()
    return watch.observed


MAKERS: dict[str, Any] = {
    "Adam": lambda held: torch.optim.Adam(held, lr=0.02),
    "SGD": lambda held: torch.optim.SGD(held, lr=0.1),
}


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "left trainable"])
@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "random"])
@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("program", [_attack, _style, _dream])
def test_inputs_that_are_moved(
    program: Callable[..., Observed], kind: str, *, loaded: bool, frozen: bool
) -> None:
    seen = program(MAKERS[kind], frozen=frozen, loaded=loaded)
    assert moves_inputs(Case(seen))
    assert [finding.cause for finding in diagnose(seen) if finding.severity != "info"] == []


def test_an_image_fitted_with_quasi_newton_steps() -> None:
    seen = _style(lambda held: torch.optim.LBFGS(held, max_iter=4), frozen=True)
    assert [finding.cause for finding in diagnose(seen) if finding.severity != "info"] == []


def test_loose_weights_and_modules_are_no_inputs() -> None:
    x, y = torch.randn(32, 4), torch.randint(0, 2, (32,))
    for loose in (True, False):
        weight = torch.randn(4, 8, requires_grad=True)
        net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
        with Watch(budget=1.0) as watch:
            optimizer = torch.optim.SGD([weight] if loose else [weight, *net.parameters()], lr=0.1)
            for _ in range(6):
                optimizer.zero_grad()
                functional.cross_entropy(net(x @ weight), y).backward()
                optimizer.step()
        assert not moves_inputs(Case(watch.observed))
        causes = [finding.cause for finding in diagnose(watch.observed) if finding.severity != "info"]
        assert ("parameters-not-optimized" in causes) is loose
