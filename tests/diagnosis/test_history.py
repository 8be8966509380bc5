"""Curves from other people's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.diagnosis.curve import Curve
from preceptor.diagnosis.history import curve_name, gathered, read_curves
from preceptor.errors import DataError


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("train_loss", "train_loss"),
        ("loss", "train_loss"),
        ("Loss/train", "train_loss"),
        ("trainLoss", "train_loss"),
        ("train/cross_entropy", "train_loss"),
        ("running_loss", "train_loss"),
        ("mse", "train_loss"),
        ("val_loss", "val_loss"),
        ("eval_loss", "val_loss"),
        ("valid loss", "val_loss"),
        ("test_loss", "val_loss"),
        ("validation.error", "val_loss"),
        ("acc", "train_accuracy"),
        ("val_accuracy", "val_accuracy"),
        ("val_categorical_accuracy", "val_accuracy"),
        ("lr", "lr"),
        ("learning_rate", "lr"),
        ("learning rate", "lr"),
        ("epoch", None),
        ("seconds", None),
        ("kl_loss", None),
        ("discriminator_loss", None),
        ("", None),
    ],
)
def test_names(column: str, name: str | None) -> None:
    assert curve_name(column) == name


def _read(folder: Path, text: str) -> dict[str, Curve]:
    path = folder / "history.csv"
    path.write_text(text, encoding="utf-8")
    return read_curves(path)


def test_a_table_of_epochs(tmp_path: Path) -> None:
    curves = _read(tmp_path, "epoch,loss,accuracy,val_loss\n1,0.9,50,1.0\n2,0.5,75,0.8\n3,0.3,90,0.9\n")
    assert sorted(curves) == ["train_accuracy", "train_loss", "val_loss"]
    assert curves["train_loss"].all_steps.tolist() == [1, 2, 3]
    assert curves["train_accuracy"].values.tolist() == [0.5, 0.75, 0.9]


def test_rows_that_hold_a_part_of_the_curves(tmp_path: Path) -> None:
    text = "epoch;step;train_loss;val_loss\n0;10;0,9;\n0;20;0,7;\n0;20;;0,8\n1;30;0,5;\n1;40;;0,6\n"
    curves = _read(tmp_path, text)
    assert curves["train_loss"].all_steps.tolist() == [10, 20, 30]
    assert curves["val_loss"].values.tolist() == [0.8, 0.6]


def test_gaps_are_no_divergence_but_an_end_is(tmp_path: Path) -> None:
    curves = _read(tmp_path, "loss,val_loss\n1,nan\n0.9,1.2\n0.8,nan\n0.7,1.1\nnan,nan\n")
    assert curves["train_loss"].first_not_finite == 4
    assert curves["val_loss"].values.tolist() == [1.2, 1.1]


def test_a_validation_column_goes_before_a_test_column(tmp_path: Path) -> None:
    curves = _read(tmp_path, "test_loss,val_loss,train_loss_step,train_loss_epoch\n9,1,5,2\n9,1,5,2\n")
    assert curves["val_loss"].values.tolist() == [1, 1]
    assert curves["train_loss"].values.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("epoch,seconds\n1,2\n", "no learning curve"),
        ("loss\n\n", "no numbers"),
        ("loss\nhigh\n", "holds no number"),
    ],
)
def test_errors_say_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        _read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_curves(tmp_path / "none.csv")


def test_other_names_are_gathered() -> None:
    curve = Curve(range(3), [3, 2, 1])
    assert set(gathered({"loss": curve, "eval_loss": curve, "seconds": curve, "lr": Curve()})) == {
        "train_loss",
        "val_loss",
    }
