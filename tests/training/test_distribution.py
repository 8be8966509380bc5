"""Several processes as one training: the same curve, the same order, and an end for all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import preceptor
from preceptor.data.batches import LoaderBatches, TensorBatches, loader_for
from preceptor.errors import ConfigError
from preceptor.training.shares import Share, SharedBatches, share, share_of

DRIVER = Path(__file__).with_name("spread_driver.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
EQUAL = ("plain", "everything", "loader", "fully")
TOGETHER = (
    *EQUAL, "dropout", "dropout-resumed", "fully-resumed", "asked-to-stop",
    "l-bfgs", "few", "members", "noise",
)  # fmt: skip


class TestShares:
    def test_all_rows_of_each_batch_are_someone_s_in_the_order_of_one_process(self) -> None:
        def batches() -> TensorBatches:
            return TensorBatches(torch.arange(11.0), torch.arange(11), batch_size=4, seed=3)

        whole = [y.tolist() for _, y in batches().epoch()]
        ranks = [list(SharedBatches(batches(), rank, 3).epoch()) for rank in range(3)]
        for at, rows in enumerate(whole):
            shares = [mine[at] for mine in ranks]
            assert all(isinstance(one, Share) for one in shares)
            taken = [one[1].tolist() if one.own else [] for one in shares]  # type: ignore[attr-defined]
            assert [rows[rank::3] for rank in range(3)] == taken
            assert sum(one.own for one in shares) == shares[0].whole == len(rows)  # type: ignore[attr-defined]

    def test_a_loader_reads_its_own_rows_alone(self) -> None:
        read: list[int] = []

        class Rows(TensorDataset):
            def __getitem__(self, index: int) -> Any:
                read.append(index)
                return super().__getitem__(index)

        data = Rows(torch.arange(9.0), torch.arange(9))
        loader = LoaderBatches(loader_for(data, batch_size=4, shuffle=True, seed=1))
        whole = [y.tolist() for _, y in loader.epoch()]
        read.clear()
        again = LoaderBatches(loader_for(data, batch_size=4, shuffle=True, seed=1))
        mine = share(again, 1, 2, counted=None, seed=0)
        assert [y.tolist() for _, y in mine.epoch()] == [rows[1::2] or rows[:1] for rows in whole]
        assert len(read) == 5

    def test_a_loader_s_order_does_not_depend_on_the_global_generators(self) -> None:
        orders = []
        for rank in (0, 1):
            torch.manual_seed(rank)
            loader: DataLoader[Any] = DataLoader(
                TensorDataset(torch.arange(8.0), torch.arange(8)), batch_size=2, shuffle=True
            )
            orders.append(share(LoaderBatches(loader), rank, 2, counted=None, seed=5))
        pairs = zip(*[[y.item() for _, y in order.epoch()] for order in orders], strict=True)
        assert sorted(row for pair in pairs for row in pair) == list(range(8))

    def test_a_pass_is_continued(self) -> None:
        def shared() -> Any:
            data = TensorDataset(torch.arange(9.0), torch.arange(9))
            return share(
                LoaderBatches(loader_for(data, batch_size=2, shuffle=True, seed=1)),
                0,
                2,
                counted=None,
                seed=0,
            )

        first = shared()
        list(first.epoch())
        whole = [y.tolist() for _, y in first.epoch()]
        state = first.state_dict()
        other = shared()
        other.load_state_dict(state, again=True)
        left = [(y.tolist(), one.own) for one in other.epoch(skip=2) for _, y in [one]]
        assert left == [(rows, 1) for rows in whole[2:]]

    def test_nested_inputs(self) -> None:
        x = {"a": torch.arange(4), "b": (torch.arange(4), "text")}
        assert str(share_of(x, slice(1, None, 2))) == "{'a': tensor([1, 3]), 'b': (tensor([1, 3]), 'text')}"

    def test_streams_are_refused(self) -> None:
        class Stream(torch.utils.data.IterableDataset[Any]):
            def __iter__(self) -> Any:
                return iter([])

        with pytest.raises(ConfigError, match="stream"):
            share(LoaderBatches(DataLoader(Stream(), batch_size=4)), 0, 2, counted=None, seed=0)

    def test_one_process_has_nothing_to_cut_up(self) -> None:
        with pytest.raises(ConfigError, match="torchrun"):
            preceptor.train("mlp", "iris", settings={"training.shard": "fully"}, out=False)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the scenarios gave in one process (``"one"``), and in two, of each (``0`` and ``1``)."""
    folder = tmp_path_factory.mktemp("spread")
    one = subprocess.run(
        [sys.executable, str(DRIVER), str(folder), *EQUAL], capture_output=True, text=True, check=True
    )
    two = subprocess.run(
        [*TORCHRUN, str(DRIVER), str(folder), *TOGETHER], capture_output=True, text=True, check=False
    )
    assert two.returncode == 0, two.stderr[-3000:]
    second = {name: json.loads((folder / f"rank-1-{name}.json").read_text()) for name in TOGETHER}
    return {"one": _lines(one.stdout), 0: _lines(two.stdout), 1: second, "folder": folder}


def _lines(text: str) -> dict[str, Any]:
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return {line["name"]: line for line in found}


@pytest.mark.slow
class TestTogether:
    @pytest.mark.parametrize("name", EQUAL)
    def test_the_curve_is_that_of_one_process(self, told: dict[str, Any], name: str) -> None:
        one, two = told["one"][name], told[0][name]
        assert len(two["rows"]) == 3
        for a, b in zip(one["rows"], two["rows"], strict=True):
            assert b == pytest.approx(a, abs=2e-6)
        assert two["weights"] == pytest.approx(one["weights"], abs=2e-6)

    @pytest.mark.parametrize("name", EQUAL)
    def test_both_processes_end_with_the_same_weights(self, told: dict[str, Any], name: str) -> None:
        assert told[0][name]["weights"] == told[1][name]["weights"]

    def test_a_run_that_goes_on_is_the_one_that_was_not_stopped(self, told: dict[str, Any]) -> None:
        whole, resumed = told[0]["dropout"], told[0]["dropout-resumed"]
        assert resumed["weights"] == whole["weights"]
        assert resumed["rows"] == whole["rows"]
        assert told[0]["fully-resumed"]["weights"] == pytest.approx(told["one"]["plain"]["weights"], abs=2e-6)

    def test_the_first_process_alone_writes(self, told: dict[str, Any]) -> None:
        run = preceptor.load(told["folder"] / "dropout")
        assert run.folder is not None
        assert run.folder.manifest["processes"] == 2
        weights = torch.cat([p.detach().flatten() for p in run.model.parameters()])
        assert weights.tolist() == told[0]["dropout-resumed"]["weights"]

    def test_all_stop_where_one_is_asked_to(self, told: dict[str, Any]) -> None:
        for rank in (0, 1):
            assert told[rank]["asked-to-stop"]["status"] == "interrupted"
        assert told[0]["asked-to-stop"]["step"] == told[1]["asked-to-stop"]["step"]

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("l-bfgs", "evaluates the loss itself"),
            ("few", "fewer examples to a batch than processes"),
            ("members", "members is for one process"),
            ("noise", "would differ in each process"),
        ],
    )
    def test_what_cannot_be_shared_is_refused_with_the_reason(
        self, told: dict[str, Any], name: str, said: str
    ) -> None:
        assert said in told[0][name]["error"]
        assert said in told[1][name]["error"]


@pytest.mark.slow
def test_a_process_that_fails_ends_all(tmp_path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [*TORCHRUN, str(DRIVER), str(tmp_path), "fails"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode != 0
    assert "a broken disk" in done.stderr
    assert "process 1 of 2 failed, and this one ends with it" in done.stdout + done.stderr
    assert time.monotonic() - began < 100


@pytest.mark.slow
def test_ctrl_c_saves_and_the_run_goes_on(tmp_path: Path) -> None:
    command = [
        *TORCHRUN, "-m", "preceptor", "train", "iris", "--epochs", "100000", "--set", "model.hidden=[4]",
        "--set", "training.patience=none", "--set", "training.watch=false", "--out", "run",
    ]  # fmt: skip
    program = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    manifest = tmp_path / "run" / "manifest.json"
    until = time.monotonic() + 90
    while not (tmp_path / "run" / "state" / "checkpoint.safetensors").exists() and time.monotonic() < until:
        time.sleep(0.2)
    time.sleep(1)
    os.killpg(program.pid, signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert json.loads(manifest.read_text())["status"] == "interrupted", err[-2000:]
    assert out.count("go on with: preceptor train --resume run") == 1
