import numpy as np
import pytest

from preceptor.errors import ConfigError, UnknownName
from preceptor.observation._samples import Samples


def numbers(first: int, last: int) -> np.ndarray:
    return np.arange(first, last, dtype=np.uint64)


def test_overlap_is_exact_while_all_is_kept() -> None:
    samples = Samples()
    for _ in range(3):
        for start in range(0, 60_000, 100):
            samples.add("train", numbers(start, start + 100))
    samples.add("test", numbers(59_990, 70_000))
    assert samples.overlap("train", "test") == (10, 60_000, 10_010)
    assert samples.overlap("test", "train") == (10, 10_010, 60_000)
    assert samples.seen("train") == 180_000
    assert samples.keys == ["train", "test"]


@pytest.mark.slow
def test_overlap_of_thinned_sets_is_an_unbiased_share() -> None:
    samples = Samples(cap=4096)
    samples.add("train", numbers(0, 2_000_000))
    samples.add("test", numbers(1_500_000, 2_500_000))
    shared, of_a, of_b = samples.overlap("train", "test")
    assert samples.nbytes <= 2 * 4096 * 8
    assert of_a + of_b >= 2048
    assert shared / of_a == pytest.approx(0.25, abs=0.05)
    assert shared / of_b == pytest.approx(0.5, abs=0.08)


def test_sets_of_different_density_are_compared_on_what_both_keep() -> None:
    samples = Samples(cap=1000)
    samples.add("small", numbers(0, 500))
    samples.add("large", numbers(0, 100_000))
    shared, of_small, of_large = samples.overlap("small", "large")
    assert shared == of_small < 30
    assert 400 < of_large <= 1000


def test_the_order_of_arrival_does_not_matter() -> None:
    forward, backward = Samples(cap=256), Samples(cap=256)
    for start in range(0, 50_000, 1000):
        forward.add("a", numbers(start, start + 1000))
        backward.add("a", numbers(49_000 - start, 50_000 - start))
    assert forward.pack()[1].tolist() == backward.pack()[1].tolist()


def test_signed_empty_and_nested_hashes() -> None:
    samples = Samples()
    samples.add("a", np.array([[-1, 2], [3, -4]]))
    samples.add("a", np.empty(0, np.uint64))
    samples.add("b", np.array([2**64 - 1], dtype=np.uint64))
    assert samples.overlap("a", "b") == (1, 4, 1)


def test_the_caller_s_array_is_left_alone() -> None:
    hashes = numbers(0, 10)
    Samples().add("a", hashes)
    assert hashes.tolist() == list(range(10))


def test_refusals() -> None:
    samples = Samples(keys=1)
    with pytest.raises(ConfigError, match="float64"):
        samples.add("train", np.array([0.5]))
    samples.add("test", numbers(0, 1))
    assert samples.keys == ["train"]
    with pytest.raises(UnknownName, match="train"):
        samples.overlap("train", "trian")
