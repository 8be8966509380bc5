"""A step that does not fit into memory: the same update from smaller parts, told, kept and resumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from preceptor.errors import OutOfMemory
from preceptor.training import Problem, fit
from preceptor.training.memory import in_parts

MakeProblem = Callable[..., Problem]


class Hungry(nn.Module):
    """Runs out of memory on more than ``most`` examples, forwards or backwards."""

    def __init__(self, most: int, *, backward: bool = False, norm: bool = False, after: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Linear(6, 4), nn.BatchNorm1d(4) if norm else nn.Tanh(), nn.Linear(4, 3)
        )
        self.most, self.backward, self.after, self.sizes = most, backward, after, []  # type: ignore[var-annotated]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        if self.training:
            self.sizes.append(len(x))
            if len(x) > self.most and len(self.sizes) > self.after:
                if not self.backward:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
                y.register_hook(self.refuse)
        return y

    def refuse(self, gradient: Tensor) -> Tensor:
        raise RuntimeError(
            "[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 1 GB"
        )


def distance(a: nn.Module, b: nn.Module) -> float:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return max(float((u - v).abs().max()) for u, v in pairs)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("given", [{}, {"grad_accumulation": 2}, {"max_grad_norm": 0.1}])
def test_the_update_is_the_same(make_problem: MakeProblem, backward: bool, given: dict[str, Any]) -> None:
    whole = make_problem(lambda: Hungry(99), **given)
    fit(whole, epochs=3, restore_best=False)
    heard: list[str] = []
    parts = make_problem(lambda: Hungry(3, backward=backward, after=2), **given)
    state = fit(parts, epochs=3, restore_best=False, tell=heard.append)
    assert distance(whole.model, parts.model) < 1e-6
    assert (state.parts, state.step) == (4, 3 * -(-len(whole.train) // whole.grad_accumulation))
    assert heard == state.notes
    assert "from step 3 on it is taken in parts of 4" in heard[0] or "accumulation" in str(given)
    assert heard[-1].endswith("in parts of 2, whose gradients add up to the same update")
    assert state.history[:, "micro_batch"] == [2, 2, 2]


def test_batch_norm_is_told_of_and_never_shown_one_example(make_problem: MakeProblem) -> None:
    problem = make_problem(lambda: Hungry(2, norm=True))
    state = fit(problem, epochs=2)
    assert state.notes[-1].endswith("batch normalisation takes its statistics from 2 examples, not from 8")
    assert min(problem.model.sizes) == 2  # type: ignore[arg-type]
    with pytest.raises(OutOfMemory, match="in parts of 2 on cpu"):
        fit(make_problem(lambda: Hungry(1, norm=True)), epochs=2)


def test_an_optimizer_that_asks_for_the_loss_itself(make_problem: MakeProblem) -> None:
    made = [
        make_problem(lambda most=most: Hungry(most), optimizer="lbfgs", batch_size=46, dtype=torch.float64)
        for most in (99, 3)
    ]
    for problem in made:
        fit(problem, epochs=1, restore_best=False)
    assert distance(*(problem.model for problem in made)) < 1e-9


def test_the_parts_are_in_the_snapshot(make_problem: MakeProblem) -> None:
    first = make_problem(lambda: Hungry(3))
    tree = fit(first, epochs=1).snapshot()
    second = make_problem(lambda: Hungry(3))
    state = fit(second, epochs=2, resume=tree)
    assert state.notes == []
    assert max(second.model.sizes) <= 3  # type: ignore[arg-type]


def test_what_has_no_rows_is_not_cut(make_problem: MakeProblem) -> None:
    class Whole(Hungry):
        def forward(self, x: Any) -> Tensor:
            return super().forward(x["all"])

    def collate(rows: list[tuple[Tensor, Tensor]]) -> tuple[dict[str, Any], Tensor]:
        x, y = zip(*rows, strict=True)
        return {"all": torch.stack(x), "scale": torch.ones(2)}, torch.stack(y)

    rows = TensorDataset(torch.zeros(16, 6), torch.arange(16) % 3)
    loader: DataLoader[Any] = DataLoader(rows, batch_size=8, collate_fn=collate)
    problem = make_problem(lambda: Whole(3), loader=loader, val=False)
    with pytest.raises(OutOfMemory, match="batch_size=4 with grad_accumulation=2"):
        fit(problem, epochs=1)


def test_parts_cover_every_row_once() -> None:
    for rows in range(1, 12):
        for parts in (1, 2, 3, 4, 8):
            for least in (1, 2):
                batch = {"a": torch.arange(rows), "b": [torch.arange(rows) * 2]}, torch.arange(rows)
                cut = in_parts([batch], parts, least)
                assert torch.cat([y for _, y in cut]).tolist() == list(range(rows))
                assert all(torch.equal(x["b"][0], 2 * y) and len(y) >= min(least, rows) for x, y in cut)
                assert len(cut) == max(1, min(parts, rows // least))
