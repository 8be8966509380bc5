"""Operators: in place, with several outputs, drawing numbers, through Python: replayed to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

Step = Callable[[], list[Tensor]]
Case = Step | tuple[Any, ...]  # a step, or what is trained and its loss (see the fixture)


def in_place_operators() -> Case:
    layer = nn.Linear(6, 6)

    def loss() -> Tensor:
        x = torch.randn(4, 6)
        h = layer(x).relu_().clone()
        h.add_(1.0).mul_(0.5)
        h[:, 2] = 0.25
        h[h > 0.8] = 0.8
        h += torch.arange(6.0)
        view = h[:, :2]
        view.mul_(2.0)
        functional.relu(h.sub(0.5), inplace=True)
        return h.square().mean()

    return (layer, loss)


def several_outputs() -> Case:
    layer = nn.Linear(6, 12)

    def loss() -> Tensor:
        h = layer(torch.randn(5, 6))
        a, b = h.chunk(2, dim=1)
        c, d, e = torch.split(a, [1, 2, 3], dim=1)
        best, index = h.max(dim=1)
        top = torch.topk(b, 2, dim=1)
        rows = h.unbind(0)
        ordered, _ = torch.sort(e)
        values = top.values.sum() + best.sum() + index.float().mean() + rows[1].sum() + ordered[:, 0].sum()
        return values + c.mean() * d.std() + sum(row.mean() for row in rows)

    return (layer, loss)


def lookups() -> Case:
    table = nn.Embedding(10, 6, max_norm=1.0)
    layer = nn.Linear(6, 4)
    model = nn.ModuleList([table, layer])

    def loss() -> Tensor:
        tokens = torch.randint(0, 10, (5, 3))
        h = layer(table(tokens)).mean(1)
        target = torch.randint(0, 4, (5,))
        hot = functional.one_hot(target, 4).float()
        picked = h.gather(1, target[:, None])
        spread = torch.zeros(5, 4).scatter(1, target[:, None], 1.0)
        added = torch.zeros(10, 4).index_add(0, tokens[:, 0], h)
        return (
            -(functional.log_softmax(h, 1) * hot).sum()
            + picked.sum()
            + (spread * h).sum()
            + added.square().sum()
        )

    return (model, loss)


def masks() -> Case:
    layer = nn.Linear(6, 6)

    def loss() -> Tensor:
        h = layer(torch.randn(4, 6))
        mask = torch.tril(torch.ones(4, 6)).bool()
        scores = h.masked_fill(~mask, float("-inf")).softmax(-1)
        chosen = torch.where(h > 0, h, torch.zeros_like(h))
        return (scores * chosen).sum() + h[mask].mean() + torch.masked_select(h, mask).sum()

    return (layer, loss)


def einsum_and_linear_algebra() -> Case:
    layer = nn.Linear(4, 4)

    def loss() -> Tensor:
        h = layer(torch.randn(3, 5, 4))
        gram = torch.einsum("bik,bjk->bij", h, h) + torch.eye(5)
        return (
            torch.linalg.slogdet(gram)[1].sum() + torch.cdist(h[0], h[1]).mean() + torch.bmm(gram, gram).sum()
        )

    return (layer, loss, 1e-4)


def double_precision() -> Case:
    model = nn.Sequential(nn.Linear(3, 8), nn.Softplus(), nn.Linear(8, 1)).double()
    return (
        model,
        lambda: functional.huber_loss(model(torch.randn(6, 3).double()), torch.zeros(6, 1).double()),
    )


def made_within_the_step() -> Case:
    layer = nn.Linear(4, 4)
    source = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)

    def loss() -> Tensor:
        x = torch.from_numpy(source) + torch.tensor(source.copy()) + torch.as_tensor(source.tolist())
        x = (
            x
            + torch.zeros(3, 4)
            + torch.arange(4)
            + torch.randn(3, 4)
            + torch.full((4,), 0.5)
            + torch.empty(4).fill_(2)
        )
        return layer(x).square().mean() + torch.rand(()) * layer.weight.new_ones(4).sum()

    return (layer, loss)


def through_python() -> Case:
    layer = nn.Linear(4, 1)

    def loss() -> Tensor:
        out = layer(torch.randn(3, 4))
        scale = out.abs().max().item()
        shift = float(out.detach().mean())
        round_trip = torch.from_numpy(out.detach().numpy().copy() * 2)
        return (out / scale + shift - round_trip).square().mean() * (2.0 if out.sum() > 0 else 1.0)

    return (layer, loss)


def own_generator() -> Case:
    layer, generator = nn.Linear(4, 4), torch.Generator().manual_seed(5)

    def loss() -> Tensor:
        noise = torch.randn(3, 4, generator=generator) + torch.rand(3, 4)
        return (
            layer(noise).pow(2).mean()
            + torch.empty(4).bernoulli_(0.5, generator=generator).sum() * layer.bias.sum()
        )

    return (layer, loss)


@pytest.mark.parametrize(
    "build",
    [
        in_place_operators,
        several_outputs,
        lookups,
        masks,
        einsum_and_linear_algebra,
        double_precision,
        made_within_the_step,
        through_python,
        own_generator,
    ],
)
def test_the_step_is_undisturbed_and_its_replay_is_exact(
    build: Callable[[], Case], exact: Callable[[Callable[[], Case]], None]
) -> None:
    exact(build)
