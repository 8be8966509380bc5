"""Ensembles: trained, combined, measured, written and read back as runs are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from torch import nn

import preceptor
from preceptor.errors import CheckpointError, ConfigError, UnknownName
from preceptor.run import Ensemble, Members
from preceptor.training import State

from ..conftest import Points, net

QUICK: dict[str, Any] = {"epochs": 4, "lr": 0.02, "settings": {"model.hidden": [8], "training.watch": False}}


def ensemble(points: Points, members: Any = 3, **changes: Any) -> Ensemble:
    run = preceptor.train("mlp", (points.x, points.y), members=members, **{"out": False, **QUICK, **changes})
    assert isinstance(run, Ensemble)
    return run


class TestCombined:
    @pytest.mark.slow
    def test_probabilities_are_the_mean_of_the_members_own(self, points: Points) -> None:
        run = ensemble(points)
        each = [member.predict_proba(points.x) for member in run.members]
        np.testing.assert_allclose(run.predict_proba(points.x), np.mean(each, 0), atol=1e-6)
        assert len({weights(member).tobytes() for member in run.members}) == 3
        assert (run.predict(points.x) == np.mean(each, 0).argmax(1)).all()

    def test_a_single_member_is_itself(self, points: Points) -> None:
        alone = preceptor.train("mlp", (points.x, points.y), out=False, **QUICK)
        run = ensemble(points, 1)
        np.testing.assert_array_equal(weights(run.members[0]), weights(alone))
        np.testing.assert_allclose(run.predict_proba(points.x), alone.predict_proba(points.x), atol=1e-6)
        assert run.evaluate("val").loss == pytest.approx(alone.evaluate("val").loss, abs=1e-6)

    def test_numbers_are_averaged(self, points: Points) -> None:
        run = numbers(points, 2)
        mean = np.mean([member.predict(points.x) for member in run.members], 0)
        np.testing.assert_allclose(run.predict(points.x), mean, rtol=1e-5)

    def test_the_majority_decides(self, points: Points) -> None:
        run = ensemble(points, Members(3, combine="votes"), epochs=1, lr=1e-4)
        votes = np.stack([member.predict(points.x) for member in run.members])
        counted = np.stack([(votes == k).sum(0) for k in range(3)])
        clear = counted.max(0) > 1
        assert clear.mean() > 0.5
        assert (run.predict(points.x)[clear] == counted.argmax(0)[clear]).all()

    def test_two_classes_under_one_output(self, points: Points) -> None:
        run = preceptor.train("mlp", (points.x, points.y % 2), members=2, out=False, **QUICK)
        each = [member.predict_proba(points.x) for member in run.members]  # type: ignore[attr-defined]
        np.testing.assert_allclose(run.predict_proba(points.x), np.mean(each, 0), atol=1e-6)
        found = run.evaluate("val")
        said = torch.from_numpy(run.predict_proba(points.x[run.part("val").rows]))  # type: ignore[union-attr]
        target = run.part("val").y.long().reshape(-1)  # type: ignore[union-attr]
        assert found.loss == pytest.approx(nn.functional.nll_loss(said.log(), target).item(), abs=1e-5)

    def test_precise_members_weigh_more(self, points: Points) -> None:
        how = Members(2, combine="inverse-variance", vary={"training.epochs": [1, 30]})
        run = numbers(points, how, lr=0.02)
        said, target = run._said(run.feeds.val)  # type: ignore[union-attr, arg-type]
        variances = (said - target).reshape(2, -1).var(1)
        assert run.shares == pytest.approx((1 / variances / (1 / variances).sum()).tolist(), rel=1e-5)
        assert run.shares[1] > 0.6

    def test_weights_fitted_to_validation_are_the_best_there(self, points: Points) -> None:
        from scipy.optimize import minimize_scalar

        how = Members(2, combine="validation", vary={"training.epochs": [1, 12]})
        run = numbers(points, how, lr=0.02)
        said, target = (t.double() for t in run._said(run.feeds.val))  # type: ignore[union-attr, arg-type]
        best = minimize_scalar(
            lambda v: float((v * said[0] + (1 - v) * said[1] - target).square().mean()),
            bounds=(0, 1),
            method="bounded",
            options={"xatol": 1e-8},
        )
        assert run.shares[0] == pytest.approx(best.x, abs=1e-3)


class TestDiversity:
    def test_each_source_can_be_chosen(self, points: Points) -> None:
        how = Members(
            2,
            vary={
                "seed": [5],
                "optimizer": ["adam", "sgd"],
                "model.hidden": [[8], [4, 4]],
                "loss.label_smoothing": [0.0, 0.1],
                "lr": [0.02, 0.1],
            },
        )
        run = ensemble(points, how)
        first, second = (member.experiment for member in run.members)
        assert (first.seed, second.seed) == (5, 5)
        assert (first.optimizer.name, second.optimizer.name) == ("adam", "sgd")
        assert second.loss.options["label_smoothing"] == 0.1
        assert second.optimizer.options["lr"] == 0.1
        assert list(second.model.options["hidden"]) == [4, 4]
        assert len(run.evaluate("val").members) == 2
        by_loss = numbers(points, Members(2, vary={"loss": ["mse", "mae"]}))
        assert [member.task.loss for member in by_loss.members] == ["mse", "mae"]

    def test_bags_differ_and_hold_63_percent(self, points: Points) -> None:
        run = ensemble(points, Members(2, bag=True, vary={"seed": [0]}), epochs=1)
        bags = [member.prepared.train.rows for member in run.members]  # type: ignore[union-attr]
        whole = set(run.prepared.split.train.tolist())  # type: ignore[union-attr]
        for bag in bags:
            assert len(bag) == len(whole)
            assert set(bag.tolist()) < whole
            assert 0.5 < len(set(bag.tolist())) / len(whole) < 0.75
        assert (bags[0] != bags[1]).any()  # one seed for the weights, and a bag for each
        assert [member.experiment.seed for member in run.members] == [0, 0]

    def test_a_part_of_a_bag(self, points: Points) -> None:
        run = ensemble(points, Members(1, vary={"data.bag": [3], "data.bag_share": [0.5]}), epochs=1)
        train = run.members[0].prepared.train  # type: ignore[union-attr]
        assert len(train.y) == round(0.5 * len(run.prepared.split.train))  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("members", "error", "said"),
        [
            (0, ConfigError, "number of members"),
            ({"vary": {"data.val": [0.1, 0.2]}}, ConfigError, "share data.val"),
            ({"vary": {"lr": 0.1}}, ConfigError, "no values to vary over"),
            ({"combine": "vote"}, ConfigError, "did you mean 'votes'"),
            ({"snapshots": True, "bag": True}, ConfigError, "snapshots beside bag"),
            ({"vary": {"optimizer": ["adam", "adm"]}}, UnknownName, "adam"),
            ({"vary": {"training.epoch": [1]}}, ConfigError, "training.epochs"),
        ],
    )
    def test_what_does_not_fit_is_refused_first(
        self, points: Points, members: Any, error: type[Exception], said: str, tmp_path: Path
    ) -> None:
        with pytest.raises(error, match=said):
            ensemble(points, Members(**members) if isinstance(members, dict) else members, out=tmp_path / "e")
        assert not (tmp_path / "e").exists()

    def test_objects_that_are_made_already_are_refused(self, points: Points) -> None:
        with pytest.raises(ConfigError, match="each time with a new model"):
            preceptor.train(net(), (points.x, points.y), members=2, out=False)
        run = preceptor.train(net, (points.x, points.y), members=2, out=False, epochs=1)
        assert not np.array_equal(*[weights(member) for member in run.members])  # type: ignore[attr-defined]


class TestMeasured:
    def test_gain_and_errors(self, points: Points) -> None:
        run = ensemble(points, 3, epochs=2, lr=3e-3)
        found = run.evaluate("val")
        each = [member.evaluate("val") for member in run.members]
        assert [m["accuracy"] for m in found.members] == [e.metrics["accuracy"] for e in each]
        assert found.gain is not None
        assert found.loss_gain is not None
        mean = np.mean([e.metrics["accuracy"] for e in each])
        assert found.gain.value == pytest.approx(found.metrics["accuracy"] - mean)
        assert found.loss_gain.value == pytest.approx(np.mean([e.loss for e in each]) - found.loss, abs=1e-6)
        low, high = found.loss_gain.interval  # type: ignore[misc]
        assert low <= found.loss_gain.value <= high
        assert found.loss_gain.value > 0  # the loss is convex in the mean
        target = np.eye(3)[run.part("val").y.numpy()]  # type: ignore[union-attr]
        errors = [(m.predict_proba(points.x[run.part("val").rows]) - target).ravel() for m in run.members]  # type: ignore[union-attr]
        np.testing.assert_allclose(np.asarray(found.correlation), np.corrcoef(errors), atol=1e-5)
        assert "errors correlate" in str(found)

    def test_the_test_set_s_ledger_counts_a_look(self, points: Points) -> None:
        run = ensemble(points, 2)
        assert run.test().looks == 1
        assert run.test(again="once more").looks == 2


class TestFolder:
    def test_it_is_read_back_and_members_are_runs(self, points: Points, tmp_path: Path) -> None:
        run = preceptor.train("mlp", "iris", members=Members(2, bag=True), out=tmp_path / "e", **QUICK)
        again = preceptor.load(tmp_path / "e")
        assert isinstance(again, Ensemble)
        x = load_iris().data
        np.testing.assert_allclose(again.predict_proba(x), run.predict_proba(x), atol=1e-6)
        assert again.evaluate("val").loss == pytest.approx(run.evaluate("val").loss)
        member = preceptor.load(tmp_path / "e" / "member-2")
        np.testing.assert_allclose(member.predict_proba(x), run.members[1].predict_proba(x), atol=1e-6)  # type: ignore[attr-defined]
        assert not (tmp_path / "e" / "weights").exists()
        with pytest.warns(UserWarning, match="not distributed as those trained on"):
            again.predict(x + 100)
        page = run.report().read_text()
        assert "Correlation of the members" in page
        assert "mean of the members" in page

    def test_one_that_was_interrupted_goes_on(self, tmp_path: Path) -> None:
        class StopSecond(preceptor.Callback):
            seen = 0

            def on_train_begin(self, state: State) -> None:
                StopSecond.seen += 1

            def on_epoch_end(self, state: State) -> None:
                if StopSecond.seen == 2 and state.epoch == 2:
                    state.stop = "interrupted"

        cut = preceptor.train("mlp", "iris", members=3, out=tmp_path / "e", callbacks=[StopSecond()], **QUICK)
        assert cut.status == "interrupted"
        assert len(cut.members) == 2  # type: ignore[attr-defined]
        went_on = preceptor.train(resume=tmp_path / "e")
        whole = preceptor.train("mlp", "iris", members=3, out=tmp_path / "w", **QUICK)
        assert went_on.status == "finished"
        for a, b in zip(went_on.members, whole.members, strict=True):  # type: ignore[attr-defined]
            np.testing.assert_array_equal(weights(a), weights(b))
        with pytest.raises(ConfigError, match="cannot change"):
            preceptor.train(resume=tmp_path / "e", members=4)

    def test_damage_is_told(self, tmp_path: Path) -> None:
        preceptor.train("mlp", "iris", members=1, out=tmp_path / "e", **QUICK)
        (tmp_path / "e" / "ensemble.json").write_text(json.dumps({"members": ["member-1"], "shares": []}))
        with pytest.raises(CheckpointError):
            preceptor.load(tmp_path / "e")


class TestTogether:
    def test_members_in_one_step_are_those_in_turn(self, points: Points, tmp_path: Path) -> None:
        given = {"epochs": 4, "vary": {"lr": [0.02, 0.05]}}
        told: list[str] = []
        how = Members(
            4, bag=True, vary=given["vary"], together=True, tell=lambda run: told.append(run.status)
        )
        many = preceptor.train("mlp", "iris", members=how, out=tmp_path / "e", **QUICK)
        turn = preceptor.train(
            "mlp",
            "iris",
            members=Members(4, bag=True, vary=given["vary"], together=False),
            out=False,
            **QUICK,
        )
        assert told == ["finished"] * 4
        for a, b in zip(many.members, turn.members, strict=True):  # type: ignore[attr-defined]
            np.testing.assert_allclose(weights(a), weights(b), atol=1e-4)
            assert a.history[-1, "val_loss"] == pytest.approx(b.history[-1, "val_loss"], abs=1e-4)
            assert a.best_epoch == b.best_epoch
        again = preceptor.load(tmp_path / "e")
        x = load_iris().data
        np.testing.assert_allclose(again.predict_proba(x), many.predict_proba(x), atol=1e-6)
        assert preceptor.load(tmp_path / "e" / "member-3").best_epoch == many.members[2].best_epoch  # type: ignore[attr-defined]
        assert many.report().is_file()

    def test_it_is_chosen_for_many_small_ones(self, points: Points) -> None:
        run = ensemble(points, 4)
        assert [type(member).__name__ for member in run.members] == ["Run", *["Recorded"] * 3]
        apart = ensemble(points, Members(4, together=False))
        assert [type(member).__name__ for member in apart.members] == ["Run"] * 4
        for a, b in zip(run.members, apart.members, strict=True):
            np.testing.assert_allclose(weights(a), weights(b), atol=1e-4)


class TestSnapshots:
    def test_they_are_the_ends_of_the_cycles(self, points: Points, tmp_path: Path) -> None:
        kept: list[np.ndarray] = []

        class Keep(preceptor.Callback):
            def on_epoch_end(self, state: State) -> None:
                kept.append(parameters(state.problem.model))

        run = preceptor.train(
            "mlp", "iris", members=Members(3, snapshots=True), out=tmp_path / "e", callbacks=[Keep()],
            **{**QUICK, "epochs": 6},
        )  # fmt: skip
        assert isinstance(run, Ensemble)
        assert [member.best_epoch for member in run.members] == [2, 4, 6]
        for member, at in zip(run.members, (1, 3, 5), strict=True):
            np.testing.assert_array_equal(weights(member), kept[at])
        lr = run.history[:, "lr"]
        assert lr[1] < lr[0]
        assert lr[2] == lr[0]
        again = preceptor.load(tmp_path / "e")
        np.testing.assert_array_equal(weights(again.members[1]), kept[3])  # type: ignore[attr-defined]
        assert run.report().is_file()

    def test_one_that_was_interrupted_goes_on(self, tmp_path: Path) -> None:
        class Stop(preceptor.Callback):
            def on_epoch_end(self, state: State) -> None:
                if state.epoch == 3:
                    state.stop = "interrupted"

        given = {**QUICK, "epochs": 4, "members": Members(2, snapshots=True)}
        cut = preceptor.train("mlp", "iris", out=tmp_path / "e", callbacks=[Stop()], **given)
        assert (cut.status, len(cut.members)) == ("interrupted", 1)  # type: ignore[attr-defined]
        went_on = preceptor.train(resume=tmp_path / "e")
        whole = preceptor.train("mlp", "iris", out=False, **given)
        assert went_on.status == "finished"
        for a, b in zip(went_on.members, whole.members, strict=True):  # type: ignore[attr-defined]
            np.testing.assert_array_equal(weights(a), weights(b))

    def test_epochs_must_divide(self, points: Points, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="epochs=4 or 6"):
            ensemble(points, Members(2, snapshots=True), epochs=5, out=tmp_path / "e")
        with pytest.raises(ConfigError, match="set the schedule themselves"):
            ensemble(points, Members(2, snapshots=True), schedule="cosine")


class TestAveraged:
    def test_the_average_is_a_regularizer_more(self, points: Points) -> None:
        run = preceptor.train(
            "mlp", (points.x, points.y), average="ema=0.9", regularizers=["l2=1e-4"], out=False, **QUICK
        )
        assert [block.name for block in run.experiment.regularizers] == ["l2", "exponential-moving-average"]
        assert run.experiment.regularizers[1].options["decay"] == 0.9

    def test_swa_is_the_mean_over_the_last_quarter(self, points: Points) -> None:
        seen: list[np.ndarray] = []

        class Keep(preceptor.Callback):
            def on_batch_end(self, state: State) -> None:
                seen.append(parameters(state.problem.model))

        settings = {**QUICK["settings"], "training.restore_best": False}
        run = preceptor.train(
            "mlp", (points.x, points.y), average="swa", out=False, callbacks=[Keep()],
            **{**QUICK, "settings": settings},
        )  # fmt: skip
        assert run.experiment.training.patience is None
        first = int(0.75 * len(seen))
        np.testing.assert_allclose(weights(run), np.mean(seen[first:], 0), atol=1e-5)

    def test_what_averages_no_weights_is_refused(self, points: Points) -> None:
        with pytest.raises(ConfigError, match="polyak, ema or swa"):
            preceptor.train("mlp", (points.x, points.y), average="bagging", out=False)


def numbers(points: Points, members: Any, **changes: Any) -> Ensemble:
    run = preceptor.train(
        "mlp", (points.x, points.value), members=members, **{"out": False, **QUICK, **changes}
    )
    assert isinstance(run, Ensemble)
    return run


def parameters(model: nn.Module) -> np.ndarray:
    return torch.cat([p.detach().flatten() for p in model.parameters()]).numpy().copy()


def weights(run: preceptor.Run) -> np.ndarray:
    return parameters(run.model)
