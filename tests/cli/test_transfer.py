"""A training from an earlier run, by the command line: ``--from``, ``--freeze``, ``--unfreeze``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import preceptor

from .conftest import Cli


@pytest.fixture
def trained(cli: Cli) -> str:
    """A run on three of the digits, and folders of pictures of two others."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    pictures = (digits.images * 15).astype(np.uint8)
    few = digits.target < 3
    np.savez("few.npz", x=pictures[few], y=digits.target[few])
    for kind in (7, 9):
        folder = Path("others") / str(kind)
        folder.mkdir(parents=True)
        for i, picture in enumerate(pictures[digits.target == kind][:40]):
            Image.fromarray(picture).resize((16, 16)).save(folder / f"{i}.png")
    done = cli("train", "few.npz", "--model", "mlp", "--epochs", 3, "--no-test", "--out", "few")
    assert done.code == 0, done.out + done.err
    return "few"


@pytest.mark.slow
def test_from_freeze_unfreeze(cli: Cli, trained: str) -> None:
    done = cli(
        "train", "others", "--from", trained, "--freeze", "all-but-head", "--unfreeze", "3=all",
        "--layer-lr-decay", 0.5, "--epochs", 4, "--out", "tuned", "--no-test",
    )  # fmt: skip
    assert done.code == 0, done.out + done.err
    assert [
        line for line in done.lines if line.startswith("transfer 2 of 4 tensors from few; the head 3 is new")
    ]
    assert "inputs are scaled as there" in done.out
    assert "parameters are frozen; from epoch 3 on all learns" in done.out
    assert "learning rates by layer: 0.5 to 1 times the rate" in done.out
    assert "80 images 8×8" in done.out, "the pictures of 16×16 are brought to the source's size"
    report = Path("tuned/report.html").read_text(encoding="utf-8")
    assert '<h2 id="h-transfer">Transfer</h2>' in report
    assert "from epoch 3" in report
    manifest = json.loads(Path("tuned/manifest.json").read_text())
    assert manifest["transfer"]["source"] == "few"
    assert {"transfer.source", "transfer.freeze"} <= set(manifest["chosen"])
    again = preceptor.load("tuned")
    assert again.evaluate("val").metrics["accuracy"] >= 0.5
    assert again.transfer == manifest["transfer"]


@pytest.mark.slow
def test_the_settings_of_such_a_run_train_it_again(cli: Cli, trained: str) -> None:
    arguments = ("--from", trained, "--freeze", "all-but-head", "--epochs", 2, "--no-test")
    assert cli("train", "others", *arguments, "--out", "one").code == 0
    done = cli("train", "one/experiment.toml", "--out", "two", "--no-test")
    assert done.code == 0, done.out + done.err
    one, two = (preceptor.load(name).history.without("seconds") for name in ("one", "two"))
    assert one == two
    assert cli("train", "--resume", "one", "--epochs", 3, "--no-test").code == 0
    assert "has no plain form" in cli("eject", "one").err or cli("eject", "one").code != 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("others", "--from", "nowhere"), ["no run in nowhere"]),
        (("--from", "few"), ["--from goes with new data, or with --apply"]),
        (("iris", "--from", "few"), ["only images have an image_size"]),
        (("others", "--from", "few", "--freeze", "conv"), ["unknown layers 'conv'", "all-but-head"]),
        (("others", "--from", "few", "--unfreeze", "soon"), ["transfer.unfreeze", "EPOCH=LAYERS"]),
    ],
)
def test_what_cannot_be(cli: Cli, trained: str, arguments: tuple[str, ...], said: list[str]) -> None:
    done = cli("train", *arguments)
    assert done.code == 2, done.out + done.err
    for words in said:
        assert words in done.err + done.out
