"""Trainings in one process or several, each told as one line of JSON; run by test_distribution.py."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import TensorDataset

import preceptor
from preceptor.errors import PreceptorError
from preceptor.training import State

SETTINGS = {"training.watch": False, "model.hidden": [7], "data.audit": "none"}
PLAIN: dict[str, Any] = {
    "model": "mlp", "data": "iris", "epochs": 3, "lr": 0.05, "batch_size": 9, "settings": SETTINGS,
    "out": False,
}  # fmt: skip
RANK = int(os.environ.get("RANK", "0"))


class Stop(preceptor.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_batch_end(self, state: State) -> None:
        if state.step == self.step:
            state.stop = "interrupted"


class FailSecond(preceptor.Callback):
    def on_batch_end(self, state: State) -> None:
        if RANK == 1 and state.step == 5:
            raise ValueError("a broken disk")


class CtrlC(preceptor.Callback):
    """Asks the second process alone to stop, as a signal does."""

    def on_batch_end(self, state: State) -> None:
        if state.step == 5 and int(os.environ.get("WORLD_SIZE", "1")) - 1 == RANK:
            os.kill(os.getpid(), signal.SIGTERM)


def examples() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 5, generator=generator)
    return TensorDataset(x, (x[:, 0] > 0).long())


class Plain(torch.utils.data.Dataset[Any]):
    """A data set whose examples can only be asked for one by one."""

    def __init__(self) -> None:
        self.pairs = list(zip(*examples().tensors, strict=True))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Any:
        return self.pairs[index]


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2))


def resumed(folder: Path, **settings: Any) -> preceptor.Run:
    """Stop within the second epoch, and go on from the last checkpoint."""
    own = {**SETTINGS, "training.checkpoint_steps": 4, **settings}
    preceptor.train(**{**PLAIN, "out": folder, "settings": own}, callbacks=[Stop(17)])
    return preceptor.train(resume=folder)


def scenario(name: str, folder: Path) -> Any:
    dropout = {**SETTINGS, "model.dropout": 0.3}
    several = {
        "plain": lambda: preceptor.train(**PLAIN),
        "everything": lambda: preceptor.train(
            **PLAIN, regularizers=["l2=1e-2"], grad_accumulation=2, max_grad_norm=0.5, schedule="cosine",
            average="ema=0.5",
        ),
        "loader": lambda: preceptor.train(net, Plain(), epochs=3, batch_size=7, lr=0.05, out=False,
                                          settings={"training.watch": False}),
        "fully": lambda: preceptor.train(
            **{**PLAIN, "settings": {**SETTINGS, **shard()}}, max_grad_norm=0.5, schedule="cosine"
        ),
        "dropout": lambda: preceptor.train(**{**PLAIN, "settings": dropout}),
        "dropout-resumed": lambda: resumed(folder / "dropout", **{"model.dropout": 0.3}),
        "fully-resumed": lambda: resumed(folder / "fully", **shard()),
        "asked-to-stop": lambda: preceptor.train(**PLAIN, callbacks=[CtrlC()]),
        "fails": lambda: preceptor.train(**PLAIN, callbacks=[FailSecond()]),
        "l-bfgs": lambda: preceptor.train(**{**PLAIN, "lr": None, "batch_size": "full"}, optimizer="l-bfgs"),
        "few": lambda: preceptor.train(**{**PLAIN, "batch_size": 1}),
        "members": lambda: preceptor.train(**PLAIN, members=2),
        "noise": lambda: preceptor.train(**PLAIN, regularizers=["annealed-gradient-noise"]),
    }  # fmt: skip
    try:
        run = several[name]()
    except PreceptorError as error:
        return {"error": str(error)}
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in run.history]
    weights = torch.cat([p.detach().flatten() for p in run.model.parameters()])
    step = run.state.step if run.state else 0
    return {"rows": rows, "weights": weights.tolist(), "status": run.status, "step": step}


def shard() -> dict[str, str]:
    return {"training.shard": "fully"} if "WORLD_SIZE" in os.environ else {}


def main() -> None:
    folder = Path(sys.argv[1])
    for name in sys.argv[2:]:
        told = scenario(name, folder)
        if RANK == 0:
            print(json.dumps({"name": name, **told}), flush=True)
        else:
            (folder / f"rank-1-{name}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
