"""``preceptor run``: its options, the files that it leaves, and an exit code that is the program's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from preceptor.observation import Record

from .conftest import Cli

LAUNCHER = str(
    Path(__file__).parents[1] / "observation" / "_launcher.py"
)  # a stand-in for the watch, no torch
TRAIN = """
import sys
import traceback
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(4):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(torch.randn(16, 4)), torch.zeros(16, 2))
    loss.backward()
    optimizer.step()
    print(loss.item())
if "fail" in sys.argv:
    try:
        model(torch.zeros(3, 5))
    except RuntimeError:
        traceback.print_exc()
        model(torch.zeros(3, 6))
"""
LOADER = """
import torch
from torch.utils.data import DataLoader, Dataset

class Squares(Dataset):
    def __len__(self): return 6
    def __getitem__(self, i):
        if i > 6: raise IndexError
        return torch.tensor([float(i)]), torch.tensor([float(i * i)])

class Broken(Squares):
    def __getitem__(self, i): raise KeyError(i)

if __name__ == "__main__":
    torch.manual_seed(1)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(model.parameters())
    for way in ("fork", "spawn"):
        for x, y in DataLoader(Squares(), 3, shuffle=True, num_workers=1, multiprocessing_context=way):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            print(way, loss.item())
    next(iter(DataLoader(Broken(), num_workers=1, multiprocessing_context="fork")))
"""


def start(folder: Path, *arguments: str, rank: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | ({} if rank is None else {"RANK": rank})
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with programs, and a torch that costs nothing."""
    (tmp_path / "torch.py").write_text("")
    (tmp_path / "ok.py").write_text("import sys, torch\nprint(sys.argv)\n")
    (tmp_path / "fails.py").write_text("import torch\nprint('so far')\nraise ValueError('no')\n")
    (tmp_path / "moves.py").write_text("import os, torch\nos.mkdir('away')\nos.chdir('away')\n")
    (tmp_path / "exits.py").write_text("import sys\nsys.exit(7)\n")
    return tmp_path


@pytest.mark.slow
def test_everything_after_the_name_is_the_programs(folder: Path) -> None:
    own = ["--json", "x", "--level", "--help", "-m", "--", "-h"]
    done = start(folder, LAUNCHER, "run", "--level", "full", "ok.py", *own)
    assert done.stdout == f"{['ok.py', *own]}\n"
    assert done.stderr == "watched  2 training steps · 1 epoch · 1 graph · nothing wrong was found\n"
    done = start(folder, LAUNCHER, "run", "-m", "ok", *own)
    assert done.stdout == f"{[str(folder / 'ok.py'), *own]}\n"


def test_json(folder: Path) -> None:
    done = start(folder, LAUNCHER, "run", "--json", "out.json", "--level=economy", "ok.py")
    assert (done.returncode, done.stdout) == (0, "['ok.py']\n")
    assert done.stderr.splitlines()[-1] == f"json     {folder / 'out.json'}"
    found = json.loads((folder / "out.json").read_text())
    assert found == {
        "findings": [],
        "watch": {"level": "economy", "steps": {"train": 2, "epochs": 1}, "graphs": {"1": {}}, "notes": []},
    }
    assert not [path for path in folder.iterdir() if path.name.endswith(".tmp")]


@pytest.mark.parametrize(("program", "code"), [("fails.py", 1), ("moves.py", 0), ("exits.py", 7)])
def test_json_however_it_ends_and_wherever(program: str, code: int, folder: Path) -> None:
    done = start(folder, LAUNCHER, "run", "--json", "out.json", program)
    assert done.returncode == code
    notes = json.loads((folder / "out.json").read_text())["watch"]["notes"]
    assert notes == (["the script never imported torch"] if program == "exits.py" else [])


def test_each_rank_writes_beside_the_first(folder: Path) -> None:
    assert "watched" in start(folder, LAUNCHER, "run", "--json", "a.b.json", "ok.py", rank="0").stderr
    done = start(folder, LAUNCHER, "run", "--json", "a.b.json", "ok.py", rank="3")
    assert done.stderr == ""
    assert sorted(path.name for path in folder.glob("*.json")) == ["a.b.json", "a.b.rank3.json"]


def test_without_torch_nothing_is_kept(folder: Path) -> None:
    done = start(folder, LAUNCHER, "run", "--record", "rec", "--report", "r.html", "exits.py")
    assert done.returncode == 7
    assert done.stderr.splitlines()[2:] == [
        "record   not written: nothing was watched",
        "report   not written: nothing was watched",
    ]
    assert not (folder / "rec").exists()


def test_what_cannot_be_written_in_the_end_leaves_the_exit_code(folder: Path) -> None:
    (folder / "away.py").write_text("import os, sys, torch\nos.rmdir('later')\nsys.exit(6)\n")
    (folder / "later").mkdir()
    done = start(folder, LAUNCHER, "run", "--json", "later/out.json", "away.py")
    assert done.returncode == 6
    assert "error    json could not be written: " in done.stderr
    assert "No such file or directory" in done.stderr


@pytest.mark.parametrize("option", ["--json", "--report", "--record"])
@pytest.mark.parametrize("place", ["nowhere/out", "wrong"])
def test_what_cannot_be_written_is_said_before_the_program_starts(option: str, place: str, cli: Cli) -> None:
    Path("script.py").write_text("open('started', 'w')")
    if option == "--record":
        Path("wrong").touch()
    else:
        Path("wrong").mkdir()
    done = cli("run", option, place, "script.py")
    assert (done.code, done.out) == (2, "")
    assert f"{option} cannot be written" in done.err
    assert "expected" in done.err
    assert "try" in done.err
    assert not Path("started").exists()


def test_a_script_that_is_not_there(cli: Cli) -> None:
    Path("train.py").touch()
    done = cli("run", "--json", "out.json", "trian.py", "--epochs", 3)
    assert (done.code, done.out) == (2, "")
    assert "there is no script trian.py" in done.err
    assert "preceptor run train.py" in done.err
    assert not Path("out.json").exists()


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, said in ((["-m", "nothing.here"], "nothing.here"), (["empty"], "can't find '__main__'")):
        done = start(tmp_path, LAUNCHER, "run", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "there is no such module to run" in done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["run"], ["run", "--level", "most", "x.py"], ["run", "--what", "x.py"]]
)
def test_a_command_line_that_says_nothing_to_run(arguments: list[str], cli: Cli) -> None:
    done = cli(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage" in done.err


def test_help_imports_no_torch(tmp_path: Path) -> None:
    source = (
        "import sys\nfrom preceptor.cli import main\ntry:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    print(sorted({'torch', 'numpy'} & set(sys.modules)))\n"
    )
    for arguments in (["--help"], ["run", "--help"]):
        done = start(tmp_path, "-c", source, *arguments)
        assert done.stdout.splitlines()[-1] == "[]"
        assert "run" in done.stdout


def test_torch_is_not_imported_before_the_program_does(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys\nprint(sorted({'torch', 'numpy'} & set(sys.modules)))\n")
    done = start(tmp_path, "-m", "preceptor", "run", "--json", "out.json", "script.py")
    assert (done.returncode, done.stdout) == (0, "[]\n")
    assert "note     the script never imported torch\n" in done.stderr
    assert json.loads((tmp_path / "out.json").read_text())["watch"]["notes"]


@pytest.mark.slow
def test_a_training(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    plain = start(tmp_path, "train.py", "fail")
    files = ["--json", "out.json", "--record", "record", "--report", "report.html"]
    done = start(tmp_path, "-m", "preceptor", "run", *files, "train.py", "fail")
    assert (done.stdout, done.returncode) == (plain.stdout, 1)
    said, _, closing = done.stderr.partition("watched  ")
    assert said == plain.stderr
    assert closing.startswith("4 training steps")
    assert json.loads((tmp_path / "out.json").read_text())["watch"]["steps"]["train"] == 4
    losses = Record.load(tmp_path / "record").signal("loss", phase="train").values
    assert losses.tolist() == [float(line) for line in plain.stdout.split()]
    assert "train.py" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_workers_of_a_loader(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(LOADER)
    plain = start(tmp_path, "train.py")
    done = start(tmp_path, "-m", "preceptor", "run", "train.py")
    assert (done.stdout, done.returncode) == (plain.stdout, 1)
    assert done.stderr.partition("watched  ")[0] == plain.stderr
    assert plain.stdout.count("\n") == 4
    assert "KeyError" in plain.stderr


@pytest.mark.slow
def test_under_torchrun(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = start(tmp_path, *torchrun, "-m", "preceptor", "run", "--json", "out.json", "train.py")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("watched  4 training steps") == 1
    for name in ("out.json", "out.rank1.json"):
        assert json.loads((tmp_path / name).read_text())["watch"]["steps"]["train"] == 4
