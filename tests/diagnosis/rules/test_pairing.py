"""Which inputs labels belong to: planted mistakes, and what only looks like them."""

from __future__ import annotations

import pytest
import torch

from ._data_runs import alarms, blobs, found, line, mlp, run


def test_labels_that_are_shuffled_anew_each_epoch() -> None:
    x, y = blobs()
    case = run((x, y), each_epoch=lambda epoch: (x, y[torch.randperm(len(y))]), model=mlp(6, 3), epochs=8)
    finding = found(case)["misaligned-inputs-and-labels"]
    assert (finding.severity, finding.exact) == ("critical", True)
    assert finding.evidence["with another label"] > 0.4 * finding.evidence["came again"]


@pytest.mark.parametrize("regression", [False, True])
def test_labels_that_are_shuffled_once(regression: bool) -> None:
    torch.manual_seed(1)
    (x, y), held_out = (line(), line(seed=1)) if regression else (blobs(), blobs(seed=1))
    loss = "mse_loss" if regression else "cross_entropy"
    mixed = y[torch.randperm(len(y))], held_out[1][torch.randperm(len(held_out[1]))]
    finding = found(run((x, mixed[0]), (held_out[0], mixed[1]), loss=loss, epochs=4))[
        "misaligned-inputs-and-labels"
    ]
    assert finding.severity in ("warning", "critical")
    assert not finding.exact
    assert finding.against


def test_a_hopeless_training_of_labels_that_belong_to_their_inputs_is_not_misaligned() -> None:
    frozen = lambda p: torch.optim.SGD(p, lr=1e-9)  # noqa: E731
    assert alarms(run(blobs(), blobs(seed=1), optimizer=frozen, epochs=4)) == set()
    xor_x = torch.rand(240, 2) * 2 - 1
    case = run((xor_x, (xor_x[:, 0] * xor_x[:, 1] > 0).long()), optimizer=frozen, epochs=4)
    assert alarms(case) == set()


def test_switches_with_noise_are_no_mistake() -> None:
    torch.manual_seed(0)
    x = torch.randint(2, (400, 2)).float()
    y = ((x[:, 0] != x[:, 1]) ^ (torch.rand(400) < 0.2)).long()
    assert alarms(run((x, y), epochs=20)) == set()


def test_equal_inputs_with_other_labels_now_and_then() -> None:
    torch.manual_seed(0)
    x, y = blobs(120, features=8, apart=0.5)
    flipped = torch.where(torch.rand(240) < 0.15, (torch.cat([y, y]) + 1) % 3, torch.cat([y, y]))
    case = run((torch.cat([x, x]), flipped), epochs=6, optimizer=lambda p: torch.optim.SGD(p, lr=0.02))
    assert "bad-labels" in alarms(case)


def test_numbers_that_are_mixed_up_anew_each_epoch() -> None:
    torch.manual_seed(0)
    x, y = line(400)
    mixed = lambda epoch: (x, y[torch.randperm(400)])  # noqa: E731
    finding = found(run((x, y), each_epoch=mixed, loss="mse_loss", epochs=4))["misaligned-inputs-and-labels"]
    assert finding.exact


def test_numbers_that_are_new_each_epoch_are_no_mixing() -> None:
    torch.manual_seed(0)
    x, y = line(400)
    noisy = lambda epoch: (x, y + 0.1 * torch.randn(400, 1))  # noqa: E731
    assert "misaligned-inputs-and-labels" not in alarms(
        run((x, y), each_epoch=noisy, loss="mse_loss", epochs=6)
    )
