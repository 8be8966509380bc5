"""``--resume``: after Ctrl-C, on a full disk, with more epochs, a run ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

import preceptor

from .conftest import Cli

LONG = ("train", "digits", "--set", "training.patience=none", "--epochs", "25", "--set", "model.dropout=0.2")


def start(folder: Path, *arguments: str, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    """Start ``preceptor`` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "preceptor", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )


def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    process = start(folder, *arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def assert_same(a: Path, b: Path) -> None:
    for name in ("best", "last"):
        weights = f"weights/{name}.safetensors"
        assert (a / weights).read_bytes() == (b / weights).read_bytes()
    histories = [preceptor.load(path).history.without("seconds") for path in (a, b)]
    assert histories[0] == histories[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    code, _, err = run(folder, *LONG, "--out", "run")
    assert code == 0, err
    return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_a_resume_goes_on_to_the_bit(tmp_path: Path, whole: Path, number: int) -> None:
    process = start(tmp_path, *LONG, "--out", "run")
    assert process.stdout is not None
    for line in process.stdout:
        if line.split()[:1] == ["4"]:
            process.send_signal(number)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out.splitlines()[-1] == "saved    run; go on with: preceptor train --resume run"
    assert not any(line.startswith("test") for line in out.splitlines())
    stopped = preceptor.load(tmp_path / "run")
    assert stopped.status == "interrupted"
    assert 4 <= len(stopped.history) < 25
    assert (tmp_path / "run/state/checkpoint.safetensors").is_file()

    code, out, err = run(tmp_path, "train", "--resume", "run")
    assert code == 0, err
    rows = [line.split()[0] for line in out.splitlines() if line[:5].strip().isdigit()]
    assert rows == [str(n) for n in range(1, 26)]
    assert out.splitlines()[-1] == "report   run/report.html"
    assert preceptor.load(tmp_path / "run").status == "finished"
    assert_same(tmp_path / "run", whole)


SLOW_NET = """
import time
from pathlib import Path
from torch import nn


class Slow(nn.Sequential):
    steps = 0

    def __init__(self):
        super().__init__(nn.Linear(4, 3))

    def forward(self, x):
        if self.training:
            Slow.steps += 1
            if Slow.steps == 3:
                Path("asleep").touch()
                time.sleep(30)
        return super().forward(x)
"""


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(SLOW_NET)
    process = start(tmp_path, "train", "iris", "--model", "nets.py:Slow", "--epochs", "2", "--out", "run")
    while not (tmp_path / "asleep").exists():
        assert process.poll() is None
        sleep(0.05)
    process.send_signal(signal.SIGINT)
    sleep(0.5)
    assert process.poll() is None, "the step is still under way"
    process.send_signal(signal.SIGINT)
    asked = monotonic()
    _, err = process.communicate(timeout=20)
    assert monotonic() - asked < 10
    assert process.returncode == 130
    assert "Traceback" not in err
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert manifest["status"] == "interrupted"
    assert (tmp_path / "run/state/checkpoint.safetensors").is_file()


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """A small file system of its own at ``folder/run``, which a ballast file fills to the last bytes."""
    place = folder / "run"
    content = folder / "content"
    shutil.copytree(place, content)
    shutil.rmtree(place)
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system of one's own takes root")
    try:
        shutil.copytree(content, place, dirs_exist_ok=True)
        free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
        (place / "ballast").write_bytes(b"0" * (free - 40_000))
        yield
        (place / "ballast").unlink()
        shutil.rmtree(content)
        shutil.copytree(place, content)
    finally:
        subprocess.run(["umount", str(place)], check=True)
    shutil.rmtree(place)
    content.rename(place)


def check_refused(code: int, out: str, err: str, reason: str) -> None:
    assert code == 2, out + err
    assert "Traceback" not in err
    lines = err.splitlines()
    assert lines[0] == "error: cannot write run/state/checkpoint.safetensors"
    assert lines[1] == f"  received  {reason}"
    assert lines[2].startswith("  try       ")
    assert lines[2].endswith("then resume or try again: what stood there before is intact")


def begun(folder: Path) -> bytes:
    """Begin the long run, end it in mid-way, and return its checkpoint."""
    code, _, err = run(folder, *LONG[:-4], "--epochs", "3", *LONG[-2:], "--out", "run")
    assert code == 0, err
    return (folder / "run/state/checkpoint.safetensors").read_bytes()


@pytest.mark.slow
def test_a_full_disk(tmp_path: Path, whole: Path) -> None:
    checkpoint = begun(tmp_path)
    with full_disk(tmp_path):
        code, out, err = run(
            tmp_path, "train", "--resume", "run", "--epochs", "25", "--set", "training.checkpoint_steps=7"
        )
        check_refused(code, out, err, "No space left on device")
        assert (tmp_path / "run/state/checkpoint.safetensors").read_bytes() == checkpoint
        assert not [p.name for p in (tmp_path / "run/state").iterdir() if p.name.endswith(".tmp")]
    code, _, err = run(tmp_path, "train", "--resume", "run", "--epochs", "25")
    assert code == 0, err
    assert_same(tmp_path / "run", whole)


@pytest.mark.slow
def test_a_limit_on_the_size_of_files(tmp_path: Path, whole: Path) -> None:
    checkpoint = begun(tmp_path)
    process = start(
        tmp_path,
        *("train", "--resume", "run", "--epochs", "25", "--set", "training.checkpoint_steps=7"),
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    out, err = process.communicate(timeout=60)
    check_refused(process.returncode, out, err, "File too large")
    assert (tmp_path / "run/state/checkpoint.safetensors").read_bytes() == checkpoint
    code, _, err = run(tmp_path, "train", "--resume", "run", "--epochs", "25")
    assert code == 0, err
    assert_same(tmp_path / "run", whole)


@pytest.mark.slow
def test_more_epochs_are_given_by_a_resume(cli: Cli, tmp_path: Path) -> None:
    cli("train", "iris", "--epochs", 5, "--out", "whole")
    cli("train", "iris", "--epochs", 2, "--out", "run")
    done = cli("train", "--resume", "run", "--epochs", 5)
    assert done.code == 0, done.err
    assert_same(tmp_path / "run", tmp_path / "whole")
    assert preceptor.load("run").experiment.training.epochs == 5


def test_a_finished_run_stays_as_it_is(cli: Cli, tmp_path: Path) -> None:
    cli("train", "iris", "--epochs", 2, "--out", "run")
    before = (tmp_path / "run/weights/best.safetensors").read_bytes()
    done = cli("train", "--resume", "run")
    assert done.code == 0, done.err
    assert (tmp_path / "run/weights/best.safetensors").read_bytes() == before
    assert len(preceptor.load("run").ledger) == 1


def test_your_own_model_keeps_its_options(cli: Cli, tmp_path: Path, nets: str) -> None:
    own = ("--model", nets)
    cli("train", "iris", *own, "--set", "model.width=7", "--epochs", 4, "--out", "whole")
    cli("train", "iris", *own, "--set", "model.width=7", "--epochs", 1, "--out", "run")
    done = cli("train", "--resume", "run", *own, "--epochs", 4)
    assert done.code == 0, done.err
    assert_same_own(tmp_path / "run", tmp_path / "whole")


def assert_same_own(a: Path, b: Path) -> None:
    for name in ("best", "last"):
        assert (a / f"weights/{name}.safetensors").read_bytes() == (
            b / f"weights/{name}.safetensors"
        ).read_bytes()
