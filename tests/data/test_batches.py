"""Every example once a pass; a pass continued gives the very batches that were still to come."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset, TensorDataset

from preceptor.data import generators
from preceptor.data.batches import LoaderBatches, TensorBatches
from preceptor.errors import DataError


def tensors(batches: object, skip: int = 0) -> list[torch.Tensor]:
    return [torch.cat([x.flatten(), y.flatten().to(x.dtype)]) for x, y in batches.epoch(skip)]  # type: ignore[attr-defined]


@pytest.mark.slow
@given(n=st.integers(1, 60), size=st.integers(1, 20), features=st.integers(1, 17), seed=st.integers(0, 5))
def test_each_example_once_and_length(n: int, size: int, features: int, seed: int) -> None:
    x = torch.arange(float(n))[:, None].expand(n, features).contiguous()
    batches = TensorBatches(x, torch.arange(n), batch_size=size, seed=seed)
    seen = [(x, y) for x, y in batches.epoch()]
    assert len(seen) == len(batches)
    assert torch.cat([y for _, y in seen]).sort().values.tolist() == list(range(n))
    for x, y in seen:
        assert torch.equal(x, y[:, None].float().expand_as(x))
    assert all(len(y) == batches.batch_size for _, y in seen[:-1])


@pytest.mark.slow
@given(
    n=st.integers(1, 40), size=st.integers(1, 9), features=st.sampled_from([1, 3, 16]), cut=st.integers(0, 40)
)
def test_a_continued_pass_gives_what_was_left(n: int, size: int, features: int, cut: int) -> None:
    x, y = torch.randn(n, features), torch.arange(n)
    whole = TensorBatches(x, y, batch_size=size)
    tensors(whole)
    cut = min(cut, len(whole))
    midway = whole.epoch()
    for _ in range(cut):
        next(midway)
    state = whole.state_dict()
    again = TensorBatches(x, y, batch_size=size, seed=99)
    again.load_state_dict(state, again=True)
    rest = list(midway)
    continued = list(again.epoch(skip=cut))
    assert [b.tolist() for _, b in rest] == [b.tolist() for _, b in continued]
    assert [b.tolist() for _, b in whole.epoch()] == [b.tolist() for _, b in again.epoch()]


def test_batches_begin_at_the_same_alignment_wherever_a_pass_is_taken_up() -> None:
    x, y = torch.randn(500, 3), torch.zeros(500)
    batches = TensorBatches(x, y, batch_size=7, shuffle=False)
    assert all(b.data_ptr() % 4 == 0 for b, _ in batches.epoch())
    aligned = TensorBatches(torch.randn(512, 32), torch.zeros(512), batch_size=16)
    assert all(b.data_ptr() % 64 == 0 for b, _ in aligned.epoch())


def test_the_order_is_its_own() -> None:
    x, y = torch.randn(10, 2), torch.arange(10)
    torch.manual_seed(1)
    first = tensors(TensorBatches(x, y, batch_size=3, seed=5))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = tensors(TensorBatches(x, y, batch_size=3, seed=5))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.slow
def test_the_order_changes_from_pass_to_pass_and_is_uniform() -> None:
    batches = TensorBatches(torch.zeros(4, 1), torch.arange(4), batch_size=4)
    firsts = [next(iter(batches.epoch()))[1][0].item() for _ in range(4000)]
    counts = np.bincount(firsts, minlength=4)
    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert chi_square < 16.3  # 0.999 quantile with 3 degrees of freedom; the seed is fixed


@pytest.mark.parametrize(("x", "y"), [(3, 2), (0, 0)])
def test_pairs_that_do_not_pair(x: int, y: int) -> None:
    with pytest.raises(DataError, match=f"{x} inputs, {y} targets"):
        TensorBatches(torch.zeros(x, 2), torch.zeros(y), batch_size=2)


class Noisy(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Draws from every global generator for each example, as augmentation does."""

    def __len__(self) -> int:
        return 11

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        noise = torch.rand(2) + float(np.random.rand())
        return noise + index, torch.tensor(index)


@pytest.mark.slow
@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_is_continued_exactly(own_generator: bool, workers: int) -> None:
    def make() -> LoaderBatches:
        generator = torch.Generator().manual_seed(3) if own_generator else None
        return LoaderBatches(
            DataLoader(Noisy(), batch_size=2, shuffle=True, generator=generator, num_workers=workers)
        )

    with generators.seeded(7):
        whole = make()
        tensors(whole)
        midway = whole.epoch()
        for _ in range(3):
            next(midway)
        state, now = whole.state_dict(), generators.capture()
        rest = [torch.cat([x.flatten(), y.float()]) for x, y in midway]
        following = tensors(whole)

        torch.manual_seed(99)
        again = make()
        again.load_state_dict(state, again=True)
        continued = again.epoch(skip=3)
        generators.restore(now)
        assert all(
            torch.equal(a, torch.cat([x.flatten(), y.float()]))
            for a, (x, y) in zip(rest, continued, strict=True)
        )
        assert all(torch.equal(a, b) for a, b in zip(following, tensors(again), strict=True))


def test_a_loader_that_yields_no_pairs() -> None:
    with pytest.raises(DataError, match=r"expected  \(inputs, targets\)[\s\S]*received  list of length 1"):
        list(LoaderBatches(DataLoader(TensorDataset(torch.zeros(3)), batch_size=2)).epoch())


def test_nested_inputs_are_kept() -> None:
    class Nested(Dataset[tuple[dict[str, torch.Tensor], torch.Tensor]]):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
            return {"a": torch.ones(3)}, torch.tensor(index)

    ((x, y),) = LoaderBatches(DataLoader(Nested(), batch_size=2)).epoch()
    assert x["a"].shape == (2, 3)
    assert y.tolist() == [0, 1]
