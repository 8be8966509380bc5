"""``preceptor predict``: a CSV row for each new example."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

import preceptor

from .conftest import Cli


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.slow
def test_classes_as_they_were_called(cli: Cli, flowers: Path, tmp_path: Path) -> None:
    cli("train", flowers, "--target", "kind", "--epochs", 3, "--out", "run")
    (tmp_path / "new.csv").write_text("extra,colour,weight,size\n7,red,5,1.5\n8,,60,\n9,green,,9\n")
    done = cli("predict", "run", "new.csv")
    assert done.code == 0
    assert done.err == "note: column 'colour': not seen in training, taken as none: 'green'\n"
    assert done.lines[0] == "row,prediction,probability"
    rows = rows_of(done.out)
    assert [row["row"] for row in rows] == ["1", "2", "3"]
    assert {row["prediction"] for row in rows} <= {"rose", "lily"}
    run = preceptor.load("run")
    with pytest.warns(UserWarning, match="not seen in training"):
        assert [row["prediction"] for row in rows] == run.predict("new.csv").tolist()
    with pytest.warns(UserWarning, match="not seen in training"):
        sure = run.predict_proba("new.csv").max(axis=1)
    assert [row["probability"] for row in rows] == [f"{p:.4f}" for p in sure]
    assert (sure >= 0.5).all()


def test_whole_numbers_stay_whole(cli: Cli) -> None:
    cli("train", "digits", "--epochs", 3, "--out", "run")
    rows = rows_of(cli("predict", "run", "digits").out)
    assert len(rows) == 1797
    from sklearn.datasets import load_digits

    assert np.mean([int(r["prediction"]) == t for r, t in zip(rows, load_digits().target, strict=True)]) > 0.9


def test_numbers_in_their_own_units(cli: Cli, prices: Path) -> None:
    cli("train", prices, "--target", "price", "--epochs", 60, "--lr", 0.03, "--out", "run")
    done = cli("predict", "run", "prices.csv")
    assert done.lines[0] == "row,prediction"
    predicted = np.array([float(row["prediction"]) for row in rows_of(done.out)])
    truth = np.array([float(line.split(";")[2]) for line in prices.read_text().splitlines()[1:]])
    assert np.abs(predicted - truth).mean() < 0.2 * truth.std()


def test_into_a_file(cli: Cli, flowers: Path, tmp_path: Path) -> None:
    cli("train", flowers, "--target", "kind", "--epochs", 1, "--out", "run")
    shown = cli("predict", "run", flowers).out
    done = cli("predict", "run", flowers, "--out", "answers.csv")
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / "answers.csv").read_text() == shown


@pytest.mark.parametrize("count", [1, 2])
def test_few_examples(cli: Cli, flowers: Path, tmp_path: Path, count: int) -> None:
    cli("train", flowers, "--target", "kind", "--epochs", 1, "--out", "run")
    (tmp_path / "few.csv").write_text("\n".join(flowers.read_text().splitlines()[: count + 1]))
    assert len(rows_of(cli("predict", "run", "few.csv").out)) == count
