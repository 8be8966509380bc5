"""The same training under frameworks, each set up as leanly as someone who knows it would."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from _measure import Clock
from _workloads import LR, Outcome, Workload, loaders

__all__ = ["ignite_loop", "keras_loop", "lightning_loop", "preceptor_loop", "skorch_loop"]

os.environ.setdefault("KERAS_BACKEND", "torch")  # read once, when Keras is imported


def preceptor_loop(
    work: Workload,
    epochs: int,
    clock: Clock,
    *,
    lean: bool = True,
    settings: Mapping[str, Any] | None = None,
    tell: Callable[[Any], object] = lambda run: None,
) -> Outcome:
    """Preceptor; lean: only what the others do, no measuring on training examples, no run folder."""
    import preceptor

    class Tick(preceptor.Callback):
        def on_epoch_end(self, state: Any) -> None:
            clock.tick()

    x, y, val_x, val_y = work.data()
    with tempfile.TemporaryDirectory() as folder:
        run = preceptor.train(
            work.model(),
            (x, y),
            val=(val_x, val_y),
            test=0,
            loss="cross-entropy",
            metrics=["accuracy"],
            optimizer="adam",
            lr=LR,
            batch_size=work.batch,
            epochs=epochs,
            out=False if lean else Path(folder) / "run",
            settings={
                "training.patience": epochs,
                "training.train_examples": 0 if lean else "auto",
                **(settings or {}),
            },
            callbacks=[Tick()],
        )
    tell(run)
    return Outcome(run.state.step, run.history[-1, "val_loss"], run.history[-1, "val_accuracy"])


def lightning_loop(work: Workload, epochs: int, clock: Clock) -> Outcome:
    """Lightning without logger, checkpoint, bar, summary and sanity check."""
    from lightning import pytorch as pl

    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)

    class Net(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = work.model()

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            x, y = batch
            return functional.cross_entropy(self.net(x), y)

        def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
            x, y = batch
            output = self.net(x)
            self.log("val_loss", functional.cross_entropy(output, y))
            self.log("val_accuracy", (output.argmax(1) == y).float().mean())

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=LR)

    class Tick(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            clock.tick()  # Lightning validates before it ends the training epoch

    off = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, num_sanity_val_steps=0, callbacks=[Tick()], **off
    )
    trainer.fit(Net(), *loaders(work))
    measured = trainer.callback_metrics
    return Outcome(trainer.global_step, measured["val_loss"].item(), measured["val_accuracy"].item())


def skorch_loop(work: Workload, epochs: int, clock: Clock) -> Outcome:
    """skorch without printing and timing, validated on a fixed split."""
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Callback
    from skorch.dataset import Dataset
    from skorch.helper import predefined_split

    class Tick(Callback):
        def on_epoch_end(self, net: NeuralNetClassifier, **kwargs: Any) -> None:
            clock.tick()

    x, y, val_x, val_y = work.data()
    net = NeuralNetClassifier(
        work.model(),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=LR,
        batch_size=work.batch,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=predefined_split(Dataset(val_x, val_y.numpy())),
        callbacks=[("tick", Tick())],
        callbacks__print_log=None,
        callbacks__epoch_timer=None,
        classes=list(range(work.classes)),
    )
    net.fit(x, y.numpy())
    steps = sum(net.history[:, "train_batch_count"])
    return Outcome(steps, net.history[-1, "valid_loss"], float(net.history[-1, "valid_acc"]))


def ignite_loop(work: Workload, epochs: int, clock: Clock) -> Outcome:
    """Ignite's supervised trainer and evaluator."""
    from ignite.engine import Engine, Events, create_supervised_evaluator, create_supervised_trainer
    from ignite.metrics import Accuracy, Loss

    model, (train, val) = work.model(), loaders(work)
    trainer = create_supervised_trainer(
        model, torch.optim.Adam(model.parameters(), lr=LR), functional.cross_entropy
    )
    evaluator = create_supervised_evaluator(
        model, {"loss": Loss(functional.cross_entropy), "accuracy": Accuracy()}
    )

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate(engine: Engine) -> None:
        evaluator.run(val)
        clock.tick()

    state = trainer.run(train, max_epochs=epochs)
    return Outcome(state.iteration, evaluator.state.metrics["loss"], evaluator.state.metrics["accuracy"])


def _keras_residual(work: Workload) -> Any:
    """ResNet-20 in Keras: shortcuts that take every second pixel and fill further channels with zeros."""
    from keras import Input, Model, layers, ops

    first = {"data_format": "channels_first"}

    def convolution(x: Any, width: int, stride: int) -> Any:
        x = layers.ZeroPadding2D(1, **first)(x)
        return layers.BatchNormalization(axis=1)(layers.Conv2D(width, 3, stride, use_bias=False, **first)(x))

    start = Input(work.shape)
    x = layers.ReLU()(convolution(start, 16, 1))
    for width in (16, 32, 64):
        for _ in range(3):
            more = width - x.shape[1]
            inner = layers.ReLU()(convolution(x, width, 2 if more else 1))
            if more:
                sides = ((0, 0), (more // 2, more - more // 2), (0, 0), (0, 0))
                x = ops.pad(layers.AveragePooling2D(1, 2, **first)(x), sides)
            x = layers.ReLU()(layers.Add()([convolution(inner, width, 1), x]))
    pooled = layers.GlobalAveragePooling2D(**first)(x)
    return Model(start, layers.Dense(work.classes)(pooled))


def _keras_model(work: Workload) -> Any:
    """The same network in Keras, with the same weights: kernels are stored input first there."""
    from keras import Input, Sequential, layers

    if work.name == "resnet-20":
        return _keras_residual(work)
    first, weights, stack = "channels_first", [], [Input(work.shape)]
    for module in work.model():
        if isinstance(module, nn.Linear):
            stack.append(layers.Dense(module.out_features))
            weights += [module.weight.T, module.bias]
        elif isinstance(module, nn.Conv2d):
            padding = "same" if module.padding[0] else "valid"
            stack.append(
                layers.Conv2D(module.out_channels, module.kernel_size, padding=padding, data_format=first)
            )
            weights += [module.weight.permute(2, 3, 1, 0), module.bias]
        elif isinstance(module, nn.MaxPool2d):
            stack.append(layers.MaxPooling2D(2, data_format=first))
        else:
            stack.append({nn.ReLU: layers.ReLU, nn.Flatten: layers.Flatten}[type(module)]())
    model = Sequential(stack)
    model.set_weights([w.detach().numpy() for w in weights])
    return model


def keras_loop(work: Workload, epochs: int, clock: Clock) -> Outcome:
    """Keras on torch, not compiled."""
    import keras

    class Tick(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            clock.tick()  # Keras validates before it ends the epoch

    model, (x, y, val_x, val_y) = _keras_model(work), (t.numpy() for t in work.data())
    model.compile(
        optimizer=keras.optimizers.Adam(LR, epsilon=1e-8),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    options = {"batch_size": work.batch, "validation_batch_size": work.batch, "verbose": 0}
    history = model.fit(
        x, y, epochs=epochs, validation_data=(val_x, val_y), callbacks=[Tick()], **options
    ).history
    return Outcome(int(model.optimizer.iterations), history["val_loss"][-1], history["val_accuracy"][-1])
