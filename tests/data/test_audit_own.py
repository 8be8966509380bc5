"""The audit of data sets and loaders of one's own: some examples, read as training reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

import preceptor
from preceptor.data.audit.sampled import sampled
from preceptor.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read must not hang on how busy the machine is."""
    monkeypatch.setattr("preceptor.run.examined.audit._OWN", {True: (500, 1e9), False: (2000, 1e9)})


class Own(Dataset[Any]):
    """Vectors of a class, of which some can be made to go wrong."""

    def __init__(self, n: int = 900, broken: int = -1, empty: int = -1, other: int = -1) -> None:
        self.n, self.broken, self.empty, self.other = n, broken, empty, other

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        if i == self.broken:
            raise OSError("no such picture")
        torch.rand(1)  # as augmentations do
        x = torch.tensor(np.random.default_rng(i).normal(size=4), dtype=torch.float32)
        x[1] += i % 3
        if i == self.empty:
            x[0] = torch.nan
        return (x[:3] if i == self.other else x), i % 3


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        for i in range(60):
            yield {"a": torch.full((2,), float(i)), "b": torch.tensor([i % 7.0])}, torch.tensor(float(i % 11))


def test_some_examples_are_read_evenly_and_it_is_said() -> None:
    found = preceptor.audit(Own(), quick=True)
    assert found.clean
    assert found.about.startswith("500 rows × 4 columns · 3 classes · split 350/75/75")
    assert (
        found.remarks["reading"][0].text
        == "500 of 900 examples were read, evenly spread: rows count among them"
    )
    whole = preceptor.audit(Own(90), quick=True)
    assert whole.remarks["reading"][0].text == "all 90 examples were read"


def test_generators_are_left_as_they_were() -> None:
    before = torch.get_rng_state()
    sampled({"train": DataLoader(Own(50), shuffle=True)}, most=20, seconds=9)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("broken", "1 example cannot be read, such as number 7: OSError: no such picture"),
        ("empty", "1 example with NaN or infinity, such as number 7"),
        ("other", "another shape than 4, such as 3"),
    ],
)
def test_examples_that_are_not_like_the_others(fault: str, said: str) -> None:
    found = preceptor.audit(Own(150, **{fault: 7}), quick=True)
    (flaw,) = [one for name, one in found.flaws if name == "reading"]
    assert said in flaw.text
    assert flaw.rows == (7,)


def test_one_data_set_for_training_and_validation() -> None:
    loaders = DataLoader(Own(60), batch_size=8), DataLoader(Own(60), batch_size=8)
    found = preceptor.audit(loaders[0], val=loaders[1], quick=True)
    assert {"exact-duplicates", "shared-examples"} <= {name for name, _ in found.flaws}


def test_a_stream_and_inputs_of_several_tensors() -> None:
    found = preceptor.audit(DataLoader(Stream(), batch_size=10), quick=True)
    assert found.about.startswith("60 rows × 3 columns")
    assert found.remarks["reading"][0].text.startswith("the first 60 examples of a stream were read")
    assert "data.scale=standard" not in str(found)


def test_what_is_no_pair_is_refused() -> None:
    with pytest.raises(DataError, match="does not yield pairs"):
        preceptor.audit(DataLoader([torch.zeros(3)] * 4), quick=True)
    with pytest.raises(ConfigError, match="no data to look over"):
        preceptor.audit("cart-pole", task="reinforcement")


def test_other_tasks(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(80, 3))
    assert preceptor.audit(x, task="clustering", quick=True).clean
    assert preceptor.audit(x, task="reconstruction", quick=True).clean
    x[3, 1] = np.nan
    assert preceptor.audit(x, task="imputation", quick=True).clean
    usual = preceptor.audit("digits", task="anomaly-detection", settings={"data.anomalies": "4"}, quick=True)
    assert usual.clean  # though anomalies are held out on purpose
    (tmp_path / "a.txt").write_text("to be or not to be\n" * 99)
    for task in (None, "embedding", "language-modelling"):
        found = preceptor.audit(tmp_path / "a.txt", task=task, quick=True)
        assert [name for name, _ in found.flaws] == ["one-text"]


def test_a_training_looks_its_own_data_over(tmp_path: Path) -> None:
    model = torch.nn.Linear(4, 3)
    run = preceptor.train(
        model, Own(60, empty=-1), epochs=1, out=tmp_path / "r", settings={"training.watch": False}
    )
    assert run.audit is not None
    assert run.audit.remarks["reading"][0].text == "all 60 examples were read"
    text = tmp_path / "b.txt"
    text.write_text("to be or not to be, that is the question\n" * 40)
    settings = {"training.watch": False, "text.steps": 8, "model.hidden": 8}
    said = preceptor.train("lstm", text, task="language-modelling", epochs=1, out=False, settings=settings)
    assert said.audit is not None
    assert [name for name, _ in said.audit.flaws] == ["one-text", "exact-duplicates", "shared-examples"]
    assert "to be or not to be" in said.report(tmp_path / "report.html").read_text(encoding="utf-8")
