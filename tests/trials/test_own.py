"""Remedies for our own trainings: what is tried for a cause, and what settings it comes to."""

from __future__ import annotations

import pytest

from preceptor.diagnosis.causes import CAUSES
from preceptor.errors import ConfigError, PreceptorError, UnknownName
from preceptor.training import Experiment
from preceptor.trials.change import Change
from preceptor.trials.own import applied, candidates, change_to, is_setting, settings_of

RUN = Experiment.of(
    {
        "model": "mlp",
        "model.hidden": [16, 8],
        "model.activation": "sigmoid",
        "model.init": "zeros",
        "model.dropout": 0.9,
        "optimizer": "sgd",
        "optimizer.lr": 0.5,
        "optimizer.weight_decay": 1.0,
        "schedule": "exponential",
        "data.scale": "none",
        "loss": "mse",
        "training.max_grad_norm": 1e-4,
        "training.batch_size": 1,
        "training.precision": "fp16",
        "training.patience": None,
    }
)


@pytest.mark.parametrize("cause", CAUSES)
def test_every_candidate_can_be_made_and_says_what_it_changes(cause: str) -> None:
    for change in candidates(cause, RUN):
        settings = settings_of(change, RUN)
        made = applied(change, RUN)
        assert made != RUN, change
        before, after = RUN.flat(), made.flat()
        differing = {key.partition(".")[0] for key in {*before, *after} if before.get(key) != after.get(key)}
        assert differing == {key.partition(".")[0] for key in settings}, change
        assert Change.from_plain(change.to_plain()) == change


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        ("learning-rate-too-high", "lr 0.5 → 0.05"),
        ("learning-rate-too-low", "lr 0.5 → 5"),
        ("too-few-epochs", "length of training 100 → 300"),
        ("unsuitable-optimizer", "optimizer sgd → adam"),
        ("unsuitable-batch-size", "batch_size 1 → 32"),
        ("weight-decay-too-strong", "weight_decay 1 → 0.01"),
        ("missing-gradient-clipping", "max_grad_norm 0.0001 → 1"),
        ("clipping-too-tight", "max_grad_norm 0.0001 → 0.01"),
        ("scheduler-misuse", "schedule exponential → constant"),
        ("overfitting", "patience none → 10"),
        ("dropout-too-strong", "dropout 0.9 → 0.2"),
        ("capacity-too-low", "hidden units 16-8 → 64-32"),
        ("unscaled-inputs", "scaling of inputs none → standard"),
        ("unsuitable-hidden-activation", "activation sigmoid → relu"),
        ("bad-initialization", "initialisation zeros → he-normal"),
        ("loss-mismatch", "loss mse → auto"),
        ("loss-scale-collapse", "precision fp16 → bf16"),
    ],
)
def test_the_least_intrusive_change_comes_first(cause: str, expected: str) -> None:
    assert str(candidates(cause, RUN)[0]) == expected


def test_what_cannot_be_set_is_no_candidate() -> None:
    linear = Experiment.of({"model": "linear", "optimizer": "l-bfgs"})
    assert candidates("capacity-too-low", linear) == []
    assert "weight_decay" not in {change.kind for change in candidates("overfitting", linear)}
    own = Experiment.of({"model": "nets.py:Net", "model.dropout": 0.9, "optimizer": "torch.optim:SGD"})
    assert [change.kind for change in candidates("dropout-too-strong", own)] == ["dropout", "dropout"]
    assert [change.kind for change in candidates("learning-rate-too-high", own)] == ["max_grad_norm"]
    assert candidates("unscaled-inputs", RUN, fixed={"data.scale"}) == []
    assert candidates("bad-initialization", RUN, fixed={"model"}) == []
    assert candidates("unsuitable-optimizer", RUN, fixed={"optimizer.name"}) == []
    assert candidates("learning-rate-too-high", RUN, fixed={"optimizer.name"}) != []


def test_what_is_so_already_is_no_candidate() -> None:
    sound = Experiment.of({"model": "mlp", "data.scale": "standard", "optimizer.lr": 0.01})
    for cause in ("unscaled-inputs", "scheduler-misuse", "weight-decay-too-strong", "dropout-too-strong"):
        assert candidates(cause, sound) == [], cause
    rates = [change.after for change in candidates("learning-rate-too-high", sound) if change.kind == "lr"]
    assert rates == [0.001, 0.0001]


def test_a_change_by_name() -> None:
    assert change_to("hidden", (64,), RUN) == Change("hidden", (16, 8), (64,))
    assert settings_of(change_to("hidden", (64,), RUN), RUN) == {"model.hidden": [64]}
    with pytest.raises(UnknownName, match="did you mean 'lr'"):
        change_to("lrr", 0.1, RUN)
    with pytest.raises(ConfigError, match=r"no setting of a training[\s\S]*expected  one of lr, "):
        change_to("zero_grad", None, RUN)
    with pytest.raises(ConfigError, match=r"no setting optimizer.alpha|no setting optimizer.momentum"):
        change_to("momentum", 0.9, Experiment.of({"optimizer": "adam"}))
    with pytest.raises(PreceptorError, match="batch_size"):
        applied(change_to("batch_size", 0, RUN), RUN)


def test_removals_and_insertions_that_settings_know() -> None:
    assert applied(Change("clipping", 1e-4), RUN).training.max_grad_norm is None
    assert applied(Change("standardize_targets"), RUN).data.scale == "standard"
    assert is_setting(Change("clipping", 1.0))
    assert not is_setting(Change("detach"))
