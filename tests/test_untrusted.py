"""Files that somebody else made: read or refused in words; nothing is run, and nothing is written."""

from __future__ import annotations

import gzip
import json
import lzma
import pickle
import sys
import threading
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import _fuzz_readers
import fuzz
from preceptor import untrusted
from preceptor.catalogue import get
from preceptor.cli._serving import Server
from preceptor.data import load
from preceptor.data._idx import read_idx
from preceptor.data._images import decode
from preceptor.data.text import read_lines
from preceptor.diagnosis.finding import Finding
from preceptor.errors import CheckpointError, ConfigError, DataError, OutOfMemory, PreceptorError, printable
from preceptor.observation.record import Record
from preceptor.report.live import list_page, look_at, run_page
from preceptor.report.terminal import Plain
from preceptor.run import load as load_run
from preceptor.search.journal import Journal
from preceptor.training.experiment import Experiment
from preceptor.training.history import History

CHEAP = [name for name, reader in _fuzz_readers.READERS.items() if reader.cost < 60]
DEAR = [name for name in _fuzz_readers.READERS if name not in CHEAP]


@pytest.fixture(scope="module")
def watch() -> fuzz.Watch:
    return fuzz.Watch()


@pytest.mark.slow
@pytest.mark.parametrize("name", _fuzz_readers.READERS)
def test_damaged_files_are_read_or_refused(name: str, watch: fuzz.Watch) -> None:
    cases = 4 if name in DEAR else 30
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fuzz.fuzz(name, 10**6, 2, fuzz.Watch(), None)  # modules that are loaded late are no part of a case
        row = fuzz.fuzz(name, 0, cases, watch, None)
    assert row["what"] == {}
    assert row["read"] + row["refused"] == cases


def test_the_fuzzing_sees_what_must_not_be(watch: fuzz.Watch, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "run",)

    def unpickled(folder: Path) -> None:
        pickle.loads((folder / "a").read_bytes())

    def wrote(folder: Path) -> None:
        (tmp_path / "elsewhere").write_text("x")

    def raised(folder: Path) -> None:
        {}["a"]

    outcomes = []
    for act in (unpickled, wrote, raised):
        reader = _fuzz_readers.Reader(
            "a", lambda: [pickle.dumps(Evil())], act, lambda rng, content, others: content
        )
        _fuzz_readers.READERS["planted"] = reader
        outcomes += fuzz.fuzz("planted", 0, 1, watch, None)["what"]
        del _fuzz_readers.READERS["planted"]
    assert [outcome.split()[1 if outcome.startswith("did") else 0] for outcome in outcomes] == [
        "pickle.find_class",
        "open",
        "KeyError:",
    ]


TEXTS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "csv": ("a.csv", lambda path: load(path, target="y")),
    "curves": ("a.conll", load),
    "trees": ("a.mrg", load),
    "toml": ("a.toml", Experiment.read),
    "vectors": ("a.txt", lambda path: get("word-vectors", path)),
    "journal": ("a.jsonl", lambda path: Journal(path).trials),
    "image": ("a.png", lambda path: decode(path, "a.png")),
    "idx": ("a-images-idx3-ubyte", load),
    "npz": ("a.npz", load),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", TEXTS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    content=st.binary(max_size=200)
    | st.text("y,;()[]{}\"'=#\n\t -.1nae\x00\x1b", max_size=200).map(str.encode)
)
def test_any_bytes_are_read_or_refused(
    kind: str, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name, read = TEXTS[kind]
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert _said(read, path).strip()


def _said(read: Callable[[Path], object], path: Path) -> str:
    try:
        read(path)
    except PreceptorError as error:
        return str(error)
    return "read"


# What fuzzing has found


@pytest.mark.parametrize("text", ["v = " + "[" * 9000, "a = " + '{"a"=' * 5000])
def test_values_within_values_without_end(text: str) -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        Experiment.from_toml(text)


def test_a_table_of_blank_cells_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('" "\n"\t"\n')
    with pytest.raises(DataError, match="is empty"):
        load(tmp_path / "a.csv", target="y")


def test_rows_of_different_lengths_are_no_history() -> None:
    for text in ("epoch,loss\n1\n", "epoch,loss\n1,2,3\n", 'epoch,"' + "x" * 200_000):
        with pytest.raises(ValueError, match=r"zip|field"):
            History.from_csv(text)
    assert History.from_csv("").rows == []


@pytest.mark.parametrize(
    "change", [{"title": ["x"]}, {"layers": [3]}, {"steps": ["1"]}, {"evidence": []}, {"confidence": "1"}]
)
def test_a_finding_of_another_kind_is_refused(change: dict[str, Any]) -> None:
    plain = Finding("overfitting", "warning", "It rises.").to_plain()
    with pytest.raises(ConfigError, match="is of another kind"):
        Finding.from_plain({**plain, **change})


def _npz(path: Path, header: str, data: bytes) -> Path:
    text = header.ljust(117) + "\n"
    with zipfile.ZipFile(path, "w") as archive:
        array = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data
        for name in ("x", "y.npy"):  # numpy knows arrays by their first bytes, not by their names
            archive.writestr(name, array)
    return path


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,)}", b"\0" * 8),
        ("{'descr': '<U1', 'fortran_order': False, 'shape': (2,)}", b"\xff" * 8),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1,", b"\0" * 8),
    ],
)
def test_arrays_that_are_not_what_they_say(header: str, data: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="damaged"):
        load(_npz(tmp_path / "a.npz", header, data))


# Decompression bombs


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at packed files from a megabyte on, not from 256 of them on."""
    monkeypatch.setattr(untrusted, "_LARGE", 1 << 20)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["a.csv.gz", "a-images-idx3-ubyte.gz", "a.txt.gz", "a.txt.xz"])
def test_what_unpacks_without_end_is_refused(name: str, tmp_path: Path) -> None:
    path, content = tmp_path / name, b"0" * (4 << 20)
    path.write_bytes(lzma.compress(content) if name.endswith("xz") else gzip.compress(content))
    read = {"csv": lambda: load(path, target="y"), "idx": lambda: read_idx(path)}
    with pytest.raises(DataError, match="unpacks to more than it can mean"):
        next((act for kind, act in read.items() if kind in name), lambda: list(read_lines(path)))()


@pytest.mark.usefixtures("small")
def test_an_archive_of_zeros_and_an_image_of_one_colour_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((4000, 100)), y=np.zeros(4000, int))
    with pytest.raises(DataError, match="unpacks to more"):
        load(tmp_path / "a.npz")
    pil = pytest.importorskip("PIL.Image")
    pil.new("L", (1200, 1200)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="unpacks to more"):
        decode(tmp_path / "a.png", "'a.png'")


def test_text_that_is_merely_alike_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"the same line\n" * 200_000))
    assert sum(1 for _ in read_lines(tmp_path / "a.txt.gz")) == 200_000


def test_what_no_memory_holds_is_refused_before_it_is_read() -> None:
    with pytest.raises(OutOfMemory, match="does not fit into memory"):
        untrusted.check_room(1 << 60, "an array")
    untrusted.check_room(1 << 20, "an array")


def test_a_table_beyond_the_memory_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole: nothing of it is on the disk
    with pytest.raises(OutOfMemory, match=r"1,099,512 MB of text, does not fit into memory"):
        load(path, target="y")


# Pickles


@pytest.mark.parametrize("name", ["a.pkl", "a.pt", "a.PTH", "a.ckpt", "a.joblib", "a.data", "a.csv"])
def test_pickles_are_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps({"x": 1}))
    with pytest.raises(DataError, match="which can run any program when it is read"):
        load(tmp_path / name, target="y" if name.endswith("csv") else None)
    with pytest.raises(DataError, match="pickled"):
        load_run(tmp_path / name)


# What a spreadsheet, a terminal or a page would obey


def test_formulas_leave_as_text(tmp_path: Path) -> None:
    record = Record()
    record.add("loss", 0, -1.5, "=HYPERLINK(0)")
    record.to_csv(tmp_path / "a.csv")
    row = (tmp_path / "a.csv").read_text().splitlines()[1]
    assert row.startswith("loss,'=HYPERLINK(0),0,-1.5")


def test_messages_and_consoles_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    error = DataError("a column \x1b]0;owned\x07 is odd", received="\x1b[2J\u202e\ud800", hint="two\nlines")
    assert str(error) == "a column �]0;owned� is odd\n  received  �[2J��\n  try       two\nlines"
    assert printable("naïve\t日本\n") == "naïve\t日本\n"
    Plain(highlight=False, width=80).print("class [/red] \x1b[31m")
    assert capsys.readouterr().out == "class [/red] �[31m\n"


# Runs of others


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder of runs, the manifest of one of which holds values of other kinds."""
    for number in range(3):
        folder = tmp_path / "runs" / f"a-{number}"
        folder.mkdir(parents=True)
        for name in ("experiment.toml", "history.csv", "manifest.json"):
            (folder / name).write_bytes((_fuzz_readers.made_run() / name).read_bytes())
    path = tmp_path / "runs" / "a-1" / "manifest.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "ledger": 3, "signature": [], "chosen": None})
    )
    return tmp_path / "runs"


def test_a_run_of_another_kind_is_named_and_the_others_are_shown(hostile: Path) -> None:
    page = list_page(hostile)
    assert "2 runs, " in page
    assert "a-1: cannot read" in page
    with pytest.raises(CheckpointError):
        load_run(hostile / "a-1")
    with pytest.raises(PreceptorError):
        run_page(look_at("a-1", hostile / "a-1"))


def test_a_hundred_runs_a_page(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("preceptor.report.live._MOST", 2)
    first, second = list_page(hostile), list_page(hostile, start=2)
    assert "3 runs, of which 2 are listed" in first
    assert 'href="/from/2"' in first
    assert 'href="/from/0"' in second
    shown = [name for name in ("a-0", "a-1", "a-2") if f"/run/{name}" in first + second]
    assert len(shown) == 2  # and a-1 in words


def test_the_server_answers_for_such_runs(hostile: Path) -> None:
    from http.client import HTTPConnection

    with Server(hostile, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        for path, status in {
            "/": 200,
            "/from/0": 200,
            "/from/x": 404,
            "/run/a-1": 404,
            "/run/a-2": 200,
        }.items():
            connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
            connection.request("GET", path)
            assert connection.getresponse().status == status, path
            connection.close()
        server.shutdown()
        thread.join()
