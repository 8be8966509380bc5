import csv
import hashlib
import json
import math
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from preceptor.errors import StorageError
from preceptor.observation import _record_files as files
from preceptor.observation.record import Record


def made(points: int = 9_000) -> Record:
    record = Record(memory=1 << 20)
    odd = {3: math.nan, 5: math.inf, 7: -math.inf, 8: -0.0, 9: 5e-324}
    for step in range(points):
        record.add("loss", step, odd.get(step, math.sin(step)), "train")
    record.add("grad_norm", 1 << 40, 0.1, 'a\udcff,"b"\n.weight')
    record.samples.add("train", np.arange(100_000, dtype=np.uint64))
    record.samples.add("test", np.arange(99_990, 100_010, dtype=np.uint64))
    record.facts["optimizers"] = [{"name": "SGD", "lr": 0.1, "worst": math.nan, "best": -math.inf}]
    record.table("notes", {"text": "Grüße", "step": 3, "value": math.inf})
    record.left_out["lr"] = 3
    return record


def same(a: Record, b: Record) -> bool:
    series = zip(a, b, strict=True)
    for one, other in series:
        if (one.name, one.subject, one.cap, one.stride) != (
            other.name,
            other.subject,
            other.cap,
            other.stride,
        ):
            return False
        if any(x.tobytes() != y.tobytes() for x, y in zip(one.columns(), other.columns(), strict=True)):
            return False
    (index, hashes), (index_2, hashes_2) = a.samples.pack(), b.samples.pack()
    rest = [repr((r.facts, r.tables, r.left_out, r.memory, r.names)) for r in (a, b)]
    return index == index_2 and hashes.tobytes() == hashes_2.tobytes() and rest[0] == rest[1]


def test_a_record_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    record = made()
    record.save(tmp_path / "deep" / "record")
    back = Record.load(tmp_path / "deep" / "record")
    assert same(record, back)
    assert back.samples.overlap("train", "test") == record.samples.overlap("train", "test")
    assert len(list((tmp_path / "deep" / "record").iterdir())) == 2


def test_a_loaded_record_goes_on_as_if_never_saved(tmp_path: Path) -> None:
    record = made()
    record.save(tmp_path)
    back = Record.load(tmp_path)
    for one in (record, back):
        for step in range(9_000, 30_000):
            one.add("loss", step, math.cos(step), "train")
    assert same(record, back)


def test_an_empty_record(tmp_path: Path) -> None:
    Record().save(tmp_path)
    assert same(Record(), Record.load(tmp_path))


def test_saving_again_replaces_only_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    (tmp_path / "series-mine.safetensors").write_text("kept")
    for points in (10, 20, 20, 30):
        made(points).save(tmp_path)
    assert same(made(30), Record.load(tmp_path))
    assert len(list(tmp_path.iterdir())) == 4


def test_the_document_is_strict_json(tmp_path: Path) -> None:
    made(10).save(tmp_path)

    def refused(word: str) -> None:
        raise AssertionError(word)

    content = json.loads((tmp_path / "record.json").read_text(), parse_constant=refused)
    assert content["facts"]["optimizers"][0]["worst"] == {"$float": "nan"}


def test_any_fact_can_be_written(tmp_path: Path) -> None:
    record = Record()
    record.facts.update(
        size=np.int64(3), shape=(2, 3), path=Path("a"), values=np.array([0.5, np.nan]), deep={1: {2}}
    )
    record.save(tmp_path)
    facts = Record.load(tmp_path).facts
    assert facts["size"] == 3
    assert facts["shape"] == [2, 3]
    assert facts["path"] == "a"
    assert math.isnan(facts["values"][1])
    assert facts["deep"] == {"1": [2]}


@pytest.mark.parametrize("call", range(6))
def test_a_save_that_fails_anywhere_leaves_the_former_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    made(10).save(tmp_path)
    calls = 0

    def failing(function: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == call + 1:
                raise OSError(28, "No space left on device")
            return function(*args)

        return instead

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(os.fsync))
        patch.setattr(Path, "replace", failing(Path.replace))
        with pytest.raises(StorageError, match="No space left"):
            made(20).save(tmp_path)
    renamed_already = call == 5  # the rename of record.json was the fifth: only the folder's flush failed
    assert same(made(20 if renamed_already else 10), Record.load(tmp_path))
    assert not list(tmp_path.glob(".*"))
    made(30).save(tmp_path)
    assert same(made(30), Record.load(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        made(3).save(tmp_path / "file" / "record")
    record = made(3)
    record.facts["self"] = record.facts
    with pytest.raises(StorageError, match="cannot write the record"):
        record.save(tmp_path / "record")


def test_a_save_beside_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(10).save(tmp_path)
    read = files._document
    answers = [lambda path: (read(path), made(20).save(tmp_path))[0], read, read]
    monkeypatch.setattr(files, "_document", lambda path: answers.pop(0)(path))
    assert same(made(20), Record.load(tmp_path))


def document(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / "record.json").read_text())
    change(content)
    (folder / "record.json").write_text(json.dumps(content))


def arrays(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the arrays and name them anew, so that the digest is right."""
    (path,) = folder.glob("series-*")
    content = dict(safetensors.numpy.load(path.read_bytes()))
    change(content)
    raw(folder, safetensors.numpy.save(content))


def raw(folder: Path, data: bytes) -> None:
    (path,) = folder.glob("series-*")
    path.unlink()
    name = f"series-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
    (folder / name).write_bytes(data)
    document(folder, lambda content: content.update(arrays=name))


class Bomb:
    def __reduce__(self) -> Any:
        return (os._exit, (3,))


BREAKAGES: dict[str, Callable[[Path], object]] = {
    "no document": lambda f: (f / "record.json").unlink(),
    "no arrays": lambda f: next(f.glob("series-*")).unlink(),
    "a folder for a document": lambda f: ((f / "record.json").unlink(), (f / "record.json").mkdir()),
    "a pipe for a document": lambda f: ((f / "record.json").unlink(), os.mkfifo(f / "record.json")),
    "empty document": lambda f: (f / "record.json").write_text(""),
    "cut document": lambda f: (f / "record.json").write_text((f / "record.json").read_text()[:300]),
    "a list": lambda f: (f / "record.json").write_text("[1, 2]"),
    "not text": lambda f: (f / "record.json").write_bytes(b"\xff\xfe\x00"),
    "bare NaN": lambda f: (f / "record.json").write_text('{"format": "preceptor-record", "x": NaN}'),
    "deep": lambda f: (f / "record.json").write_text("[" * 200_000),
    "many digits": lambda f: (f / "record.json").write_text("1" * 10_000),
    "another format": lambda f: document(f, lambda c: c.update(format="other")),
    "later version": lambda f: document(f, lambda c: c.update(version=99)),
    "version true": lambda f: document(f, lambda c: c.update(version=True)),
    "arrays elsewhere": lambda f: document(f, lambda c: c.update(arrays="../../etc/passwd")),
    "arrays a number": lambda f: document(f, lambda c: c.update(arrays=3)),
    "no facts": lambda f: document(f, lambda c: c.pop("facts")),
    "facts a number": lambda f: document(f, lambda c: c.update(facts=3)),
    "tables a list": lambda f: document(f, lambda c: c.update(tables=[1])),
    "tables of numbers": lambda f: document(f, lambda c: c.update(tables={"a": [1]})),
    "left_out a list": lambda f: document(f, lambda c: c.update(left_out=[1])),
    "memory a word": lambda f: document(f, lambda c: c.update(memory="much")),
    "memory infinite": lambda f: document(f, lambda c: c.update(memory={"$float": "inf"})),
    "memory NaN": lambda f: document(f, lambda c: c.update(memory={"$float": "nan"})),
    "series a number": lambda f: document(f, lambda c: c.update(series=3)),
    "series of short rows": lambda f: document(f, lambda c: c.update(series=[["loss", "train"]])),
    "length too large": lambda f: document(f, lambda c: c["series"][0].__setitem__(2, 4096)),
    "length negative": lambda f: document(f, lambda c: c["series"][0].__setitem__(2, -1)),
    "length no integer": lambda f: document(f, lambda c: c["series"][0].__setitem__(2, 2.0)),
    "length huge": lambda f: document(f, lambda c: c["series"][0].__setitem__(2, 10**30)),
    "merged too large": lambda f: document(f, lambda c: c["series"][0].__setitem__(3, 4000)),
    "stride zero": lambda f: document(f, lambda c: c["series"][0].__setitem__(4, 0)),
    "stride three": lambda f: document(f, lambda c: c["series"][0].__setitem__(4, 3)),
    "cap huge": lambda f: document(f, lambda c: c["series"][0].__setitem__(5, 1 << 40)),
    "name a number": lambda f: document(f, lambda c: c["series"][0].__setitem__(0, 7)),
    "one series less": lambda f: document(f, lambda c: c["series"].pop()),
    "a series twice": lambda f: document(f, lambda c: c["series"].append(["loss", "train", 0, 0, 1, 4096])),
    "samples missing": lambda f: document(f, lambda c: c.pop("samples")),
    "samples bits": lambda f: document(f, lambda c: c["samples"]["sets"][0].__setitem__(2, 3)),
    "samples length": lambda f: document(f, lambda c: c["samples"]["sets"][0].__setitem__(1, 10**9)),
    "samples less": lambda f: document(f, lambda c: c["samples"]["sets"].pop()),
    "samples key twice": lambda f: document(f, lambda c: c["samples"]["sets"][0].__setitem__(0, "test")),
    "cut arrays": lambda f: next(f.glob("s*")).write_bytes(next(f.glob("s*")).read_bytes()[:-9]),
    "cut arrays, right digest": lambda f: raw(f, next(f.glob("s*")).read_bytes()[:-9]),
    "arrays of nothing": lambda f: raw(f, b""),
    "header of 2**60 bytes": lambda f: raw(f, (1 << 60).to_bytes(8, "little") + b"{}"),
    "a pickle": lambda f: raw(f, pickle.dumps(Bomb())),
    "no steps": lambda f: arrays(f, lambda a: a.pop("steps")),
    "steps of floats": lambda f: arrays(f, lambda a: a.update(steps=a["steps"].astype(float))),
    "steps in two axes": lambda f: arrays(f, lambda a: a.update(steps=a["steps"][None])),
    "values too few": lambda f: arrays(f, lambda a: a.update(values=a["values"][:-1])),
    "steps too many": lambda f: arrays(f, lambda a: a.update(steps=np.append(a["steps"], 1))),
    "low too few": lambda f: arrays(f, lambda a: a.update(low=a["low"][:-1])),
    "counts of zero": lambda f: arrays(f, lambda a: a.update(counts=a["counts"] * 0)),
    "samples in disorder": lambda f: arrays(f, lambda a: a.update(samples=a["samples"][::-1].copy())),
}


@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=list(BREAKAGES))
def test_broken_and_hostile_folders_are_refused(tmp_path: Path, breakage: Callable[[Path], object]) -> None:
    made(6_000).save(tmp_path)
    breakage(tmp_path)
    with pytest.raises(StorageError, match="record"):
        Record.load(tmp_path)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"record\.json is missing"):
        Record.load(tmp_path / "nothing")


def test_files_too_large_are_not_read(tmp_path: Path) -> None:
    made(3).save(tmp_path)
    with (tmp_path / "record.json").open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(StorageError, match="bytes, where"):
        Record.load(tmp_path)


def test_csv_is_exact(tmp_path: Path) -> None:
    record = made(5_000)
    record.to_csv(tmp_path / "record.csv")
    with (tmp_path / "record.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    loss = record.signal("loss")
    assert list(rows[0]) == ["name", "subject", "step", "value", "low", "high"]
    mine = [row for row in rows if row["name"] == "loss"]
    assert [int(row["step"]) for row in mine] == loss.steps.tolist()
    for column, expected in (("value", loss.values), ("low", loss.low), ("high", loss.high)):
        assert np.array([float(row[column]) for row in mine]).tobytes() == expected.tobytes()
    assert rows[-1]["subject"] == 'a\\udcff,"b"\n.weight'


def test_parquet_is_exact(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    record = made(5_000)
    record.to_parquet(tmp_path / "record.parquet")
    table = parquet.read_table(tmp_path / "record.parquet")
    loss = record.signal("loss")
    assert table.column_names == ["name", "subject", "step", "value", "low", "high"]
    assert table["step"].to_numpy()[:-1].tolist() == loss.steps.tolist()
    assert table["value"].to_numpy()[:-1].tobytes() == loss.values.tobytes()
    assert table["name"].to_pylist()[-1] == "grad_norm"
    Record().to_parquet(tmp_path / "empty.parquet")
    assert parquet.read_table(tmp_path / "empty.parquet").num_rows == 0


def test_exports_into_nowhere(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        made(3).to_csv(tmp_path / "missing" / "record.csv")
