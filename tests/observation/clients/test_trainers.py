"""Other people's trainers: Lightning, skorch, Ignite, and our own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from ._twice import evaluations, losses_of, twice, typical

X = torch.randn(48, 4, generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 3, (48,), generator=torch.Generator().manual_seed(2))


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def _lightning() -> Any:
    return pytest.importorskip("lightning")


def _module(kind: str) -> Any:
    lightning = _lightning()

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.losses, self.valid = net(), [], []
            self.automatic_optimization = kind != "manual"

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            x, y = batch
            loss = functional.cross_entropy(self.net(x), y)
            self.losses.append(loss.item())
            self.log("loss", loss)
            if kind == "manual":
                optimizer = self.optimizers()
                optimizer.zero_grad()
                self.manual_backward(loss)
                self.clip_gradients(optimizer, gradient_clip_val=0.5, gradient_clip_algorithm="norm")
                optimizer.step()
            return loss

        def validation_step(self, batch: list[Tensor], index: int) -> None:
            x, y = batch
            self.valid.append(functional.cross_entropy(self.net(x), y).item())

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]

    return Module()


def lightning(kind: str, **settings: Any) -> dict[str, Any]:
    module = _module(kind)
    trainer = _lightning().Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **settings,
    )
    train, valid = DataLoader(TensorDataset(X, Y), 8, shuffle=True), DataLoader(TensorDataset(X, Y), 24)
    trainer.fit(module, train, valid)
    return {"losses": module.losses, "valid": module.valid, "model": module}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("automatic", {}),
        ("automatic", {"gradient_clip_val": 0.5}),
        ("automatic", {"accumulate_grad_batches": 2}),
        ("automatic", {"precision": "bf16-mixed"}),
        ("manual", {}),
    ],
    ids=["automatic", "clipped", "accumulated", "bfloat16", "manual"],
)
def test_lightning(kind: str, settings: dict[str, Any]) -> None:
    _lightning()
    watch, made = twice(lambda: lightning(kind, **settings))
    losses = np.array(made["losses"]).reshape(-1, settings.get("accumulate_grad_batches", 1))
    assert losses_of(watch) == pytest.approx(list(losses.mean(axis=1)), rel=1e-6)
    assert watch.steps.train == len(losses)
    assert watch.record.subjects("grad_norm") == [
        "net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias",
    ]  # fmt: skip
    (phase,) = evaluations(watch)
    valid = np.array(made["valid"]).reshape(2, 2).mean(axis=1)
    assert losses_of(watch, phase) == pytest.approx(list(valid), rel=1e-6)
    assert (watch.steps.epochs, watch.steps.evaluations) == (2, 2)
    assert watch.graph(0).losses
    assert typical(watch)[-1] == "step"
    kinds = [event for event in typical(watch) if event in ("batch", "forward", "loss", "backward", "clip")]
    expected = ["batch", "forward", "loss", "backward"] * losses.shape[1]
    assert kinds == expected + ["clip"] * (kind == "manual" or "gradient_clip_val" in settings)


def skorch() -> dict[str, Any]:
    classifier = pytest.importorskip("skorch").NeuralNetClassifier(
        net(),
        criterion=nn.CrossEntropyLoss,
        max_epochs=3,
        lr=0.1,
        batch_size=8,
        optimizer=torch.optim.SGD,
        iterator_train__shuffle=True,
        verbose=0,
    )
    classifier.fit(X.numpy(), Y.numpy())
    history = classifier.history
    return {
        "losses": [loss for epoch in history[:, "batches", :, "train_loss"] for loss in epoch],
        "valid": list(history[:, "valid_loss"]),
        "model": classifier.module_,
        "predicted": classifier.predict(X.numpy()),
    }


def test_skorch() -> None:
    pytest.importorskip("skorch")
    watch, made = twice(skorch)
    assert losses_of(watch) == made["losses"]
    (phase,) = evaluations(watch)
    assert losses_of(watch, phase) == pytest.approx(made["valid"], rel=1e-6)
    assert watch.record.subjects("grad_norm") == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert watch.steps.epochs == 3
    assert watch.graph(0).losses
    kinds = [kind for kind in typical(watch) if kind in ("forward", "loss", "backward", "step")]
    assert kinds == ["forward", "loss", "backward", "step"]


def ignite() -> dict[str, Any]:
    engine = pytest.importorskip("ignite.engine")
    metrics = pytest.importorskip("ignite.metrics")
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss()
    train, valid = DataLoader(TensorDataset(X, Y), 8, shuffle=True), DataLoader(TensorDataset(X, Y), 24)
    trainer = engine.create_supervised_trainer(model, optimizer, criterion)
    evaluator = engine.create_supervised_evaluator(model, {"loss": metrics.Loss(criterion)})
    losses, means = [], []

    @trainer.on(engine.Events.ITERATION_COMPLETED)
    def note(engine: Any) -> None:
        losses.append(engine.state.output)

    @trainer.on(engine.Events.EPOCH_COMPLETED)
    def judge(engine: Any) -> None:
        means.append(evaluator.run(valid).metrics["loss"])

    trainer.run(train, max_epochs=2)
    return {"losses": losses, "valid": means, "model": model}


def test_ignite() -> None:
    pytest.importorskip("ignite")
    watch, made = twice(ignite)
    assert losses_of(watch) == made["losses"]
    (phase,) = evaluations(watch)
    assert losses_of(watch, phase) == pytest.approx(made["valid"], rel=1e-6)
    assert watch.record.subjects("grad_norm") == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert watch.steps.epochs == 2
    assert watch.graph(0).losses
    kinds = [kind for kind in typical(watch) if kind in ("forward", "loss", "backward", "step")]
    assert kinds == ["forward", "loss", "backward", "step"]


def ours() -> dict[str, Any]:
    import preceptor

    run = preceptor.train(data="digits", model="mlp", epochs=2, seed=3)
    history = {
        key: value for key, value in run.history[-1].items() if "second" not in key and "time" not in key
    }
    return {"model": run.model, "history": history}


def test_our_own_trainer() -> None:
    import sklearn.preprocessing  # brings rich, which draws from Python's generator when it is imported

    assert sklearn
    watch, made = twice(ours)
    assert watch.steps.train == len(losses_of(watch)) > 2
    assert watch.steps.epochs >= 0
    assert evaluations(watch)
    assert len(watch.record.subjects("grad_norm")) == len(
        [key for key in made["model"] if key.endswith(("weight", "bias"))]
    )
    assert watch.graph(0).losses
