"""Half precision, GPUs apart: it learns, keeps its weights in float32, and refuses what cannot be."""

from __future__ import annotations

import pytest
import torch

import preceptor
from preceptor.errors import ConfigError
from preceptor.training import State

from .conftest import Points, net


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns(points: Points, precision: str) -> None:
    seen: set[torch.dtype] = set()

    class Sees(preceptor.Callback):
        def on_train_begin(self, state: State) -> None:
            state.problem.model[0].register_forward_hook(lambda module, x, out: seen.add(out.dtype))  # type: ignore[index]

    given = {"model": net, "data": (points.x, points.y), "epochs": 30, "lr": 0.02, "out": False}
    run = preceptor.train(**given, precision=precision, callbacks=[Sees()])
    assert seen == {{"bf16": torch.bfloat16, "fp16": torch.float16}[precision]}
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}
    assert run.history[-1, "val_accuracy"] > 0.8
    full = preceptor.train(**given)
    assert run.history[0, "train_loss"] == pytest.approx(full.history[0, "train_loss"], rel=0.02)
    assert run.history[0, "train_loss"] != full.history[0, "train_loss"]
    assert run.predict_proba(points.x).dtype == "float32"


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_with_accumulation_and_clipping(points: Points, precision: str) -> None:
    norms: list[float] = []

    class Norms(preceptor.Callback):
        def on_batch_end(self, state: State) -> None:
            gradients = [p.grad.flatten() for p in state.problem.model.parameters() if p.grad is not None]
            norms.append(torch.cat(gradients).norm().item())

    preceptor.train(
        net, (points.x, points.y), precision=precision, grad_accumulation=2, max_grad_norm=0.01,
        batch_size=20, epochs=2, callbacks=[Norms()], out=False,
    )  # fmt: skip
    assert norms == pytest.approx([0.01] * len(norms), rel=1e-3)


def test_bf16_suits_l_bfgs_and_fp16_does_not(points: Points) -> None:
    given = {"model": net, "data": (points.x, points.y), "optimizer": "l-bfgs", "epochs": 2, "out": False}
    assert preceptor.train(**given, precision="bf16").history[-1, "val_accuracy"] > 0.6
    with pytest.raises(ConfigError, match="fp16 scales the loss"):
        preceptor.train(**given, precision="fp16")
