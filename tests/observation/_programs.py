"""The corpus of training programs beside the checkout, and how one is run with and without a watch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "faults"
SECONDS = 600  # the slowest program takes half a minute on an idle core

# Enough for every family, task, optimizer and way of feeding, at little cost. Left to the full run are the
# other programs of the same cases, which differ in a line or two, and what takes longest.
CHOSEN = (
    "gh-MovieReviews_Keras/faulty",
    "gh-gol_nn/faulty",
    "healthy-accumulate/healthy",
    "healthy-custom-autograd/healthy",
    "healthy-double/healthy",
    "healthy-gan/healthy",
    "healthy-kfold/healthy",
    "healthy-onecycle/healthy",
    "healthy-parameter-groups/healthy",
    "healthy-pinn/healthy",
    "healthy-vae/healthy",
    "pt-digits-resnet/fixed",
    "pt-langid-bag/faulty",
    "pt-lookup-attention/fixed",
    "so-31556268/faulty",
    "so-59282996/faulty",
)

# They print the seconds since their start. Every other program prints the same each time that python runs it.
TELLS_TIME = ("pt-pages-rnn/faulty", "pt-pages-rnn/fixed")
_ELAPSED = re.compile(rb"\(\d+\.\d s\)$", re.MULTILINE)

# The line that opens the closing ones, and then only lines with a label of their width.
_CLOSING = re.compile(rb"(?:\A|(?<=\n))watched  (?:[\d,]+|no) training step.*\Z", re.DOTALL)


def programs(*, everything: bool) -> list[str]:
    """Return programs as "case/stem": those that were chosen, or all; none where there is no corpus."""
    found = sorted(f"{path.parent.name}/{path.stem}" for path in CORPUS.glob("*/*.py"))
    return [name for name in found if everything or name in CHOSEN]


@dataclass(frozen=True)
class Ending:
    """What a program left behind."""

    code: int
    stdout: bytes
    stderr: bytes
    files: tuple[str, ...]


def run_both(name: str, folder: Path, findings: Path) -> tuple[Ending, Ending]:
    """Run a program by python and by ``preceptor run`` at the same time, each in an empty folder."""
    script = str(CORPUS / f"{name}.py")
    started = [
        _start([script], folder / "plain"),
        _start(["-m", "preceptor", "run", "--json", str(findings), script], folder / "watched"),
    ]
    try:
        plain, watched = (_finish(process, place) for process, place in started)
    finally:
        for process, _ in started:
            process.kill()
            process.wait()
    return plain, watched


def _start(arguments: Sequence[str], place: Path) -> tuple[subprocess.Popen[bytes], Path]:
    place.mkdir(parents=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return process, place


def _finish(process: subprocess.Popen[bytes], place: Path) -> Ending:
    stdout, stderr = process.communicate(timeout=SECONDS)
    files = sorted(str(path.relative_to(place)) for path in place.rglob("*"))
    return Ending(process.returncode, stdout, stderr, tuple(files))


def without_closing(stderr: bytes) -> bytes:
    """Return what was written to stderr less what ``preceptor run`` ends with: a line, and the findings."""
    return _CLOSING.sub(b"", stderr)


def without_elapsed(name: str, stdout: bytes) -> bytes:
    """Return what was written to stdout less the seconds of the two programs that print them."""
    return _ELAPSED.sub(b"", stdout) if name in TELLS_TIME else stdout
