"""The audit of data: every check catches what was planted for it, and is silent on clean sets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from preceptor.data import Column, Dataset, Table, load, split
from preceptor.data._assemble import assemble
from preceptor.data.audit import CHECKS, Audit, difference_hash, examine, perceptual_hash
from preceptor.data.audit._subject import Subject
from preceptor.errors import CheckpointError

CHECK = {check.name: check for check in CHECKS}
DRAW = np.random.default_rng


def table(columns: dict[str, Iterable[Any]], target: Iterable[Any]) -> Dataset:
    made = []
    for name, values in columns.items():
        listed = list(values)
        texts = any(isinstance(value, str) for value in listed)
        array = np.array(listed, dtype=object if texts else np.float64)
        made.append(Column(name, "category" if texts else "number", array))
    return assemble(
        name="made", origin="arrays", kind="table", inputs=Table(tuple(made)), targets=np.array(list(target))
    )


def rows(n: int = 200, seed: int = 0) -> dict[str, list[Any]]:
    draw = DRAW(seed)
    return {
        "a": draw.normal(size=n).tolist(),
        "b": (50 + 9 * draw.normal(size=n)).tolist(),
        "c": draw.choice(["red", "blue", "green"], n).tolist(),
    }


def classes(columns: dict[str, list[Any]], seed: int = 1) -> list[int]:
    noise = DRAW(seed).normal(size=len(columns["a"]))
    return [int(a + 0.5 * e > 0) for a, e in zip(columns["a"], noise, strict=True)]


def flaws(dataset: Dataset, check: str, *, scale: str = "standard", **parts: Any) -> list[Any]:
    """The warnings of one check."""
    subject = Subject(dataset, split(dataset, **parts), scale)
    assert CHECK[check].suits(subject)
    return [remark for remark in CHECK[check].look(subject) if remark.level == "warning"]


def blobs(n: int = 300, apart: float = 5.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = DRAW(seed)
    y = np.arange(n) % 3
    return draw.normal(size=(n, 6)) + apart * np.eye(6)[y], y


def smooth(n: int, side: int = 32, seed: int = 0) -> np.ndarray:
    """Images of slow waves, each other than the next, as bytes."""
    draw = DRAW(seed)
    grid = np.linspace(0, np.pi, side)
    waves = np.stack([np.cos(k * grid) for k in range(10)])
    weights = draw.normal(size=(n, 3, 10, 10)) / (1 + np.add.outer(range(10), range(10)))
    made = np.einsum("ncij,ih,jw->nchw", weights, waves, waves)
    low, high = made.min(axis=(1, 2, 3), keepdims=True), made.max(axis=(1, 2, 3), keepdims=True)
    return (255 * (made - low) / (high - low)).astype(np.uint8)


# Clean sets


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "wine", "breast-cancer", "diabetes", "digits"])
def test_clean_sets_have_no_flaws(name: str) -> None:
    dataset = load(name)
    found = examine(dataset, split(dataset))
    assert [(check, flaw.text) for check, flaw in found.flaws] == []
    assert set(found.remarks) == {
        check.name for check in CHECKS if check.suits(Subject(dataset, split(dataset)))
    }
    assert found.clean
    assert "nothing to warn of" in str(found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_drawn_sets_have_no_flaws(seed: int) -> None:
    made = rows(160, seed)
    for dataset in (table(made, classes(made, seed + 100)), load(blobs(150, 2.0, seed))):
        found = examine(dataset, split(dataset, seed=seed))
        assert [(check, flaw.text) for check, flaw in found.flaws] == []


# Columns


def with_gaps(made: dict[str, list[Any]]) -> None:
    made["a"][: len(made["a"]) * 2 // 3] = [float("nan")] * (len(made["a"]) * 2 // 3)


def with_constant(made: dict[str, list[Any]]) -> None:
    made["d"] = [7.0] * len(made["a"])


def with_copy_in_other_unit(made: dict[str, list[Any]]) -> None:
    made["d"] = [2.54 * b - 3 for b in made["b"]]


def with_renamed_copy(made: dict[str, list[Any]]) -> None:
    made["d"] = [{"red": "r", "blue": "b", "green": "g"}[c] for c in made["c"]]


def with_numbering(made: dict[str, list[Any]]) -> None:
    made["d"] = [float(i) for i in range(1000, 1000 + len(made["a"]))]


def with_text_among_numbers(made: dict[str, list[Any]]) -> None:
    made["d"] = [str(i % 17) if i % 4 else "unknown" for i in range(len(made["a"]))]


def with_spellings(made: dict[str, list[Any]]) -> None:
    made["c"][:9] = ["Red "] * 9


def with_code(made: dict[str, list[Any]]) -> None:
    made["b"][3:6] = [-999.0] * 3


def with_slip(made: dict[str, list[Any]]) -> None:
    made["a"][11] = 2000.0


PLANTED: dict[str, tuple[str, Callable[[dict[str, list[Any]]], None], tuple[str, ...]]] = {
    "more than half missing": ("missing-values", with_gaps, ("a",)),
    "constant": ("constant-columns", with_constant, ("d",)),
    "another unit": ("duplicate-columns", with_copy_in_other_unit, ("b", "d")),
    "other names": ("duplicate-columns", with_renamed_copy, ("c", "d")),
    "numbering": ("identifier-columns", with_numbering, ("d",)),
    "text among numbers": ("mixed-types", with_text_among_numbers, ("d",)),
    "spellings": ("spellings", with_spellings, ("c",)),
    "a code": ("far-values", with_code, ("b",)),
    "a slip": ("far-values", with_slip, ("a",)),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_planted_columns(planted: str) -> None:
    check, plant, columns = PLANTED[planted]
    made = rows()
    target = classes(made)
    assert flaws(table(made, target), check) == []
    plant(made)
    (flaw,) = flaws(table(made, target), check)
    assert set(flaw.columns) == set(columns)
    assert flaw.remedy


@pytest.mark.slow
def test_a_few_gaps_are_told_and_no_flaw() -> None:
    made = rows()
    made["a"][4] = float("nan")
    dataset = table(made, classes(rows()))
    (remark,) = examine(dataset, split(dataset)).remarks["missing-values"]
    assert (remark.level, remark.columns) == ("info", ("a",))


def test_spellings_of_classes() -> None:
    made = rows()
    target = ["yes" if y else "no" for y in classes(made)]
    target[:5] = ["Yes"] * 5
    (flaw,) = flaws(table(made, target), "spellings")
    assert "'Yes' = 'yes'" in flaw.text


def test_unscaled_inputs_matter_where_training_leaves_them() -> None:
    x, y = blobs()
    dataset = load((x * [1, 1, 1, 1, 1, 1e4], y))
    assert flaws(dataset, "unscaled-inputs") == []
    (flaw,) = flaws(dataset, "unscaled-inputs", scale="none")
    assert "data.scale=standard" in flaw.remedy


# Examples


def test_copies_within_and_across() -> None:
    x, y = blobs()
    dataset = load((np.concatenate([x, x[:12]]), np.concatenate([y, y[:12]])))
    (within,) = flaws(dataset, "exact-duplicates")
    assert within.rows == tuple(range(300, 312))
    across = flaws(dataset, "shared-examples")
    parts = split(dataset)
    expected = {row for row in (*parts.val, *parts.test) if row < 12 or row >= 300}
    found = {row for flaw in across for row in flaw.rows}
    assert found
    assert found <= expected


def test_copies_by_chance_are_none() -> None:
    draw = DRAW(0)
    coarse = load((draw.integers(0, 3, (400, 4)).astype(float), draw.integers(0, 2, 400)))
    assert flaws(coarse, "exact-duplicates") == []
    assert flaws(coarse, "shared-examples") == []


@pytest.mark.parametrize("jitter", [1e-6, 0.02])
def test_near_copies_of_rows(jitter: float) -> None:
    x, y = blobs(240)
    part = np.array(["train"] * 200 + ["test"] * 40)
    x[200:206] = x[:6] + jitter * DRAW(1).normal(size=(6, 6))
    y[200:206] = y[:6]
    dataset = replace(load((x, y)), part=part)
    (flaw,) = flaws(dataset, "near-duplicates", val=0)
    assert flaw.rows == tuple(range(200, 206))


def test_near_copies_of_images() -> None:
    images = smooth(240)
    images[200:206] = np.clip(0.8 * images[:6] + 20 + DRAW(1).integers(-4, 5, images[:6].shape), 0, 255)
    dataset = replace(load((images, np.arange(240) % 2)), part=np.array(["train"] * 200 + ["test"] * 40))
    (flaw,) = flaws(dataset, "near-duplicates", val=0)
    assert flaw.rows == tuple(range(200, 206))
    images[200:206] = smooth(6, seed=9)
    other = replace(load((images, np.arange(240) % 2)), part=dataset.part)
    assert flaws(other, "near-duplicates", val=0) == []


def test_hashes_bear_brightness_contrast_and_size() -> None:
    images = smooth(20, side=64)
    changed = np.clip(0.6 * images[:, :, ::2, ::2] + 40, 0, 255)
    for function, bits in ((difference_hash, 64), (perceptual_hash, 63)):
        own, other = function(images), function(changed)
        assert own.shape == (20, bits)
        assert (own != other).mean() < 0.06
        apart = (own[:, None] != own[None]).mean(axis=2)[np.triu_indices(20, 1)]
        assert apart.min() > 0.15


def test_blank_images_and_two_scales() -> None:
    images = smooth(60).astype(np.float32)
    labels = np.arange(60) % 2
    assert flaws(load((images, labels)), "blank-images") == []
    images[[3, 9]] = 7.0
    images[20:30] /= 255
    (blank,) = flaws(load((images, labels)), "blank-images")
    assert blank.rows == (3, 9)
    (mixed,) = flaws(load((images, labels)), "mixed-scales")
    assert set(mixed.rows) == set(range(20, 30))


def test_examples_far_from_all_others() -> None:
    x, y = blobs()
    x[17] = 200.0
    (flaw,) = flaws(load((x, y)), "far-examples")
    assert flaw.rows == (17,)


# Targets


def test_rare_classes() -> None:
    x, _ = blobs(400)
    y = np.zeros(400, int)
    y[:12] = 1
    y[12:16] = 2
    found = flaws(load((x, y)), "class-balance")
    assert len(found) == 2
    assert "but 2 3, 1 8" in found[0].text


def test_a_class_that_training_lacks() -> None:
    x, y = blobs(120)
    part = np.where(y == 2, "test", "train")
    part[:6] = "val"
    (flaw,) = flaws(replace(load((x, y)), part=part), "absent-classes", val=0)
    assert "no train examples of 2" in flaw.text


def test_contradictions() -> None:
    x, y = blobs()
    twice = load((np.concatenate([x, x[:9]]), np.concatenate([y, (y[:9] + 1) % 3])))
    (flaw,) = flaws(twice, "contradictions")
    assert len(flaw.rows) == 18
    assert flaw.evidence["lost"] == pytest.approx(9 / 309)


@pytest.mark.parametrize("share", [0.03, 0.1])
def test_wrong_labels_are_listed(share: float) -> None:
    x, y = blobs(600)
    wrong = DRAW(2).choice(600, int(share * 600), replace=False)
    y[wrong] = (y[wrong] + 1) % 3
    (flaw,) = flaws(load((x, y)), "label-noise")
    assert set(flaw.rows) <= set(wrong.tolist())
    assert len(flaw.rows) > 0.7 * len(wrong)
    assert flaw.evidence["rate"] == pytest.approx(share, abs=2 * (share * (1 - share) / 600) ** 0.5)


def test_overlapping_classes_are_no_wrong_labels() -> None:
    for seed in range(4):
        assert flaws(load(blobs(400, 1.5, seed)), "label-noise") == []


def test_digits_with_wrong_labels() -> None:
    digits = load("digits")
    labels = digits.targets.copy()
    wrong = DRAW(0).choice(len(labels), 54, replace=False)  # 3 %
    labels[wrong] = (labels[wrong] + DRAW(1).integers(1, 10, 54)) % 10
    (flaw,) = flaws(replace(digits, targets=labels), "label-noise")
    found = set(flaw.rows)
    assert len(found & set(wrong.tolist())) / len(found) > 0.9
    assert len(found & set(wrong.tolist())) / 54 > 0.9


def test_targets_with_a_slip() -> None:
    x, _ = blobs()
    value = x @ np.arange(1, 7) + 0.1 * DRAW(0).normal(size=300)
    assert flaws(load((x, value)), "far-targets") == []
    value[[8, 40]] *= 100
    (flaw,) = flaws(load((x, value)), "far-targets")
    assert set(flaw.rows) == {8, 40}


# Leaks and parts


def leak_of_class(made: dict[str, list[Any]], target: list[int]) -> list[Any]:
    return [10.0 * y + e for y, e in zip(target, DRAW(3).random(len(target)), strict=True)]


def leak_as_category(made: dict[str, list[Any]], target: list[int]) -> list[Any]:
    return ["paid" if y else "due" for y in target]


def leak_by_gaps(made: dict[str, list[Any]], target: list[int]) -> list[Any]:
    return [a if y else float("nan") for a, y in zip(made["b"], target, strict=True)]


@pytest.mark.parametrize("leak", [leak_of_class, leak_as_category, leak_by_gaps])
def test_leaks(leak: Callable[[dict[str, list[Any]], list[int]], list[Any]]) -> None:
    made = rows(400)
    target = classes(made)
    assert flaws(table(made, target), "target-leakage") == []
    made["d"] = leak(made, target)
    (flaw,) = flaws(table(made, target), "target-leakage")
    assert {name.removesuffix(" being missing") for name in flaw.columns} == {"d"}
    assert flaw.evidence["by chance"] < 0.5


def test_a_leak_of_a_number() -> None:
    x, _ = blobs(400)
    value = x @ np.arange(1, 7) + DRAW(0).normal(size=400)
    leaky = np.column_stack([x, np.exp(value / 30)])
    (flaw,) = flaws(load((leaky, value)), "target-leakage")
    assert flaw.columns == ("x6",)


def test_an_easy_task_is_no_leak() -> None:
    y = np.arange(200) % 2
    assert flaws(load((y[:, None] * [5.0, 5.0, 5.0] + DRAW(0).random((200, 3)), y)), "target-leakage") == []


def test_parts_of_two_kinds() -> None:
    x, y = blobs(500)
    part = np.array(["train"] * 400 + ["test"] * 100)
    x[400:, 2] += 1.0
    dataset = replace(load((x, y)), part=part)
    (moved,) = flaws(dataset, "shifted-columns", val=0)
    assert moved.columns == ("x2",)


@pytest.mark.slow
def test_parts_that_differ_in_a_dependence_alone() -> None:
    x = DRAW(0).normal(size=(700, 4))
    x[500:, 1] = x[500:, 0]
    part = np.array(["train"] * 500 + ["test"] * 200)
    dataset = replace(load((x, np.arange(700) % 2)), part=part)
    assert flaws(dataset, "shifted-columns", val=0) == []
    (told,) = flaws(dataset, "told-apart", val=0)
    assert told.evidence["interval"][0] > 0.5


def test_categories_and_classes_that_moved() -> None:
    made = rows(500)
    made["c"][400:] = ["red"] * 100
    target = [int(i % 2 or i > 420) for i in range(500)]
    dataset = replace(table(made, target), part=np.array(["train"] * 400 + ["test"] * 100))
    (flaw,) = flaws(dataset, "shifted-columns", val=0)
    assert set(flaw.columns) == {"c", "the classes"}


# The audit itself


@pytest.mark.slow
def test_it_survives_being_written() -> None:
    x, y = blobs()
    dataset = load((np.concatenate([x, x[:12]]), np.concatenate([y, y[:12]])))
    found = examine(dataset, split(dataset))
    again = Audit.from_plain(json.loads(json.dumps(found.to_plain())))
    assert str(again) == str(found)
    assert [flaw.rows for _, flaw in again.flaws] == [flaw.rows for _, flaw in found.flaws]
    with pytest.raises(CheckpointError, match="cannot read the saved audit"):
        Audit.from_plain({"about": "x"})


@pytest.mark.slow
def test_quick_leaves_out_what_is_slow() -> None:
    iris = load("iris")
    found = examine(iris, split(iris), quick=True)
    assert all(CHECK[name].quick for name in found.remarks)
    assert set(found.remarks) < set(examine(iris, split(iris)).remarks)


ODD: dict[str, Any] = {
    "two rows": ([[0.0], [1.0]], [0, 1]),
    "three rows": ([[0.0, 1.0], [1.0, 1.0], [2.0, 5.0]], ["a", "b", "a"]),
    "tokens": (torch.arange(600).reshape(60, 10) % 7, np.arange(60) % 2),
    "sequences": (DRAW(0).normal(size=(60, 5, 4)), np.arange(60) % 2),
    "constant": (np.zeros((60, 3)), np.arange(60) % 2),
    "several numbers": (DRAW(0).normal(size=(60, 3)), DRAW(1).normal(size=(60, 2))),
    "one pixel": (np.arange(60, dtype=np.uint8).reshape(60, 1, 1, 1), np.arange(60) % 2),
    "masks": (smooth(20, 16), np.zeros((20, 16, 16), np.uint8) + (np.arange(16) > 7).astype(np.uint8)),
}


@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("parts", [{"val": 0, "test": 0}, {"val": 0.34, "test": 0}])
def test_odd_data_are_looked_at_without_a_fault(case: str, parts: dict[str, float]) -> None:
    dataset = load(ODD[case])
    assert str(examine(dataset, split(dataset, **parts)))
