"""What ``run`` and ``diagnose`` do with findings: text, files, exit codes, known ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from preceptor.cli import _findings
from preceptor.diagnosis.baseline import read_baseline
from preceptor.diagnosis.finding import Finding

from .conftest import Cli

LAUNCHER = str(Path(__file__).parents[1] / "observation" / "_launcher.py")  # findings as the arguments say
TRAIN = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x = torch.randn(64, 4)
y = (x[:, 0] > 0).long()
for step in range(STEPS):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    (SIGN * loss).backward()
    optimizer.step()
"""


def start(folder: Path, *arguments: str, rank: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"OMP_NUM_THREADS": "1"} | ({} if rank is None else {"RANK": rank})
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with programs, and a torch that costs nothing."""
    (tmp_path / "torch.py").write_text("")
    (tmp_path / "ok.py").write_text("import torch\nprint('done')\n")
    (tmp_path / "fails.py").write_text("import sys, torch\nsys.exit(7)\n")
    return tmp_path


# preceptor run, with findings that the stand-in for the diagnosis makes up


@pytest.mark.slow
def test_findings_follow_the_programs_own_output(folder: Path) -> None:
    done = start(folder, LAUNCHER, "run", "ok.py", "critical", "warning", "info")
    assert (done.returncode, done.stdout) == (0, "done\n")
    head, *blocks, end = done.stderr.split("\n\n")
    assert head == (
        "watched  2 training steps · 1 epoch · 1 graph · 1 critical, 1 warning; remark: slow-data-loading"
    )
    assert [block.splitlines()[:2] for block in blocks] == [
        ["✗ missing-backward                 critical · ok.py:2", "  Something is wrong (critical)."],
        ["! overfitting                      warning · ok.py:2", "  Something is wrong (warning)."],
    ]
    assert all("\n  remedy     " in block for block in blocks)
    assert end == ""


def test_a_healthy_run_says_one_line(folder: Path) -> None:
    done = start(folder, LAUNCHER, "run", "ok.py")
    assert done.stderr == "watched  2 training steps · 1 epoch · 1 graph · nothing wrong was found\n"


@pytest.mark.parametrize(
    ("options", "told", "code"),
    [
        (["--fail-on", "warning"], ["warning"], 3),
        (["--fail-on", "warning"], ["critical"], 3),
        (["--fail-on", "warning"], ["info"], 0),
        (["--fail-on", "critical"], ["warning"], 0),
        (["--fail-on", "critical"], ["critical"], 3),
        (["--fail-on", "critical", "--ignore", "missing-backward"], ["critical"], 0),
        (["--fail-on", "critical", "--write-baseline", "known.json"], ["critical"], 0),
        ([], ["critical"], 0),
    ],
)
def test_the_exit_code(folder: Path, options: list[str], told: list[str], code: int) -> None:
    assert start(folder, LAUNCHER, "run", *options, "ok.py", *told).returncode == code


def test_the_programs_own_exit_code_goes_first(folder: Path) -> None:
    assert start(folder, LAUNCHER, "run", "--fail-on", "warning", "fails.py", "critical").returncode == 7


def test_only_the_first_rank_fails(folder: Path) -> None:
    arguments = [LAUNCHER, "run", "--fail-on", "warning", "--sarif", "out.sarif", "ok.py", "critical"]
    assert start(folder, *arguments, rank="0").returncode == 3
    done = start(folder, *arguments, rank="2")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in folder.glob("*.sarif")) == ["out.rank2.sarif", "out.sarif"]


def test_a_baseline_makes_findings_known(folder: Path) -> None:
    first = start(folder, LAUNCHER, "run", "--write-baseline", "known.json", "ok.py", "warning")
    assert first.stderr.splitlines()[-1] == f"baseline {folder / 'known.json'}"
    assert read_baseline(folder / "known.json") == {"missing-backward · ok.py"}
    options = ["--baseline", "known.json", "--fail-on", "warning", "--json", "out.json"]
    again = start(folder, LAUNCHER, "run", *options, "ok.py", "warning")
    assert again.returncode == 0
    assert again.stderr.splitlines()[2:4] == [
        "! missing-backward                 warning · ok.py:2 · known",
        "",
    ]
    more = start(folder, LAUNCHER, "run", *options, "ok.py", "warning", "critical")
    assert more.returncode == 3
    found = json.loads((folder / "out.json").read_text())["findings"]
    assert [(finding["cause"], finding["known"]) for finding in found] == [
        ("missing-backward", True),
        ("overfitting", False),
    ]


def test_findings_in_json_and_for_code_hosts(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "ok.py").rename(folder / "sub" / "ok.py")
    done = start(folder, LAUNCHER, "run", "--json", "a.json", "--sarif", "a.sarif", "sub/ok.py", "critical")
    assert [line.split()[0] for line in done.stderr.splitlines()[-2:]] == ["json", "sarif"]
    content = json.loads((folder / "a.json").read_text())
    assert list(content) == ["findings", "watch"]
    assert content["findings"][0]["cause"] == "missing-backward"
    (result,) = json.loads((folder / "a.sarif").read_text())["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("sub/ok.py", 2)


def test_a_diagnosis_that_fails_is_a_note(folder: Path) -> None:
    done = start(folder, LAUNCHER, "run", "--json", "a.json", "--fail-on", "warning", "ok.py", "crash")
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert "note     no diagnosis: ValueError: no rules\n" in done.stderr
    assert json.loads((folder / "a.json").read_text())["findings"] == []
    done = start(folder, LAUNCHER, "run", "ok.py", "complain", "warning")
    assert "note     the rule x failed: ValueError: y\n" in done.stderr
    assert "! missing-backward" in done.stderr


# The options, before anything runs


@pytest.mark.parametrize("verb", ["run", "diagnose"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ignore", "overfiting"], "did you mean 'overfitting'?"),
        (["--baseline", "nowhere.json"], "cannot read the baseline nowhere.json"),
        (["--sarif", "nowhere/x.sarif"], "--sarif cannot be written"),
        (["--write-baseline", "nowhere/x.json"], "--write-baseline cannot be written"),
        (["--fail-on", "info"], "Invalid value"),
    ],
)
def test_what_does_not_fit_is_said_first(verb: str, options: list[str], said: str, cli: Cli) -> None:
    Path("script.py").write_text("open('started', 'w')")
    done = cli(verb, *options, "script.py")
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert not Path("started").exists()


# preceptor diagnose


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What watches kept of a training that climbs, and of one that goes well."""
    from preceptor import watch

    place = tmp_path_factory.mktemp("kept")
    for name, sign, steps in (("faulty", -1, 30), ("healthy", 1, 600)):
        (place / f"{name}.py").write_text(TRAIN.replace("SIGN", str(sign)).replace("STEPS", str(steps)))
        code = compile((place / f"{name}.py").read_text(), str(place / f"{name}.py"), "exec")
        with watch(level="full") as seen:
            exec(code, {"__name__": "__main__"})
        seen.observed.save(place / name / "record")
    return place


def test_a_folder(kept: Path, cli: Cli) -> None:
    done = cli("diagnose", kept / "faulty")
    assert done.code == 0, done.err
    assert done.lines[0].startswith("verdict  1 critical")
    assert any(line.startswith("✗ gradient-ascent ") and "faulty.py:" in line for line in done.lines)
    assert cli("diagnose", kept / "faulty" / "record").out == done.out


def test_files_of_a_folder(kept: Path, cli: Cli) -> None:
    options = ["--json", "a.json", "--sarif", "a.sarif", "--write-baseline", "known.json"]
    done = cli("diagnose", kept / "faulty", *options)
    assert [line.split()[0] for line in done.lines[-3:]] == ["json", "sarif", "baseline"]
    assert json.loads(Path("a.json").read_text())["findings"][0]["cause"] == "gradient-ascent"
    assert json.loads(Path("a.sarif").read_text())["runs"][0]["results"][0]["ruleId"] == "gradient-ascent"
    assert cli("diagnose", kept / "faulty", "--fail-on", "critical").code == 3
    assert cli("diagnose", kept / "faulty", "--fail-on", "critical", "--baseline", "known.json").code == 0
    assert cli("diagnose", kept / "faulty", "--ignore", "gradient-ascent").lines[0] != done.lines[0]


def test_a_folder_of_a_sound_training(kept: Path, cli: Cli) -> None:
    done = cli("diagnose", kept / "healthy", "--fail-on", "warning")
    assert (done.code, done.err) == (0, "")
    assert done.lines[0].startswith("verdict  nothing wrong was found")


def test_curves(cli: Cli) -> None:
    rows = [(e, 2 * 0.8**e, 2 * 0.8**e + 0.1 + 0.02 * max(0, e - 10)) for e in range(40)]
    Path("history.csv").write_text("epoch,loss,val_loss\n" + "".join(f"{e},{a},{b}\n" for e, a, b in rows))
    done = cli("diagnose", "history.csv", "--fail-on", "warning", "--json", "a.json")
    assert done.code == 3, done.err
    assert done.lines[0].startswith("verdict  1 warning")
    assert any(line.startswith("! overfitting ") for line in done.lines)
    assert json.loads(Path("a.json").read_text())["findings"][0]["cause"] == "overfitting"
    assert cli("diagnose", ".").out == cli("diagnose", "history.csv").out
    assert cli("diagnose", ".", "--ignore", "overfitting", "--fail-on", "warning").code == 0


def test_sound_curves(cli: Cli) -> None:
    rows = [(e, 2 * 0.8**e + 0.1, 2 * 0.8**e + 0.105) for e in range(60)]
    Path("h.csv").write_text("epoch,loss,val_loss\n" + "".join(f"{e},{a},{b}\n" for e, a, b in rows))
    done = cli("diagnose", "h.csv", "--fail-on", "warning")
    assert (done.code, done.err) == (0, "")
    assert done.lines[0] == "verdict  nothing wrong was found"
    assert done.lines[1].startswith("note     ideal: ")


def test_a_table_without_curves(cli: Cli) -> None:
    Path("a.csv").write_text("name,size\nx,1\n")
    done = cli("diagnose", "a.csv")
    assert (done.code, done.out) == (2, "")
    assert "has no learning curve" in done.err


def test_nothing_to_judge(cli: Cli) -> None:
    Path("empty").mkdir()
    for place in ("empty", "nowhere"):
        done = cli("diagnose", place)
        assert (done.code, done.out) == (2, "")
        assert f"there is nothing to judge at {place}" in done.err


def test_a_damaged_record(kept: Path, cli: Cli) -> None:
    Path("bad").mkdir()
    Path("bad/record.json").write_text("{")
    done = cli("diagnose", "bad")
    assert (done.code, done.out) == (2, "")
    assert "record.json" in done.err


@pytest.mark.slow
def test_a_program_that_climbs(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN.replace("SIGN", "-1").replace("STEPS", "30"))
    done = start(
        tmp_path, "-m", "preceptor", "run", "--fail-on", "critical", "--report", "r.html", "train.py"
    )
    assert done.returncode == 3
    assert "✗ gradient-ascent " in done.stderr
    assert "gradient-ascent" in (tmp_path / "r.html").read_text()


def test_where_a_file_lies(tmp_path: Path) -> None:
    for name in ("src/a.py", "json.py", "elsewhere/b.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    at = _findings._locate
    assert at("a.py", "src/a.py", tmp_path) == "src/a.py"
    assert at("a.py", str(tmp_path / "src" / "a.py"), tmp_path / "elsewhere") == str(
        tmp_path / "src" / "a.py"
    )
    assert at("b.py", "src/a.py", tmp_path) == "b.py"
    assert at("decoder.py", "src/a.py", tmp_path) == "decoder.py"  # of the standard library
    assert at("test_diagnose.py", "", Path(__file__).parents[1]) == "cli/test_diagnose.py"


def test_infos_never_fail() -> None:
    note = Finding("slow-data-loading", "info", "…")
    assert not _findings.Wishes(fail_on="warning").fails([note])
