"""Recurrence, attention, costs: the printed form fails, the right one holds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.catalogue import get

F64 = torch.float64


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_recurrence_without_tanh():
    c, x, b = torch.randn(3, 3, dtype=F64), torch.randn(3, 2, dtype=F64), torch.randn(3, dtype=F64)
    steps = torch.randn(4, 2, dtype=F64)
    cell = nn.RNN(2, 3, dtype=F64)
    with torch.no_grad():
        cell.weight_hh_l0.copy_(c)
        cell.weight_ih_l0.copy_(x)
        cell.bias_ih_l0.copy_(b)
        cell.bias_hh_l0.zero_()
    right, printed = torch.zeros(3, dtype=F64), torch.zeros(3, dtype=F64)
    for step in steps:
        right = (c @ right + x @ step + b).tanh()
        printed = c @ printed + x @ step
    torch.testing.assert_close(cell(steps)[0][-1], right)
    collapsed = sum(torch.linalg.matrix_power(c, 3 - t) @ x @ steps[t] for t in range(4))
    torch.testing.assert_close(printed, collapsed)


def test_eigenvalue_rule():
    q, _ = torch.linalg.qr(torch.randn(4, 4, dtype=F64))

    def reach(factor: float, *, bounded: bool) -> float:
        def run(h: torch.Tensor) -> torch.Tensor:
            for _ in range(50):
                h = (factor * q @ h).tanh() if bounded else factor * q @ h
            return h

        return float(torch.linalg.matrix_norm(torch.func.jacrev(run)(torch.full((4,), 2.0, dtype=F64)), 2))

    for factor in (0.9, 1.1):
        assert reach(factor, bounded=False) == pytest.approx(factor**50)
    assert reach(3.0, bounded=False) > 1e20
    assert reach(3.0, bounded=True) < 1e3
    assert reach(1.1, bounded=True) < 1 < reach(1.1, bounded=False)


def test_through_time_gradients():
    u, w, v = (torch.tensor(s, dtype=F64, requires_grad=True) for s in (0.5, -0.8, 1.3))
    x, target = torch.randn(10, dtype=F64), torch.randn(10, dtype=F64)
    h, hidden, outputs = torch.zeros((), dtype=F64), [], []
    for t in range(10):
        h = (u * x[t] + w * h).tanh()
        hidden.append(h)
        outputs.append((v * h).tanh())
    ((torch.stack(outputs) - target) ** 2 / 2).sum().backward()
    through = torch.zeros((), dtype=F64)
    u_bar = w_bar = v_bar = torch.zeros((), dtype=F64)
    with torch.no_grad():
        for t in reversed(range(10)):
            r_bar = (outputs[t] - target[t]) * (1 - outputs[t] ** 2)
            z_bar = (r_bar * v + through * w) * (1 - hidden[t] ** 2)
            u_bar, v_bar = u_bar + z_bar * x[t], v_bar + r_bar * hidden[t]
            w_bar = w_bar + (z_bar * hidden[t - 1] if t else 0)
            through = z_bar
    whole = get("bptt", x, target, kind="worked-example", u=0.5, w=-0.8, v=1.3)
    assert set(whole["gradients"]) == {"u", "w", "v"}
    for found, right in ((u_bar, u.grad), (w_bar, w.grad), (v_bar, v.grad)):
        torch.testing.assert_close(found, right)


def test_attention_indices():
    h, s = torch.randn(5, 4, dtype=F64), torch.randn(4, dtype=F64)
    w, u, v = torch.randn(6, 4, dtype=F64), torch.randn(6, 4, dtype=F64), torch.randn(6, dtype=F64)
    weights = ((w @ s + h @ u.T).tanh() @ v).softmax(0)
    assert weights.sum().item() == pytest.approx(1.0)
    right = weights @ h
    printed = (weights[:, None] * h[2]).sum(0)  # h⁽ⁱ⁾ under the sum over j
    torch.testing.assert_close(printed, h[2])
    assert (right - h[2]).abs().max() > 0.1
    order = torch.randperm(5)
    moved = ((w @ s + h[order] @ u.T).tanh() @ v).softmax(0)
    torch.testing.assert_close(moved, weights[order])


def test_sequence_costs():
    from torch.utils.flop_counter import FlopCounterMode

    k = 16

    def recurrent(t: int) -> int:
        w, h = torch.zeros(k, k), torch.zeros(1, k)
        with FlopCounterMode(display=False) as counter:
            for _ in range(t):
                h = h @ w
        return counter.get_total_flops()

    def attention(t: int) -> int:
        q = torch.zeros(t, k)
        with FlopCounterMode(display=False) as counter:
            _ = (q @ q.T) @ q
        return counter.get_total_flops()

    def convolution(t: int, width: int) -> int:
        with FlopCounterMode(display=False) as counter:
            nn.Conv1d(k, k, width)(torch.zeros(1, k, t + width - 1))
        return counter.get_total_flops()

    for t in (8, 32):
        assert recurrent(t) == 2 * t * k**2
        assert attention(t) == 2 * 2 * t**2 * k
        assert convolution(t, 3) == 2 * 3 * t * k**2
    assert attention(32) == 16 * attention(8)
    assert attention(32) != 4**2 * recurrent(8) * k


def test_gradient_clipping_threshold():
    w = torch.zeros(2, requires_grad=True)
    w.grad = torch.tensor([3.0, 4.0])
    norm = get("gradient-clipping", max_norm=1.0)([w])
    assert norm.item() == 5.0
    torch.testing.assert_close(w.grad, torch.tensor([0.6, 0.8]))
    prediction = -0.5
    assert (prediction * torch.tensor([3.0, 4.0]) / 5)[0] < 0  # climbs in place of descending
