"""Programs of Keras 3 on torch, as they are: faults that are named, and sound programs without an alarm."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import json
import keras
import numpy as np
from preceptor.diagnosis.diagnose import diagnose
from preceptor.observation.watch import Watch

rng = np.random.default_rng(0)
CENTRES = rng.normal(size=(10, 20))
CLASSES = rng.integers(0, 10, 640)
X = (CENTRES[CLASSES] + 0.3 * rng.normal(size=(640, 20))).astype("float32")


def alarms(optimizer, activation="relu", output="softmax", scale=1.0, loss="sparse_categorical_crossentropy"):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(32, activation=activation) for _ in range(2)]
    outputs = keras.layers.Dense(1 if loss == "mse" else 10, activation=output)
    model = keras.Sequential([keras.layers.Input((20,)), *layers, outputs])
    model.compile(optimizer=optimizer, loss=loss)
    y = X[:, :1] * X[:, 1:2] if loss == "mse" else CLASSES
    with Watch() as watch:
        model.fit(scale * X, y, epochs=8, batch_size=32, validation_split=0.2, verbose=0)
    failed = []
    found = diagnose(watch.observed, complain=failed.append)
    return [finding.cause for finding in found if finding.severity != "info"] + failed


Adam, SGD = keras.optimizers.Adam, keras.optimizers.SGD
print(json.dumps({
    "sound": alarms(Adam(3e-3)),
    "sound, SGD": alarms(SGD(0.1, momentum=0.9), activation="tanh"),
    "sound, numbers": alarms(Adam(3e-3), output=None, loss="mse"),
    "much too high a rate": alarms(Adam(3.0)),
    "unscaled inputs": alarms(Adam(1e-3), scale=500.0),
    "no activations": alarms(Adam(3e-3), activation=None),
}))
"""


@pytest.fixture(scope="module", name="alarms")
def _alarms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
    home = str(tmp_path_factory.mktemp("keras"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=kept | {"KERAS_BACKEND": "torch", "KERAS_HOME": home, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="Keras is not installed"),
]


@pytest.mark.parametrize("name", ["sound", "sound, SGD", "sound, numbers"])
def test_sound_programs_are_silent(name: str, alarms: dict[str, Any]) -> None:
    assert alarms[name] == []


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("much too high a rate", "learning-rate-too-high"),
        ("unscaled inputs", "unscaled-inputs"),
        ("no activations", "missing-nonlinearity"),
    ],
)
def test_faults_are_named_first(name: str, cause: str, alarms: dict[str, Any]) -> None:
    assert alarms[name][:1] == [cause]
