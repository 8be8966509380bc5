"""Trainings in processes of their own: Keras on torch, and two processes that average their gradients."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from preceptor.observation import Record

KERAS = """
import sys
import keras
import numpy as np

keras.utils.set_random_seed(3)
x = np.random.default_rng(0).normal(size=(96, 4)).astype("float32")
y = (x.sum(1) > 0).astype("int64")
model = keras.Sequential([
    keras.layers.Input((4,)),
    keras.layers.Dense(16, activation="relu", name="hidden"),
    keras.layers.BatchNormalization(),
    keras.layers.Dropout(0.2),
    keras.layers.Dense(2, name="outputs"),
])
model.compile(
    optimizer=keras.optimizers.Adam(0.01),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
history = model.fit(x, y, batch_size=16, epochs=3, validation_split=1 / 3, verbose=0)
print({key: [float(value) for value in values] for key, values in history.history.items()})
print([float(weight.sum()) for weight in model.get_weights()])
"""

DDP = """
import sys
import torch
import torch.distributed as distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

distributed.init_process_group("gloo")
rank = distributed.get_rank()
torch.manual_seed(5)
x = torch.randn(64, 4)
data = TensorDataset(x, (x.sum(1) > 0).long())
model = DistributedDataParallel(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
sampler = DistributedSampler(data, seed=1)
for epoch in range(2):
    sampler.set_epoch(epoch)
    for step, (inputs, labels) in enumerate(DataLoader(data, 8, sampler=sampler)):
        optimizer.zero_grad()
        if step == 1:  # one step of accumulation, without averaging
            with model.no_sync():
                nn.functional.cross_entropy(model(inputs), labels).backward()
        loss = nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        sys.stdout.write(f"rank {rank} epoch {epoch} step {step} loss {loss.item()!r}\\n")
sys.stdout.write(f"rank {rank} weights {[p.double().sum().item() for p in model.parameters()]}\\n")
distributed.destroy_process_group()
"""


def start(folder: Path, *arguments: str) -> str:
    """Run Python in ``folder`` and return what it prints."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**kept, "OMP_NUM_THREADS": "1", "KERAS_BACKEND": "torch", "KERAS_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_keras(tmp_path: Path) -> None:
    """Its optimizers and losses are not those of torch: steps and gradients are seen all the same."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("Keras is not installed")
    (tmp_path / "train.py").write_text(KERAS)
    plain = start(tmp_path, "train.py")
    watched = start(tmp_path, "-m", "preceptor", "run", "--json", "out.json", "--record", "seen", "train.py")
    assert watched == plain
    seen = json.loads((tmp_path / "out.json").read_text())["watch"]
    assert not [note for note in seen["notes"] if "an error within" in note]
    record = Record.load(tmp_path / "seen")
    assert seen["steps"]["train"] == 12
    assert len(record.signal("loss", phase="train")) > 0
    assert len(record.subjects("grad_norm")) >= 4


@pytest.mark.slow
def test_two_processes(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(DDP)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    plain = start(tmp_path, *torchrun, "train.py")
    watched = start(
        tmp_path, *torchrun, "-m", "preceptor", "run", "--json", "out.json", "--record", "seen", "train.py"
    )
    assert sorted(watched.splitlines()) == sorted(plain.splitlines())
    for rank, suffix in enumerate(("", ".rank1")):
        seen = json.loads((tmp_path / f"out{suffix}.json").read_text())["watch"]
        assert not [note for note in seen["notes"] if "an error within" in note]
        losses = [
            float(line.rpartition(" ")[2])
            for line in plain.splitlines()
            if line.startswith(f"rank {rank} epoch")
        ]
        series = Record.load(tmp_path / f"seen{suffix}").signal("loss", phase="train").values
        assert len(series) == len(losses) == 8
        assert [series[i] for i in range(8) if i % 4 != 1] == [losses[i] for i in range(8) if i % 4 != 1]
