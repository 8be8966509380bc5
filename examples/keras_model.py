"""A Keras model on its torch backend within a watch; its optimizer shows as backward passes."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
from sklearn.datasets import load_digits

import preceptor

keras.utils.set_random_seed(0)
inputs, labels = load_digits(return_X_y=True)
model = keras.Sequential(
    [keras.Input((64,)), keras.layers.Dense(32, activation="relu"), keras.layers.Dense(10)]
)
model.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
with preceptor.watch() as watch:
    model.fit(inputs / 16, labels, batch_size=64, epochs=2, verbose=0)

print(f"{watch.steps.train} steps")
alarms = [finding.cause for finding in watch.findings() if finding.severity != "info"]
print(alarms or "nothing wrong was found")
