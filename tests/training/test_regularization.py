"""Regularizers and augmentations in a training: their effect, their modes, their record, their resumption."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import preceptor
from preceptor import catalogue
from preceptor.catalogue.regularizers import Regularizer
from preceptor.errors import ConfigError, ModelError, UnknownName
from preceptor.training import Experiment, State

X = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] * X[:, 1] > 0).long() + 2 * (X[:, 2] > 0).long()
IMAGES = torch.randn(60, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def train(regularizers: Any = None, augmentations: Any = None, **changes: Any) -> preceptor.Run:
    given = {
        "model": "mlp", "data": (IMAGES if augmentations else X, Y), "optimizer": "sgd", "lr": 0.1,
        "epochs": 3, "batch_size": 9, "out": False, "seed": 5, **changes,
    }  # fmt: skip
    return preceptor.train(regularizers=regularizers, augmentations=augmentations, **given)


def weights(run: preceptor.Run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


class StopAt(preceptor.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_batch_end(self, state: State) -> None:
        if state.step == self.step:
            state.stop = "interrupted"


class TestNames:
    @pytest.mark.slow
    def test_written_in_three_ways(self):
        runs = [
            train(["l1=1e-2", "max-norm=0.5"]),
            train([{"name": "l1", "strength": 1e-2}, {"name": "maxnorm", "limit": 0.5}]),
            train(settings={"regularizers": ["l1=1e-2", "max-norm=0.5"]}),
        ]
        for run in runs[1:]:
            assert torch.equal(weights(run), weights(runs[0]))
            assert run.experiment == runs[0].experiment
        assert [block.name for block in runs[0].experiment.regularizers] == ["l1", "max-norm"]
        assert runs[0].experiment.regularizers[0].options == {
            "strength": 0.01,
            "method": "subgradient",
            "bias": False,
        }
        assert all(
            row.norm() <= 0.5 + 1e-6 for m in runs[0].model if hasattr(m, "weight") for row in m.weight
        )
        assert not torch.equal(weights(runs[0]), weights(train()))

    def test_survive_the_file(self):
        experiment = train(["elastic-net=1e-3, ratio=0.25", "dropout"], epochs=1).experiment
        assert Experiment.from_toml(experiment.to_toml()).to_toml() == experiment.to_toml()

    def test_none_costs_nothing(self):
        run = train()
        assert run.experiment.regularizers == ()
        assert run.predictor.regularization is None
        assert run.predictor.augment is None
        for nothing in ([], "none"):
            assert torch.equal(weights(train(nothing)), weights(run))

    @pytest.mark.parametrize(
        ("regularizers", "kind", "message"),
        [
            (["droput"], UnknownName, "did you mean 'dropout'"),
            (["dropout=1.5"], ConfigError, "dropout: p is not usable"),
            (["dropout, q=0.1"], ConfigError, "no option 'q'"),
            (["parameter-sharing"], ConfigError, "parameter-sharing needs groups"),
            (["model-averaging"], UnknownName, "unknown regularizer"),
            (["stochastic-depth"], ModelError, "no residual blocks"),
            (["ema", "swa"], ConfigError, "only one average"),
            ([3], ConfigError, "regularizers are not usable"),
            (["l2, strength"], ConfigError, "an option has no value"),
        ],
    )
    def test_what_cannot_be_is_refused(self, regularizers: list[Any], kind: type[Exception], message: str):
        with pytest.raises(kind, match=message):
            train(regularizers)


class TestEffects:
    def test_l2_is_the_optimizer_s_weight_decay_on_weights(self):
        run = train(["l2=0.1, bias=true"])
        assert torch.allclose(weights(run), weights(train(weight_decay=0.1)), atol=1e-6)
        decayed = train(["weight-decay=0.1, bias=true"])
        assert torch.allclose(weights(decayed), weights(run), atol=1e-6)

    def test_penalties_do_not_enter_what_is_measured(self):
        run = train(["l2=10"], lr=1e-9, epochs=1)
        plain = train(lr=1e-9, epochs=1)
        assert run.history[-1, "val_loss"] == pytest.approx(plain.history[-1, "val_loss"])
        assert run.history[-1, "train_loss_running"] > plain.history[-1, "train_loss_running"] + 1

    def test_accumulated_batches_are_penalised_once(self):
        whole = train(["l2=0.5", "l1=0.1"], batch_size=18)
        parts = train(["l2=0.5", "l1=0.1"], batch_size=9, grad_accumulation=2)
        assert torch.allclose(weights(whole), weights(parts), atol=1e-5)

    def test_dropout_is_that_of_a_model_that_has_it(self):
        placed = train(["dropout=0.3"])
        built = train(settings={"model.dropout": 0.3})
        assert torch.equal(weights(placed), weights(built))
        assert placed.history.without("seconds") == built.history.without("seconds")

    def test_label_smoothing_trains_as_the_loss_s_own_and_measures_without(self):
        own = train(settings={"loss": "cross-entropy", "loss.label_smoothing": 0.2}, patience=None)
        placed = train(["label-smoothing=0.2"], patience=None)
        for run in (own, placed):
            run.model.load_state_dict(run.state.last_weights)
        assert torch.allclose(weights(own), weights(placed), atol=1e-6)
        assert placed.history[0, "val_loss"] != own.history[0, "val_loss"]

    def test_smoothing_needs_classes(self):
        with pytest.raises(ConfigError, match="label-smoothing does not suit the loss"):
            train(["label-smoothing"], data=(X, X[:, :1]))

    def test_clipping_is_counted(self):
        run = train(["gradient-clipping=1e-3"])
        assert run.experiment.training.max_grad_norm == 1e-3
        assert all(row["clipped"] == 1.0 for row in run.history)
        assert torch.equal(weights(run), weights(train(max_grad_norm=1e-3)))
        assert "clipped" not in train().history.rows[0]

    def test_early_stopping_returns_to_the_best_epoch_to_the_bit(self):
        class Keep(preceptor.Callback):
            def __init__(self) -> None:
                self.all: list[torch.Tensor] = []

            def on_epoch_end(self, state: State) -> None:
                parameters = state.problem.model.parameters()
                self.all.append(torch.cat([p.detach().flatten() for p in parameters]))

        keep = Keep()
        run = train(["early-stopping=2"], lr=1.0, epochs=60, callbacks=[keep])
        assert run.status == "early stopping"
        losses = [row["val_loss"] for row in run.history]
        assert run.best_epoch == losses.index(min(losses)) + 1 == len(losses) - 2
        assert torch.equal(weights(run), keep.all[run.best_epoch - 1])

    def test_a_setting_that_is_given_twice_is_refused(self):
        with pytest.raises(ConfigError, match=r"training\.patience is given twice"):
            train(["early-stopping=2"], patience=3)
        assert train(["early-stopping=2"], patience=2, epochs=1).experiment.training.patience == 2

    def test_small_batches(self):
        assert train(["sgd-noise=4"], batch_size=None, epochs=1).experiment.training.batch_size == 4

    def test_shared_parameters_stay_equal(self):
        run = train(
            [{"name": "parameter-sharing", "groups": [["0.weight", "2.weight"]]}],
            settings={"model.hidden": [6, 6], "model.activation": "tanh"},
        )
        assert run.model[0].weight is run.model[2].weight

    def test_weight_noise_and_target_noise_disturb_training_alone(self):
        for name in (
            "weight-noise=0.1",
            "target-noise=0.5",
            "annealed-gradient-noise=0.1",
            "dropconnect=0.3",
        ):
            run = train([name], lr=1e-9, epochs=1)
            assert run.history[-1, "val_loss"] == pytest.approx(
                train(lr=1e-9, epochs=1).history[-1, "val_loss"], abs=1e-3 if "gradient" in name else 1e-6
            )
            assert torch.allclose(weights(run), weights(train(lr=1e-9, epochs=1)), atol=1e-6)


class TestAverages:
    def test_what_is_measured_is_the_average(self):
        seen: list[torch.Tensor] = []

        class Keep(preceptor.Callback):
            def on_batch_end(self, state: State) -> None:
                parameters = state.problem.model.parameters()
                seen.append(torch.cat([p.detach().flatten() for p in parameters]))

        run = train(["polyak"], callbacks=[Keep()], patience=None, settings={"training.restore_best": False})
        torch.testing.assert_close(weights(run), torch.stack(seen).mean(0), atol=1e-5, rtol=1e-4)
        assert run.evaluate("val").loss == pytest.approx(run.history[-1, "val_loss"])

    def test_statistics_of_the_average_are_recomputed(self):
        run = train(["ema=0.5"], settings={"model.normalization": "batch-norm"})
        self._normalised(run)

    def test_population_statistics_are_those_of_all_training_examples(self):
        run = train(settings={"model.normalization": "batch-norm", "training.batch_norm": "population"})
        self._normalised(run)
        moving = train(settings={"model.normalization": "batch-norm"})
        assert not torch.allclose(moving.model[1].running_mean, run.model[1].running_mean)

    def _normalised(self, run: preceptor.Run) -> None:
        x = run.prepared.train.x
        with torch.no_grad():
            inner = run.model[0](x)
        torch.testing.assert_close(run.model[1].running_mean, inner.mean(0), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(run.model[1].running_var, inner.var(0), atol=1e-5, rtol=1e-4)


class TestAugmentations:
    def test_training_varies_and_evaluation_does_not(self):
        run = train(augmentations=["translation=1", "additive-noise=0.2"])
        assert run.evaluate("val").loss == run.evaluate("val").loss
        assert run.evaluate("val").loss == pytest.approx(run.history[run.best_epoch - 1, "val_loss"])
        assert not torch.equal(weights(run), weights(train(data=(IMAGES, Y))))

    def test_the_model_is_built_for_what_it_sees(self, tmp_path: Path):
        run = train(augmentations=["fixed-crops=6"], out=tmp_path / "run")
        assert run.model[1].in_features == 36
        again = preceptor.load(tmp_path / "run")
        assert torch.equal(torch.tensor(again.predict_proba(IMAGES)), torch.tensor(run.predict_proba(IMAGES)))
        assert (
            again.evaluate((IMAGES.numpy(), Y.numpy())).loss == run.evaluate((IMAGES.numpy(), Y.numpy())).loss
        )

    def test_functions_and_modules_of_one_s_own(self):
        calls = []

        def twice(x: torch.Tensor) -> torch.Tensor:
            calls.append(len(x))
            return 2 * x

        run = train(augmentations=[twice, catalogue.get("rotation", degrees=5.0)], epochs=1)
        assert sum(calls) == run.feeds.examples
        assert run.experiment.augmentations[0].name.endswith("twice")

    def test_chance_in_evaluation_is_refused(self):
        class Noisy(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x + torch.randn_like(x)

        with pytest.raises(ConfigError, match="varies in evaluation"):
            train(augmentations=[Noisy()])

    def test_mirrored_digits_are_warned_of(self):
        with pytest.warns(UserWarning, match="mirrors digits or letters"):
            train(augmentations=["horizontal-flip"], epochs=1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            train(augmentations=["rotation"], epochs=1)

    def test_generated_examples_are_learned_from_and_not_measured(self):
        def generate(count: int) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.randn(count, 1, 8, 8), torch.zeros(count, dtype=torch.long)

        more = catalogue.get("generated-examples", generate, share=0.5)
        run = train(augmentations=[more], epochs=1)
        assert more.generated_share == 0.5
        assert more.real == run.feeds.examples

    def test_random_ones_do_not_go_with_a_line_search(self):
        for options in ({"regularizers": ["dropout"]}, {"augmentations": ["rotation"]}):
            with pytest.raises(ConfigError, match=r"several times a step|same each time"):
                train(**options, optimizer="l-bfgs", lr=None, batch_size="full")
        assert train(["l2=1e-3"], optimizer="l-bfgs", lr=None, batch_size="full").best_epoch


class Own(Regularizer):
    """Of a user's own."""

    def after_step(self, lr: float) -> None:
        for w in self.weights:
            w.data.clamp_(-0.05, 0.05)


@pytest.mark.parametrize(
    "given",
    [
        {"regularizers": ["dropout=0.3", "weight-noise=0.01", "target-noise", "max-norm=1"]},
        {"regularizers": ["ema=0.9", "annealed-gradient-noise", "hidden-noise", "gradient-clipping=0.5"]},
        {"regularizers": ["polyak-averaging=3", "dropconnect=0.2", "l1=1e-3, method=proximal"]},
        {"regularizers": ["snapshot-ensemble=2", Own(), "input-noise"]},
        {
            "augmentations": ["rotation", "random-crop=6", "pca-colour"],
            "regularizers": ["classic-dropout=0.2"],
        },
    ],
    ids=lambda given: str(given)[:40],
)
@pytest.mark.parametrize("stop", [3, 8])
def test_a_resumed_training_is_the_one_that_was_not_stopped(tmp_path: Path, given: dict[str, Any], stop: int):
    whole = train(out=tmp_path / "whole", **given)
    train(out=tmp_path / "parts", callbacks=[StopAt(stop)], **given)
    own = {k: v for k, v in given.items() if not all(isinstance(block, str) for block in v)}
    data = (IMAGES if "augmentations" in given else X, Y)
    resumed = preceptor.train(data=data, resume=tmp_path / "parts", **own)
    assert resumed.history.without("seconds") == whole.history.without("seconds")
    assert torch.equal(weights(resumed), weights(whole))
    for name in ("best", "last"):
        for key, value in whole.folder.weights(name).items():
            assert torch.equal(value, resumed.folder.weights(name)[key]), (name, key)


def test_runs_that_were_augmented_differently_are_said_not_to_compare(tmp_path: Path):
    from preceptor.report.compare import compare
    from preceptor.training import RunFolder

    for name, augmentations in (("a", ["rotation"]), ("b", ["rotation"]), ("c", ["rotation=5"])):
        train(augmentations=augmentations, epochs=1, out=tmp_path / name)
    folders = [RunFolder(tmp_path / name) for name in "abc"]
    assert not compare(folders[:2]).settings
    found = compare(folders)
    assert list(found.settings) == ["augmentations"]
    assert any("augmented differently" in note for note in found.notes)
    assert {"train_loss", "val_loss"} <= set(found.metrics)  # with and without, on both
    losses = [found.metrics[key][run] for run in (0, 2) for key in ("train_loss", "val_loss")]
    effect = catalogue.get("regularization-effect", *losses)
    assert effect.regularizes == (losses[3] < losses[1])
    assert effect.gap == pytest.approx((losses[3] - losses[2]) - (losses[1] - losses[0]))


def test_a_plain_script_has_no_regularizers():
    from preceptor.training.eject import eject

    run = preceptor.train("mlp", "iris", regularizers=["max-norm"], epochs=1, out=False)
    with pytest.raises(ConfigError, match="max-norm"):
        eject(run.experiment, run.predictor, run.feeds, run.prepared)
    run = preceptor.train("mlp", "iris", regularizers=["early-stopping=3"], epochs=1, out=False)
    assert "torch" in eject(run.experiment, run.predictor, run.feeds, run.prepared)
