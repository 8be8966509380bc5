"""What rates scale with, amount to and add up to."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.errors import ConfigError


class TestScaling:
    def test_linear_and_square_root(self) -> None:
        assert get("linear-scaling", base_batch=32)(0.1, 256) == pytest.approx(0.8)
        assert get("square-root-scaling", base_batch=32)(0.1, 128) == pytest.approx(0.2)
        for name in ("linear-scaling", "square-root-scaling"):
            with pytest.raises(ConfigError, match="batch"):
                get(name)(0.1, 0)
            with pytest.raises(ConfigError, match="base_batch"):
                get(name, base_batch=0)

    def test_the_linear_rule_gives_the_same_path_in_fewer_steps_up_to_where_it_diverges(self) -> None:
        """After as many examples, k times the batch at k times the rate is as far, while lr · λ < 2."""
        curvature = torch.tensor([1.0, 0.2], dtype=torch.float64)
        rule = get("linear-scaling", base_batch=16)
        ends = {}
        for batch in (16, 32, 64, 2048, 4096):
            w = torch.ones(2, dtype=torch.float64, requires_grad=True)
            optimizer = get("sgd", [w], lr=rule(0.01, batch))
            for _ in range(max(30, 3200 // batch)):
                w.grad = curvature * w.detach()
                optimizer.step()
            ends[batch] = w.detach()
        torch.testing.assert_close(ends[32], ends[16], rtol=0.05, atol=0)
        torch.testing.assert_close(ends[64], ends[16], rtol=0.15, atol=0)
        assert ends[2048].abs().max() < 1  # a rate of 1.28
        assert ends[4096].abs().max() > 1  # and of 2.56


class TestEffectiveRate:
    def test_it_is_the_rate_over_the_squared_norm(self) -> None:
        """A step turns a normalised weight by −lr/‖w‖² times the gradient of its direction."""
        torch.manual_seed(0)
        x, y = torch.randn(32, 4, dtype=torch.float64), torch.randn(32, 3, dtype=torch.float64)
        norm = nn.BatchNorm1d(3, affine=False, eps=1e-20).double()
        layer = nn.Linear(4, 3, bias=False).double()

        def loss(w: torch.Tensor) -> torch.Tensor:
            return (norm(x @ w.T) * y).mean()

        for scale in (1.0, 10.0):
            with torch.no_grad():
                layer.weight.mul_(scale)
            effective = get("effective-rate")(nn.Sequential(layer, norm), 1e-4)["0.weight"]
            w = layer.weight.detach().clone().requires_grad_()
            direction = (w / w.norm()).detach().requires_grad_()
            g, g_direction = (
                torch.autograd.grad(loss(w), w)[0],
                torch.autograd.grad(loss(direction), direction)[0],
            )
            moved = w - 1e-4 * g
            turned = (moved / moved.norm()).detach() - direction
            torch.testing.assert_close(turned.detach(), -effective * g_direction, rtol=1e-2, atol=1e-12)

    def test_which_weights_have_one(self) -> None:
        model = nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4), nn.LayerNorm(4),
            nn.Linear(4, 1),
        )  # fmt: skip
        rates = get("implicit-decay")(model, 0.1)
        assert list(rates) == ["0.weight", "4.weight"]
        assert rates["0.weight"] == pytest.approx(0.1 / model[0].weight.square().sum().item())
        nn.init.zeros_(model[0].weight)
        assert get("effective-rate")(model, 0.1)["0.weight"] == math.inf


class TestRobbinsMonro:
    @pytest.mark.parametrize(
        ("schedule", "options", "sum_diverges", "squares_converge"),
        [
            ("inverse-time", {}, True, True),
            ("inverse-time", {"decay": 10.0}, True, True),
            ("exponential", {}, False, True),
            ("natural-exponential", {}, False, True),
            ("step", {}, False, True),
            ("inverse-square-root", {}, True, False),
            ("constant", {}, True, False),
            ("cosine", {}, False, True),
            ("cosine", {"end_ratio": 0.1}, True, False),
            ("cosine-restarts", {}, True, False),
            ("cyclic", {}, True, False),
            (lambda n: n**-0.75, {}, True, True),
            (lambda n: n**-1.5, {}, False, True),
        ],
    )
    def test_the_verdict(self, schedule, options: dict, sum_diverges: bool, squares_converge: bool) -> None:
        found = get("robbins-monro")(schedule, **options)
        assert (found.sum_diverges, found.squares_converge) == (sum_diverges, squares_converge)
        assert found.converges == (sum_diverges and squares_converge)

    def test_it_is_said_in_words(self) -> None:
        audit = get("robbins-monro")
        assert "converges" in str(audit("inverse-time"))
        assert "noise does not die down" in str(audit("constant"))
        assert "stop before it has arrived" in str(audit("step"))
        with pytest.raises(ConfigError, match="measured value"):
            audit("plateau")


def test_epsilon_is_where_the_optimizers_have_it() -> None:
    for inside in (False, True):
        w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        w.grad = torch.full((1,), 0.01, dtype=torch.float64)
        get("adagrad", [w], lr=1.0, eps=1e-3, eps_inside=inside).step()
        divisor = get("eps-place", inside=inside)(w.grad**2, 1e-3)
        torch.testing.assert_close(w.detach(), -w.grad / divisor)
