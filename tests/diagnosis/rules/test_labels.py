"""Labels: planted mistakes, and what only looks like them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ._data_runs import alarms, blobs, found, mlp, run


def test_labels_that_begin_at_one() -> None:
    x, y = blobs(apart=0.6)
    case = run((x, y + 1), epochs=2, optimizer=lambda p: torch.optim.SGD(p, lr=0.02))
    finding = found(case)["bad-labels"]
    assert finding.severity == "warning"
    assert "class 0" in finding.title
    learned = found(run((x * 3, y + 1), epochs=30))
    assert {cause: f.severity for cause, f in learned.items()} == {"bad-labels": "info"}


def test_a_class_that_is_left_out_on_purpose() -> None:
    x, y = blobs()
    y[::7] = -1  # padding, after the shift: class 0
    loss = lambda scores, targets: functional.cross_entropy(scores, targets, ignore_index=0)  # noqa: E731
    case = run((x, y + 1), loss=loss, model=mlp(6, 4), epochs=1)
    assert "bad-labels" not in found(case)


def test_one_label_only() -> None:
    x, y = blobs()
    case = run((x, torch.full_like(y, 2)), blobs(seed=1))
    finding = found(case)["bad-labels"]
    assert (finding.severity, finding.exact) == ("critical", True)
    assert finding.evidence["other classes in evaluation"] in ([0, 1], [1, 0])


class Similarities(nn.Module):
    """Scores whose first column is the right one by construction."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = mlp(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        codes = functional.normalize(self.encode(x), dim=1)
        again = functional.normalize(self.encode(x + 0.1 * torch.randn_like(x)), dim=1)
        others = codes @ again.T - 9 * torch.eye(len(x))
        return torch.cat([(codes * again).sum(1, keepdim=True), others], 1) / 0.2


def test_contrastive_labels_are_fine() -> None:
    x, y = blobs(240)
    assert alarms(run((x, torch.zeros_like(y)), model=Similarities(), epochs=4)) == set()


@pytest.mark.parametrize("low, high", [(-1.0, 1.0), (1.0, 2.0), (0.0, 255.0)])  # noqa: PT006
def test_targets_outside_what_a_binary_loss_takes(low: float, high: float) -> None:
    x, y = blobs(classes=2)
    targets = torch.where(y == 0, low, high).unsqueeze(1)
    case = run((x, targets), loss="binary_cross_entropy_with_logits")
    finding = found(case)["bad-labels"]
    assert (finding.severity, finding.exact) == ("critical", True)
    assert "0 and 1" in finding.remedy


def test_soft_targets_are_fine() -> None:
    x, y = blobs(classes=2)
    case = run((x, 0.05 + 0.9 * y.float().unsqueeze(1)), loss="binary_cross_entropy_with_logits")
    assert alarms(case) == set()


def rare(n: int = 600, share: float = 0.03, apart: float = 0.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = (torch.rand(n, generator=generator) < share).long()
    return torch.randn(n, 5, generator=generator) + apart * y.unsqueeze(1), y


def test_a_rare_class_that_is_ignored() -> None:
    case = run(
        rare(1200, share=0.08, apart=0.4),
        epochs=8,
        optimizer=lambda p: torch.optim.SGD(p, lr=0.05),
        batch_size=100,
    )
    finding = found(case)["class-imbalance"]
    assert finding.severity == "warning"
    assert finding.evidence["predicted right"]["1"] == 0


def test_a_rare_class_that_is_learned_or_weighted_is_fine() -> None:
    assert alarms(run(rare(apart=3.0), epochs=15)) == set()
    weights = torch.tensor([1.0, 30.0])
    weighted = lambda scores, y: functional.cross_entropy(scores, y, weight=weights)  # noqa: E731
    case = run(rare(1200, apart=0.4), loss=weighted, model=mlp(5, 2), batch_size=100, epochs=4)
    assert "class-imbalance" not in found(case)


def test_one_label_that_evaluation_has_as_well() -> None:
    (x, y), (u, v) = blobs(1600), blobs(200, seed=1)
    case = run((x, torch.full_like(y, 1)), (u, torch.full_like(v, 1)), model=mlp(6, 3), epochs=4, budget=1e-6)
    assert case.signal("target_std", "train").steps[-1] < case.steps / 2
    finding = found(case)["bad-labels"]
    assert finding.severity == "critical"
    assert finding.evidence["other classes in evaluation"] == []


def test_one_label_at_the_beginning_of_sorted_data_is_not_all() -> None:
    x, y = blobs(4800)
    order = y.argsort()
    case = run((x[order], y[order]), blobs(200, seed=1), epochs=1, shuffle=False, budget=1e-6)
    assert "bad-labels" not in found(case)


def test_many_rare_classes_that_are_ignored_together() -> None:
    torch.manual_seed(0)
    y = torch.zeros(960, dtype=torch.long)
    y[::24] = torch.arange(1, 41) % 9 + 1
    x = torch.randn(960, 8)
    case = run((x, y), (torch.randn(90, 8), torch.arange(90) % 10), batch_size=48, epochs=6)
    finding = found(case)["class-imbalance"]
    assert finding.severity == "warning"
    assert finding.evidence["samples of rare classes at the latest looks"] >= 50
    assert finding.confidence == pytest.approx(0.9)


def test_a_long_tail_that_is_learned_is_fine() -> None:
    torch.manual_seed(0)
    y = torch.zeros(960, dtype=torch.long)
    y[::8] = torch.arange(1, 121) % 4 + 1
    x = torch.randn(960, 8) * 0.3 + 2 * functional.one_hot(y, 8)
    assert "class-imbalance" not in found(run((x, y), (x[::3], y[::3]), epochs=8))
