"""Run folders: made whole or not at all, numbered without collisions, damage named."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from preceptor.errors import CheckpointError, ConfigError, StorageError
from preceptor.training import Experiment, RunFolder, folder

FILES = {
    "manifest.json": json.dumps({"status": "running", "chosen": [], "signature": {}, "ledger": []}),
    "experiment.toml": Experiment().to_toml(),
}


def create_some(runs: Path, count: int) -> None:
    for _ in range(count):
        RunFolder.create("race", {**FILES, "by.txt": str(os.getpid())}, runs=runs)


class TestCreate:
    def test_numbers_count_up(self, tmp_path: Path) -> None:
        names = [RunFolder.create("iris", FILES, runs=tmp_path / "deep" / "runs").path.name for _ in range(3)]
        assert names == ["iris-1", "iris-2", "iris-3"]

    def test_the_number_follows_the_largest(self, tmp_path: Path) -> None:
        for name in ("iris-7", "iris-x", "iris-²", "iris", "irises-9", "iris-2"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "content").touch()
        assert RunFolder.create("iris", FILES, runs=tmp_path).path.name == "iris-8"

    @pytest.mark.parametrize("name", ["a[b]", "a*", "ümläut", "with space", "a-1"])
    def test_any_name_that_a_folder_can_have(self, tmp_path: Path, name: str) -> None:
        paths = [RunFolder.create(name, FILES, runs=tmp_path).path.name for _ in range(2)]
        assert paths == [f"{name}-1", f"{name}-2"]

    def test_holds_its_files_and_folders(self, tmp_path: Path) -> None:
        made = RunFolder.create("iris", FILES, runs=tmp_path)
        assert sorted(p.name for p in made.path.iterdir()) == [
            "experiment.toml",
            "manifest.json",
            "state",
            "weights",
        ]
        assert made.experiment == Experiment()
        assert made.manifest["status"] == "running"
        assert made.state == made.path / "state" / "checkpoint.safetensors"

    def test_in_a_place_of_ones_choice(self, tmp_path: Path) -> None:
        assert RunFolder.create("iris", FILES, out=tmp_path / "a" / "b").path == tmp_path / "a" / "b"
        (tmp_path / "empty").mkdir()
        assert RunFolder.create("iris", FILES, out=tmp_path / "empty").manifest["status"] == "running"

    def test_what_is_there_already_is_not_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "thesis.txt").touch()
        with pytest.raises(ConfigError, match=r"is not empty[\s\S]*'thesis.txt'[\s\S]*--resume"):
            RunFolder.create("iris", FILES, out=tmp_path / "full")
        with pytest.raises(ConfigError, match=r"is not empty[\s\S]*a file"):
            RunFolder.create("iris", FILES, out=tmp_path / "full" / "thesis.txt")
        assert [p.name for p in tmp_path.rglob("*")] == ["full", "thesis.txt"]

    def test_whole_or_not_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """At no moment is there a visible folder without a manifest, and a failure leaves nothing."""
        real, seen = folder.write_text, []

        def spy(path: Path, text: str) -> None:
            seen.append(sorted(p.name[:5] for p in tmp_path.iterdir()))
            if path.name == "experiment.toml" and fails:
                raise StorageError("disk full")
            real(path, text)

        monkeypatch.setattr(folder, "write_text", spy)
        fails = True
        with pytest.raises(StorageError, match="disk full"):
            RunFolder.create("iris", FILES, runs=tmp_path)
        assert list(tmp_path.iterdir()) == []
        fails = False
        RunFolder.create("iris", FILES, runs=tmp_path)
        assert set(map(tuple, seen)) == {(".iris",)}

    def test_leftovers_of_killed_processes_do_not_disturb(self, tmp_path: Path) -> None:
        for leftover in (f".iris.{os.getpid()}.tmp", ".iris.12.tmp"):
            (tmp_path / leftover / "weights").mkdir(parents=True)
            (tmp_path / leftover / "preprocessing.json").write_text("{}")
        made = RunFolder.create("iris", FILES, runs=tmp_path)
        assert made.path.name == "iris-1"
        assert not (made.path / "preprocessing.json").exists()

    def test_a_number_that_another_took_meanwhile_is_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        RunFolder.create("iris", FILES, runs=tmp_path)
        RunFolder.create("iris", FILES, runs=tmp_path)
        monkeypatch.setattr(Path, "glob", lambda *_: iter(()))  # as if both were not there yet
        assert RunFolder.create("iris", FILES, runs=tmp_path).path.name == "iris-3"

    @pytest.mark.slow
    def test_processes_at_once_get_numbers_of_their_own(self, tmp_path: Path) -> None:
        context = multiprocessing.get_context("fork")
        workers = [context.Process(target=create_some, args=(tmp_path, 8)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
        assert {p.name for p in tmp_path.iterdir()} == {f"race-{i}" for i in range(1, 25)}
        owners = [(p / "by.txt").read_text() for p in tmp_path.iterdir()]
        assert sorted(owners.count(o) for o in set(owners)) == [8, 8, 8]

    def test_a_place_that_cannot_be_written_to(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StorageError, match=r"cannot make a run folder[\s\S]*choose another --out"):
            RunFolder.create("iris", FILES, out=tmp_path / "file" / "run")


class TestRead:
    @pytest.fixture
    def made(self, tmp_path: Path) -> RunFolder:
        return RunFolder.create("iris", FILES, runs=tmp_path)

    def test_a_folder_that_is_no_run_names_those_beside_it(self, made: RunFolder) -> None:
        with pytest.raises(CheckpointError, match=r"no such folder[\s\S]*runs there: iris-1"):
            RunFolder(made.path.parent / "iris-2")
        with pytest.raises(CheckpointError, match="a folder without one"):
            RunFolder(made.path.parent)

    @pytest.mark.parametrize("text", ["", "{", "[1, 2]", "7", '"text"', "\ufeff{}", "null"])
    def test_a_damaged_manifest(self, made: RunFolder, text: str) -> None:
        (made.path / "manifest.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"cannot read|is not a run's manifest"):
            _ = made.manifest

    def test_a_manifest_of_something_else(self, made: RunFolder) -> None:
        (made.path / "manifest.json").write_text('{"name": "web app", "status": "x"}')
        with pytest.raises(
            CheckpointError, match=r"expected  chosen, signature, ledger[\s\S]*received  name, status"
        ):
            _ = made.manifest

    def test_bytes_that_are_no_text(self, made: RunFolder) -> None:
        (made.path / "preprocessing.json").write_bytes(b"\xff\xfe{}")
        with pytest.raises(CheckpointError, match=r"cannot read .*preprocessing.json"):
            _ = made.preprocessing

    def test_what_is_not_there_yet(self, made: RunFolder) -> None:
        for read in (lambda: made.history, made.weights, lambda: made.preprocessing):
            with pytest.raises(CheckpointError):
                read()
        with pytest.raises(CheckpointError, match=r"no weights[\s\S]*preceptor train --resume"):
            made.weights("last")

    def test_damaged_weights(self, made: RunFolder) -> None:
        made.write_weights("best", {"w": torch.ones(3)})
        path = made.path / "weights" / "best.safetensors"
        path.write_bytes(path.read_bytes()[:20])
        with pytest.raises(CheckpointError, match="no weights"):
            made.weights()


class TestWrite:
    def test_entries_of_the_manifest(self, tmp_path: Path) -> None:
        made = RunFolder.create("iris", FILES, runs=tmp_path)
        made.update_manifest(status="finished", best_epoch=3)
        made.update_manifest(ledger=[{"look": 1, "metrics": {"accuracy": float("nan")}}])
        manifest = RunFolder(made.path).manifest
        assert (manifest["status"], manifest["best_epoch"], manifest["chosen"]) == ("finished", 3, [])
        assert manifest["ledger"][0]["look"] == 1

    def test_weights_come_back_bit_for_bit(self, tmp_path: Path) -> None:
        made = RunFolder.create("iris", FILES, runs=tmp_path)
        tied = torch.randn(4, 3, requires_grad=True)
        images = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
        weights: dict[str, Tensor] = {"a": tied, "b": tied, "t": tied.t(), "i": images, "n": torch.tensor(7)}
        made.write_weights("best", weights)
        back = made.weights()
        assert all(torch.equal(value, back[key]) for key, value in weights.items())
        assert sorted(p.name for p in (made.path / "weights").iterdir()) == ["best.safetensors"]

    def test_a_file_of_text(self, tmp_path: Path) -> None:
        made = RunFolder.create("iris", FILES, runs=tmp_path)
        made.write("history.csv", "epoch,val_loss\n1,0.5\n")
        assert made.history[0] == {"epoch": 1, "val_loss": 0.5}


class TestDamage:
    @pytest.fixture
    def made(self, tmp_path: Path) -> RunFolder:
        made = RunFolder.create("iris", {**FILES, "preprocessing.json": "{}"}, runs=tmp_path)
        made.write("history.csv", "epoch,val_loss\n1,0.5\n")
        made.write_weights("best", {"w": torch.ones(3)})
        made.seal(status="finished", best_epoch=1)
        return made

    @pytest.mark.parametrize(
        "name",
        ["manifest.json", "experiment.toml", "preprocessing.json", "history.csv", "weights/best.safetensors"],
    )
    def test_a_flipped_bit_is_named(self, made: RunFolder, name: str) -> None:
        path = made.path / name
        data = bytearray(path.read_bytes())
        data[-1 if name == "preprocessing.json" else -5] ^= 1
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=rf"{name}[\s\S]*(changed|checksum|cannot)"):
            _ = made.manifest, made.experiment, made.preprocessing, made.history, made.weights()

    def test_what_is_written_later_is_sealed_again(self, made: RunFolder) -> None:
        made.write("history.csv", "epoch,val_loss\n1,0.25\n")
        made.update_manifest(ledger=[{"look": 1}])
        again = RunFolder(made.path)
        assert again.history[0, "val_loss"] == 0.25
        assert set(again.manifest["sealed"]) == {"experiment.toml", "preprocessing.json", "history.csv"}
        again.unseal("experiment.toml", status="running")
        again.write("history.csv", "epoch\n1\n")
        assert set(again.manifest["sealed"]) == {"experiment.toml"}

    def test_a_manifest_whose_checksum_is_gone(self, made: RunFolder) -> None:
        path = made.path / "manifest.json"
        path.write_text(path.read_text().replace('"crc32"', '"crc31"'))
        with pytest.raises(CheckpointError, match="'crc32' is missing"):
            _ = made.manifest

    def test_leftovers_go(self, made: RunFolder) -> None:
        for place in ("", "weights/", "state/"):
            (made.path / f"{place}.a.json.12.tmp").touch()
        made.tidy()
        assert not list(made.path.rglob("*.tmp"))
