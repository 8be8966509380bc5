"""A program under ``preceptor run`` and under ``python``: the same output, errors and exit code."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).with_name("_launcher.py")
LISTING = Path(__file__).with_name("scripts.txt")
ENVIRONMENT = {
    key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV", "PYTHON"))
}
ADDRESS = re.compile("0x[0-9a-f]+")
CLOSING = "watched  2 training steps · 1 epoch · 1 graph · nothing wrong was found\n"
RUNPY = re.compile(r'  File "[^"\n]*runpy[^"\n]*", line \d+, in _\w+\n(    .*\n)*')


@dataclass(frozen=True)
class Case:
    """Files, and the command line that runs one of them."""

    source: str = ""
    args: tuple[str, ...] = ("script.py",)
    files: dict[str, str] = field(default_factory=dict)
    stdin: str = ""
    python: tuple[str, ...] = ()


TORCH = {"torch.py": "print('torch is here')\nvalue = 3\n"}


def read_cases() -> dict[str, Case]:
    """Return the cases of scripts.txt, which says how it is to be read."""
    cases = {}
    for block in LISTING.read_text(encoding="utf-8").split("\n===== ")[1:]:
        head, *parts = block.split("\n----- ")
        name, *settings = head.split("\n")
        given = {line[0]: line[2:] for line in settings if line}
        python, _, args = given.get("$", "script.py").rpartition("| ")
        files = dict(part.partition("\n")[::2] for part in parts)
        cases[name] = Case(
            files.pop("script.py", "").replace("\\ufeff", "\ufeff"),
            tuple(shlex.split(args)),
            files,
            ast.literal_eval(given.get("<", "''")),
            tuple(shlex.split(python)),
        )
    return cases


CASES = read_cases()


def prepare(folder: Path, case: Case) -> Path:
    work = folder / "work"
    for name, text in {"script.py": case.source, **case.files}.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="latin-1" if "latin-1" in text else "utf-8")
    return work


def both(
    work: Path, case: Case, *, options: tuple[str, ...] = ()
) -> tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]:
    started = [
        subprocess.Popen(
            [sys.executable, *case.python, *before, *case.args],
            cwd=work,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for before in ((), (str(LAUNCHER), "run", *options))
    ]
    done = []
    for process in started:
        out, err = process.communicate(case.stdin, timeout=60)
        done.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return done[0], done[1]


def own(stderr: str) -> tuple[str, str]:
    """What the program wrote to stderr, and the closing lines that follow."""
    said, found, closing = stderr.partition("watched  ")
    return said, found + closing


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals and fork are those of POSIX")
@pytest.mark.parametrize("name", CASES)
def test_as_under_python(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    plain, watched = both(prepare(tmp_path, case), case)
    err, _ = own(watched.stderr)
    assert watched.stdout == plain.stdout
    assert ADDRESS.sub("", err) == ADDRESS.sub("", RUNPY.sub("", plain.stderr))
    assert watched.returncode == plain.returncode


def test_watched_from_torch_on_and_until_the_end(tmp_path: Path) -> None:
    case = Case(
        "import atexit\nprint('early')\nimport torch\natexit.register(print, 'at exit')\nprint('done')",
        ("script.py", "tell"), files=TORCH,
    )  # fmt: skip
    _, watched = both(prepare(tmp_path, case), case)
    assert watched.stdout.split("\n")[:-1] == [
        "early",
        "torch is here",
        "[start]",
        "done",
        "[stop]",
        "at exit",
    ]
    assert own(watched.stderr) == ("", CLOSING)


def test_watched_while_threads_go_on(tmp_path: Path) -> None:
    case = Case(
        "import atexit, threading, time, torch\natexit.register(print, 'at exit')\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()\n1 / 0",
        ("script.py", "tell"), files=TORCH,
    )  # fmt: skip
    _, watched = both(prepare(tmp_path, case), case)
    assert watched.stdout.split("\n")[:-1] == ["torch is here", "[start]", "late", "at exit", "[stop]"]
    assert own(watched.stderr)[1] == CLOSING
    assert watched.returncode == 1


@pytest.mark.parametrize(
    ("source", "note"),
    [
        ("print('no torch')", "the script never imported torch"),
        ("import torch", "the watch could not start: ValueError: no start"),
    ],
)
def test_why_nothing_was_watched(source: str, note: str, tmp_path: Path) -> None:
    case = Case(source, ("script.py", "fail_to_start"), files=TORCH)
    _, watched = both(prepare(tmp_path, case), case)
    assert own(watched.stderr)[1] == f"watched  no training step\nnote     {note}\n"


def test_closing_lines_come_last(tmp_path: Path) -> None:
    case = Case(
        "import atexit, sys\natexit.register(print, 'at exit')\nprint('out')\nprint('err', file=sys.stderr)"
    )
    work = prepare(tmp_path, case)
    done = subprocess.run(
        [sys.executable, str(LAUNCHER), "run", "script.py"],
        cwd=work, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split("\n") == [
        "err", "out", "at exit", "watched  no training step", "note     the script never imported torch", "",
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are those of POSIX")
@pytest.mark.parametrize(
    "source", ["print('x')", "while True:\n    print('x' * 10_000)", "print('x'); 1 / 0"]
)
def test_broken_pipe(source: str, tmp_path: Path) -> None:
    work = prepare(tmp_path, Case(source))
    found = []
    for before in ((), (str(LAUNCHER), "run")):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, *before, "script.py"],
            cwd=work, env=ENVIRONMENT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        os.close(writing)
        lines = [line for line in done.stderr.splitlines() if not line.startswith(("watched", "note"))]
        found.append((done.returncode, lines))
    assert found[0] == found[1]


def test_a_linked_script(tmp_path: Path) -> None:
    case = Case(
        args=("link.py",),
        files={"real/there.py": "import near, sys\nprint(sys.path[0], __file__)", "real/near.py": ""},
    )
    work = prepare(tmp_path, case)
    (work / "link.py").symlink_to("real/there.py")
    plain, watched = both(work, case)
    assert plain.returncode == 0
    assert watched.stdout == plain.stdout


def test_an_archive_and_a_compiled_file(tmp_path: Path) -> None:
    source = "import sys\nprint(sys.argv, sys.path[0], __file__, __package__)\ndef f(): 1 / 0\nf()\n"
    work = prepare(tmp_path, Case(source))
    with zipfile.ZipFile(work / "app.zip", "w") as archive:
        archive.writestr("__main__.py", source)
    compile_it = "import py_compile; py_compile.compile('script.py', 'compiled.pyc')"
    subprocess.run([sys.executable, "-c", compile_it], cwd=work, check=True)
    for name in ("app.zip", "compiled.pyc"):
        plain, watched = both(work, Case(args=(name, "a")))
        assert "ZeroDivisionError" in plain.stderr
        assert (watched.stdout, watched.returncode) == (plain.stdout, 1)
        assert own(watched.stderr)[0] == RUNPY.sub("", plain.stderr)


@pytest.mark.slow
def test_ctrl_c_from_outside(tmp_path: Path) -> None:
    source = (
        "import time\nprint('ready', flush=True)\ntry:\n    time.sleep(60)\nfinally:\n    print('cleaned')\n"
    )
    work = prepare(tmp_path, Case(source))
    found = []
    for before in ((), (str(LAUNCHER), "run", "--json", "out.json")):
        process = subprocess.Popen(
            [sys.executable, *before, "script.py"],
            cwd=work, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(2)
        out, err = process.communicate(timeout=30)
        found.append((out, own(err)[0], process.returncode))
    assert found[0] == found[1]
    assert (work / "out.json").exists()
