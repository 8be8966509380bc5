"""Inputs in use beside those trained on: silent where they are alike, and a cause where they are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from preceptor.data import Table, load
from preceptor.data._dataset import take
from preceptor.data._rows import row_hashes
from preceptor.data._two_samples import compare_counts, counts_of, quantile_distance
from preceptor.data.shift import Reference, Shift, compare
from preceptor.errors import CheckpointError

SETS = ("iris", "wine", "breast-cancer", "diabetes", "digits")


def halves(name: str, seed: int = 0) -> tuple[Any, np.ndarray, np.ndarray]:
    dataset = load(name)
    order = np.random.default_rng(seed).permutation(len(dataset))
    cut = len(order) * 7 // 10
    return dataset, order[:cut], order[cut:]


def checked(dataset: Any, train: np.ndarray, raw: Any) -> Shift | None:
    return compare(Reference.fit(dataset, train), raw, dataset.feature_names)


# Silence


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_drawn_alike_raises_no_alarm(name: str, seed: int) -> None:
    dataset, train, rest = halves(name, seed)
    kept = Reference.fit(dataset, train)
    for m in (1, 2, 5, 20, len(rest)):
        assert compare(kept, take(dataset.inputs, rest[:m]), dataset.feature_names) is None


def test_no_rows_are_no_shift() -> None:
    dataset, train, _ = halves("iris")
    assert checked(dataset, train, dataset.inputs[:0]) is None


# Causes

CAUSES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], str]] = {
    "divided by 255": ("digits", lambda x: x / 255, "divided by 25"),
    "divided by 16": ("digits", lambda x: x / 16, "divided by 16"),
    "standardised": ("digits", lambda x: (x - 4.9) / 6.0, "standardised already"),
    "upside down": ("digits", lambda x: x[:, :, ::-1], "upside down"),
    "mirrored": ("digits", lambda x: x[:, :, :, ::-1], "mirrored"),
    "transposed": ("digits", lambda x: x.transpose(0, 1, 3, 2), "rows and columns exchanged"),
    "turned": ("digits", lambda x: np.rot90(x, -1, axes=(2, 3)), "turned by 90°"),
    "thousands": ("wine", lambda x: x / 1000, "divided by 1000"),
    "columns": ("wine", lambda x: x[:, [1, 0, *range(2, 13)]], "another order: alcohol, malic_acid"),
    "columns of wine standardised": ("wine", lambda x: (x - x.mean(0)) / x.std(0), "standardised already"),
    "a unit": ("wine", lambda x: x * np.r_[2.54, np.ones(12)], "alcohol in another unit, 2.54 times"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CAUSES)
def test_known_causes_are_named(case: str) -> None:
    name, change, said = CAUSES[case]
    dataset, train, rest = halves(name)
    found = checked(dataset, train, change(dataset.inputs[rest].astype(np.float64)))
    assert found is not None
    assert found.cause is not None
    assert said in str(found.cause)
    assert found.cause.after < 0.5 * found.cause.before


@pytest.mark.slow
def test_swapped_channels_of_colour_images() -> None:
    draw = np.random.default_rng(0)
    level = np.array([40.0, 120.0, 200.0])[:, None, None]
    images = np.clip(level + 20 * draw.normal(size=(200, 3, 12, 12)), 0, 255).astype(np.uint8)
    dataset = load((images, np.arange(200) % 2))
    found = checked(dataset, np.arange(150), images[150:, ::-1])
    assert "channels swapped" in str(found)
    assert checked(dataset, np.arange(150), images[150:]) is None


@pytest.mark.slow
def test_an_empty_column_is_said_to_be_one() -> None:
    dataset, train, rest = halves("wine")
    raw = dataset.inputs[rest].copy()
    raw[:, 4] = 0
    found = checked(dataset, train, raw)
    assert found is not None
    assert [one.name for one in found.moved] == ["magnesium"]
    assert "is 0 throughout" in found.moved[0].text


@pytest.mark.slow
def test_noise_has_no_known_cause() -> None:
    dataset, train, _ = halves("wine")
    found = checked(dataset, train, np.random.default_rng(0).gumbel(size=(50, 13)) * 40)
    assert found is not None
    assert found.cause is None


@pytest.mark.slow
def test_a_dependence_that_is_gone() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(2000, 1)) + 0.05 * draw.normal(size=(2000, 6))
    dataset = load((x, np.arange(2000) % 2))
    apart = np.stack([draw.permutation(x[1500:, j]) for j in range(6)], axis=1)
    found = checked(dataset, np.arange(1500), apart)
    assert found is not None
    assert found.moved == ()
    assert found.overall > 0.1
    assert "their dependences differ" in str(found)


# Tables


@pytest.fixture
def houses(tmp_path: Path) -> Any:
    draw = np.random.default_rng(0)
    lines = ["area,heating,price"]
    for i in range(300):
        area = "" if i % 20 == 0 else f"{50 + 100 * draw.random():.1f}"
        lines.append(f"{area},{('gas', 'oil', 'pump')[int(3 * draw.random())]},{draw.random():.3f}")
    (tmp_path / "houses.csv").write_text("\n".join(lines) + "\n")
    return load(tmp_path / "houses.csv", target="price")


def changed(table: Table, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Table:
    return Table(
        tuple(
            type(c)(c.name, c.kind, change(c.values.copy()) if c.name == name else c.values)
            for c in table.columns
        )
    )


def test_tables(houses: Any) -> None:
    kept, rest = Reference.fit(houses, np.arange(200)), houses.inputs.take(np.arange(200, 300))
    assert compare(kept, rest) is None

    def all_gas(values: np.ndarray) -> np.ndarray:
        values[:] = "gas"
        return values

    def shouted(values: np.ndarray) -> np.ndarray:
        return np.array([value.upper() for value in values], dtype=object)

    def emptied(values: np.ndarray) -> np.ndarray:
        values[::2] = np.nan
        return values

    cases = {
        "heating: 'gas' are 100%": ("heating", all_gas),
        "'GAS' is spelled 'gas' there": ("heating", shouted),
        "area is missing in 5": ("area", emptied),
        "area: ": ("area", lambda values: values * 10.76),
    }
    for said, (name, change) in cases.items():
        found = compare(kept, changed(rest, name, change))
        assert found is not None, said
        assert {one.name for one in found.moved} == {name}
        assert said in str(found)


# What is kept


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_it_is_small_and_survives_being_written(name: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    dataset, train, rest = halves(name)
    kept = Reference.fit(dataset, train)
    tensors, texts = kept.to_tensors()
    save_file({key: value.contiguous() for key, value in tensors.items()}, tmp_path / "r", metadata=texts)
    assert (tmp_path / "r").stat().st_size < 150_000
    again = Reference.from_tensors(load_file(tmp_path / "r"), texts)
    assert compare(again, dataset.inputs[rest], dataset.feature_names) is None
    odd = dataset.inputs[rest].astype(np.float64) / 255
    assert str(compare(again, odd, dataset.feature_names)) == str(compare(kept, odd, dataset.feature_names))
    with pytest.raises(CheckpointError, match="cannot read the statistics"):
        Reference.from_tensors({}, texts)
    with pytest.raises(CheckpointError, match="cannot read the statistics"):
        Reference.from_tensors(tensors, {"reference": json.dumps({"n": 3})})


def test_examples_that_were_trained_on_are_counted() -> None:
    dataset, train, rest = halves("digits")
    kept = Reference.fit(dataset, train)
    assert kept.trained_on(dataset.inputs[rest]) == 0
    mixed = np.concatenate([dataset.inputs[rest][:30], dataset.inputs[train][:20]])
    assert kept.trained_on(mixed) == 20
    assert kept.trained_on(mixed.astype(np.float64)) == 20


def test_of_many_examples_a_sketch_is_kept() -> None:
    x = np.random.default_rng(0).normal(size=(9000, 2))
    kept = Reference.fit(load((x, np.arange(9000) % 2)), np.arange(8000))
    assert len(kept.sketch) == 4096
    assert kept.trained_on(x[7000:]) == pytest.approx(1000, abs=120)  # 4 deviations of the share that is seen


@pytest.mark.slow
@pytest.mark.parametrize(
    "x",
    [torch.arange(240).reshape(40, 6) % 9, torch.randn(40, 3, 5, generator=torch.Generator().manual_seed(0))],
)
def test_other_tensors(x: torch.Tensor) -> None:
    dataset = load((x, np.arange(40) % 2))
    kept = Reference.fit(dataset, np.arange(30))
    assert compare(kept, dataset.inputs[30:]) is None
    assert compare(kept, dataset.inputs[:20] * 50 + 500) is not None


@pytest.mark.slow
def test_images_of_another_size_are_compared_as_far_as_they_can_be() -> None:
    draw = np.random.default_rng(0)
    dataset = load((draw.integers(0, 255, (60, 1, 16, 16)).astype(np.uint8), np.arange(60) % 2))
    kept = Reference.fit(dataset, np.arange(60))
    assert compare(kept, np.zeros((9, 1, 24, 32), np.uint8)) is not None
    assert compare(kept, np.zeros((9, 1, 3, 3), np.uint8)) is None


# The statistics


@pytest.mark.parametrize("moved", [0.0, 0.3, 2.0])
def test_the_distance_is_that_of_two_samples_to_what_the_quantiles_leave_open(moved: float) -> None:
    draw = np.random.default_rng(3)
    a, b = draw.normal(size=5000), draw.normal(size=400) + moved
    for train, new in ((a, b), (np.round(a), np.round(b))):
        kept = np.quantile(train, np.linspace(0, 1, 65))
        exact = ks_2samp(train, new, method="asymp")
        distance, p = quantile_distance(kept, len(train), new)
        assert exact.statistic - 2.1 / 64 <= distance <= exact.statistic + 1e-9
        assert p >= 0.5 * exact.pvalue


@pytest.mark.slow
def test_p_values_of_equal_distributions_are_not_too_small() -> None:
    draw = np.random.default_rng(0)
    p = []
    for _ in range(300):
        kept = np.quantile(draw.normal(size=400), np.linspace(0, 1, 65))
        p.append(quantile_distance(kept, 400, draw.normal(size=60))[1])
    assert np.mean(np.array(p) < 0.05) <= 0.05


def test_counts_beside_chi_squared() -> None:
    from scipy.stats import chi2_contingency

    draw = np.random.default_rng(0)
    a, b = draw.integers(0, 4, 300), draw.choice(4, 200, p=[0.4, 0.2, 0.2, 0.2])
    _, table = counts_of(a, b)
    assert table.sum(axis=1).tolist() == [300, 200]
    distance, p = compare_counts(table)
    assert p == pytest.approx(chi2_contingency(table, correction=False).pvalue)
    assert distance == pytest.approx(np.abs(table[0] / 300 - table[1] / 200).sum() / 2)


def test_fingerprints_of_rows() -> None:
    x = np.random.default_rng(0).integers(0, 3, (500, 7))
    hashes = row_hashes(x)
    same = (x[:, None] == x[None]).all(axis=2)
    assert ((hashes[:, None] == hashes[None]) == same).all()
    assert (row_hashes(x.astype(np.float32)) == hashes).all()
    assert (row_hashes(torch.from_numpy(x).float()) == hashes).all()
    assert row_hashes(np.array([[0.0], [-0.0]])).tolist()[0] == row_hashes(np.array([[-0.0]])).tolist()[0]
