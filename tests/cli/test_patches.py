"""``preceptor run``: patches are shown, and written only when asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from preceptor.cli._findings import Wishes
from preceptor.cli._patches import Patches
from preceptor.diagnosis.finding import Finding

from .test_run import start

PROGRAM = """\
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(512, 8)
y = (x[:, :1] > 0).long().squeeze(1)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(4):
    for rows in torch.randperm(512).split(32):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()  # at every batch
"""
ZEROED = PROGRAM.replace("        loss.backward()", "        optimizer.zero_grad()\n        loss.backward()")


@pytest.mark.slow
def test_written_only_when_asked_for(tmp_path: Path) -> None:
    program = tmp_path / "train.py"
    program.write_text(PROGRAM)
    done = start(tmp_path, "-m", "preceptor", "run", "--json", "f.json", "--sarif", "f.sarif", "train.py")
    assert "  patch      --- a/train.py\n             +++ b/train.py\n" in done.stderr
    assert "\n             +        optimizer.zero_grad()\n" in done.stderr
    assert program.read_text() == PROGRAM
    finding = json.loads((tmp_path / "f.json").read_text())["findings"][0]
    assert (finding["cause"], finding["patch"].splitlines()[0]) == ("missing-zero-grad", "--- a/train.py")
    [fix] = json.loads((tmp_path / "f.sarif").read_text())["runs"][0]["results"][0]["fixes"]
    [replacement] = fix["artifactChanges"][0]["replacements"]
    at = replacement["deletedRegion"]["charOffset"]
    assert PROGRAM[:at] + replacement["insertedContent"]["text"] + PROGRAM[at:] == ZEROED

    done = start(tmp_path, "-m", "preceptor", "run", "--write", "train.py")
    assert done.stderr.endswith("patched  train.py: missing-zero-grad\n")
    assert program.read_text() == ZEROED
    done = start(tmp_path, "-m", "preceptor", "run", "--write", "train.py")
    assert "patched" not in done.stderr
    assert program.read_text() == ZEROED


def patches(folder: Path, *causes: str, since: float = 1e12) -> Patches:
    findings = [Finding(cause, "critical", "…", where="train.py:12") for cause in causes]
    return Patches(findings, lambda name: folder / name, folder, since)


def test_the_same_patch_is_shown_once(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    found = patches(tmp_path, "missing-zero-grad", "missing-zero-grad", "overfitting")
    assert found.text(0) == found.text(1) != ""
    assert (found.text(2), found.block(2), found.fix(2)) == ("", "", [])
    said = Wishes().said(found.findings, patches=found)
    assert ["patch  " in block for block in said] == [True, False, False]


def test_a_long_patch_is_cut(tmp_path: Path) -> None:
    calls = "".join(f"F.mse_loss(net(x), y)\nF.dropout(x, 0.5)\n{chr(10) * 9}" for _ in range(4))
    text = (
        f"class Net(nn.Module):\n    def forward(self):\n        {calls.replace(chr(10), chr(10) + ' ' * 8)}"
    )
    (tmp_path / "train.py").write_text(text)
    rows = [str(row) for row, line in enumerate(text.splitlines(), 1) if "dropout" in line]
    evidence = {"calls of dropout": [f"train.py:{row}" for row in rows]}
    finding = Finding("training-mode-in-evaluation", "critical", "…", evidence)
    found = Patches([finding], lambda name: tmp_path / name, tmp_path, 1e12)
    assert found.text(0).count("training=self.training") == len(rows)
    assert len(found.block(0).splitlines()) == 21
    assert "more lines, all in --json" in found.block(0).splitlines()[-1]


def test_files_that_were_changed_since_have_no_patch(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    assert patches(tmp_path, "missing-zero-grad", since=0).text(0) == ""
    found = patches(tmp_path, "missing-zero-grad")
    (tmp_path / "train.py").write_text("other = 1\n")
    [(label, text)] = found.write([0])
    assert (label, "has changed since" in text) == ("error", True)
    assert (tmp_path / "train.py").read_text() == "other = 1\n"


def test_what_is_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    found = patches(tmp_path, "missing-zero-grad", "overfitting")
    assert found.write([1]) == [("note", "--write: there is no patch, and no file was changed")]
    assert found.write([0, 1]) == [("patched", "train.py: missing-zero-grad")]
    assert (tmp_path / "train.py").read_text() == ZEROED
