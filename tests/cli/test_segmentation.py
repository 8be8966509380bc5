"""Images with masks on the command line: train, evaluate, predict, report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from preceptor.cli import app


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("slices")
    generator = np.random.default_rng(0)
    mask = np.zeros((16, 16, 20), np.uint8)
    for one in mask:
        top, left = generator.integers(0, 8), generator.integers(0, 12)
        one[top : top + 8, left : left + 8] = 1
    image = (120 * mask + generator.integers(0, 60, mask.shape)).astype(np.uint8)
    np.savez(where / "slices.npz", image=image, mask=mask, class_names=np.array(["<b>ground</b>", "cell"]))
    small = ["--set", "model.base=2", "--set", "model.depth=1", "--set", "training.watch=false"]
    command = ["train", str(where / "slices.npz"), "--task", "segmentation", "--model", "u-net"]
    shown = CliRunner().invoke(
        app, [*command, *small, "--epochs", "2", "--lr", "0.02", "--out", str(where / "run")]
    )
    assert shown.exit_code == 0, shown.output
    assert "val_mean_iou" in shown.output
    assert "in blocks" in shown.output
    return where


def run(*arguments: object) -> str:
    shown = CliRunner().invoke(app, [str(a) for a in arguments])
    assert shown.exit_code == 0, shown.output
    return shown.output


@pytest.mark.slow
def test_the_report_shows_overlays_and_scores_of_each_class(folder: Path):
    page = (folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "Measures of each class" in page
    assert "Worst and best segmentations" in page
    assert "difference" in page
    assert "<b>ground</b>" not in page
    assert len(page.encode()) < 500_000


def test_evaluate_tells_of_each_class(folder: Path):
    shown = run("evaluate", folder / "run", "--on", "val")
    assert "mean_iou" in shown
    assert any(line.split()[:2] == ["cell", "IoU"] for line in shown.splitlines())


def test_predict_writes_masks_or_the_classes_shares(folder: Path):
    run("predict", folder / "run", folder / "slices.npz", "--out", folder / "masks.npz")
    with np.load(folder / "masks.npz") as made:
        mask = made["mask"]
    assert mask.shape == (16, 16, 20)
    assert set(np.unique(mask)) <= {0, 1}
    shares = run("predict", folder / "run", folder / "slices.npz").splitlines()
    assert shares[0] == "row,<b>ground</b>,cell"
    assert float(shares[1].split(",")[2]) == pytest.approx((mask[0] == 1).mean(), abs=1e-4)


def test_predictions_on_a_grid_do_not_fit_into_a_csv_file(folder: Path):
    shown = CliRunner().invoke(
        app, ["predict", str(folder / "run"), str(folder / "slices.npz"), "--out", "masks.csv"]
    )
    assert shown.exit_code != 0


def test_a_segmentation_has_no_plain_script(folder: Path):
    assert CliRunner().invoke(app, ["eject", str(folder / "run")]).exit_code != 0
