"""Reshapes of data before training begins."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from preceptor.observation.watch import Watch


def rows(watch: Watch) -> list[dict[str, Any]]:
    return watch.record.tables.get("reshapes", [])


def train(x: torch.Tensor) -> None:
    layer = nn.Linear(x.shape[-1], 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(2):
        layer(x).mean().backward()
        optimizer.step()


def test_reshapes_of_data_are_noted_once_a_place() -> None:
    with Watch() as watch:
        for _ in range(3):
            x = torch.zeros(3, 40).reshape(8, 5, 3)
        x.view(8, -1)
        x.view(2, 4, 5, 3)
        train(x)
    first, second, third = rows(watch)
    assert (first["operator"], first["before"], first["after"]) == ("reshape", [3, 40], [8, 5, 3])
    assert second["after"] == [8, 15]
    assert third["operator"] == "view"
    assert first["where"].startswith("test_preparation.py:")


def test_what_cannot_mix_axes_and_what_models_do_is_left_out() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(6, 4)

    with Watch() as watch:
        torch.arange(12).reshape(3, 4)
        torch.zeros(3, 1, 4).reshape(12)
        torch.zeros(3, 4).reshape(3, 4)
        torch.zeros(3, 4).reshape(4, 3).view(torch.int32)
        Net()(torch.zeros(4, 6))
        torch.zeros(4, 6, requires_grad=True).view(6, 4)
    assert [row["after"] for row in rows(watch)] == [[4, 3]]


def test_it_ends_with_the_first_backward_pass_and_leaves_nothing() -> None:
    before = [vars(torch.Tensor).get(name) for name in ("reshape", "view")]
    with Watch() as watch:
        assert "reshape" in vars(torch.Tensor)
        x = torch.zeros(8, 3)
        train(x)
        x.reshape(3, 8)
        x.view(3, 8)
        assert [vars(torch.Tensor).get(name) for name in ("reshape", "view")] == before
    assert rows(watch) == []


def test_it_ends_with_the_watch_and_bounds_what_it_keeps() -> None:
    before = [vars(torch.Tensor).get(name) for name in ("reshape", "view")]
    with Watch() as watch:
        for n in range(2, 90):
            torch.zeros(n, 2, 2).reshape(2, n, 2)
    assert len(rows(watch)) == 50
    assert [vars(torch.Tensor).get(name) for name in ("reshape", "view")] == before


def test_errors_pass_unchanged() -> None:
    with Watch() as watch:
        try:
            torch.zeros(3, 4).reshape(5, 2)
        except RuntimeError as error:
            text = str(error)
    assert "invalid for input of size 12" in text
    assert watch.notes[0].startswith("no backward pass")


def test_casts_that_leave_nothing_of_fractions_are_noted() -> None:
    scaled = torch.linspace(0, 1, 64).reshape(16, 4)
    with Watch() as watch:
        for _ in range(2):
            scaled.to(torch.uint8)
        scaled.double().long()
        (scaled * 255).to(torch.uint8)
        (scaled > 0.5).float().long()
        (scaled * 10).int()
        scaled.to(torch.float64)
        train(scaled)
        scaled.byte()
    first, second = watch.record.tables["casts"]
    assert (first["operator"], first["dtype"], first["shape"]) == ("to", "uint8", [16, 4])
    assert first["lost"] == 62 / 64
    assert first["kept"] == 1 / 64
    assert second["operator"] == "long"
    assert first["where"].startswith("test_preparation.py:")


def test_a_watch_that_goes_on_before_training_has_begun_sees_reshapes_again() -> None:
    with Watch() as watch:
        watch.pause()
        _ = torch.zeros(3, 40).reshape(8, 5, 3)
        watch.start()
        _ = torch.zeros(4, 30).reshape(6, 5, 4)
    assert [row["before"] for row in watch.record.tables["reshapes"]] == [[4, 30]]
