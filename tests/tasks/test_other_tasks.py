"""Labels, densities, anomalies, gaps and texts: what outputs mean, and what is set once training is over."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from preceptor.errors import ConfigError, DataError, ModelError
from preceptor.tasks import (
    AnomalyDetection,
    DensityEstimation,
    Imputation,
    MultiLabel,
    Transcription,
    make,
)


def test_a_task_is_made_for_its_kind_of_targets():
    made = {
        "labels": ("multi-label", MultiLabel),
        "texts": ("transcription", Transcription),
        "anomalies": ("anomaly-detection", AnomalyDetection),
        "inputs": ("imputation", Imputation),
    }
    for kind, (name, cls) in made.items():
        assert type(make(name, kind, ("a", "b"))) is cls
    assert type(make("density-estimation", "anomalies")) is DensityEstimation
    with pytest.raises(ConfigError, match="the targets do not suit multi-label"):
        make("multi-label", "numbers")


@pytest.mark.slow
def test_the_thresholds_of_labels_give_the_best_f1_that_any_give():
    rng = np.random.default_rng(0)
    y = torch.tensor(rng.random((60, 3)) < (0.1, 0.5, 0.8)).long()
    z = torch.tensor(rng.normal(y.numpy() - 1.0, 1.0))
    z[:20] = z[:20].round()  # some alike
    task = MultiLabel(("a", "b", "c"))
    fitted = MultiLabel(("a", "b", "c"), **task.fitted(z, y))
    got = fitted.predict(z)
    for k in range(3):
        p = z[:, k].sigmoid()
        best = max(f1_score(y[:, k], p > t) for t in [0.0, *p.tolist()][:-1] if t < 1)
        assert f1_score(y[:, k], got[:, k]) == pytest.approx(best)
    measured = fitted.each_class(z, y)["a"]
    assert measured["F1"] == pytest.approx(f1_score(y[:, 0], got[:, 0]))
    assert measured["threshold"] == fitted.thresholds[0]


def test_labels_without_two_sorts_keep_their_threshold():
    y = torch.tensor([[0, 1], [0, 1]])
    assert MultiLabel(("a", "b")).fitted(torch.randn(2, 2), y)["thresholds"] == (0.5, 0.5)


def test_labels_refuse_what_does_not_fit():
    with pytest.raises(DataError, match="no labels"):
        MultiLabel(())
    with pytest.raises(ConfigError, match="thresholds are not usable"):
        MultiLabel(("a",), thresholds=(1.5,))
    with pytest.raises(ConfigError, match="does not suit multi-label"):
        MultiLabel(("a",), loss="cross-entropy")
    task = MultiLabel(("a", "b"))
    with pytest.raises(ModelError, match="wrong width"):
        task.check(torch.zeros(3, 3), torch.zeros(3, 2))
    with pytest.raises(ModelError, match="the targets are no labels"):
        task.check(torch.zeros(3, 2), torch.full((3, 2), 2.0))


@pytest.mark.parametrize("contamination", [0.0, 0.05, 0.2])
def test_the_threshold_flags_the_share_that_was_asked_for(contamination: float):
    z = torch.randn(200, generator=torch.Generator().manual_seed(0))
    y = (torch.arange(200) % 4 == 0).long()
    task = AnomalyDetection(anomalies=("x",), contamination=contamination)
    fitted = AnomalyDetection(anomalies=("x",), **task.fitted(z, y))
    assert float(fitted.predict(z[y == 0]).double().mean()) == pytest.approx(contamination, abs=1 / 150)
    assert fitted.each_class(z, y)["usual"] == {
        "flagged": pytest.approx(contamination, abs=1 / 150),
        "examples": 150,
    }


def test_anomalies_are_judged_but_not_learned_from():
    task = AnomalyDetection(anomalies=("x",))
    z, y = torch.tensor([-1.0, -2.0, -9.0]), torch.tensor([0, 0, 1])
    assert task.counted(y) == 2
    assert [part.tolist() for part in task.align(z, y)] == [[-1.0, -2.0], [0.0, 0.0]]
    meters = task.meters()
    for meter in meters.values():
        meter.update(z, y)
    assert {name: meter.compute() for name, meter in meters.items()} == {
        "roc_auc": 1.0,
        "average_precision": 1.0,
    }
    assert task.example_losses(z, y).tolist() == [1.0, 2.0, 9.0]
    with pytest.raises(ConfigError, match="does not suit anomaly-detection"):
        AnomalyDetection(loss="cross-entropy")
    assert AnomalyDetection().metrics == ("log_density",)


def test_a_density_is_given_in_the_units_of_the_data():
    task = DensityEstimation(log_volume=2.0)
    meter = task.meters()["log_density"]
    meter.update(torch.tensor([[-1.0], [-3.0]]), torch.zeros(2))
    assert meter.compute() == pytest.approx(-4.0)
    with pytest.raises(ModelError, match="does not give a density"):
        task.check(torch.zeros(3, 2), torch.zeros(3))


def test_only_what_was_asked_for_is_judged_in_imputation():
    task = Imputation(2, images=False)
    output, nan = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.nan
    target = torch.tensor([[nan, 5.0], [nan, nan]])
    assert task.counted(target) == 1
    assert task.example_losses(output, target).tolist() == [9.0, 0.0]
    meter = task.meters()["rmse"]
    meter.update(output, target)
    assert meter.compute() == pytest.approx(3.0)
    task.check(output, target)
    with pytest.raises(ModelError, match="not finite"):
        task.check(output, torch.full((2, 2), torch.inf))


def test_the_errors_of_pixels_are_in_the_units_of_the_data():
    task = Imputation(1, offset=(4.0,), scale=(2.0,))
    meter = task.meters()["mae"]
    meter.update(torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, torch.nan]]]]))
    assert meter.compute() == pytest.approx(2.0)


def test_texts_need_steps_enough():
    task = Transcription(("a", "b"))
    with pytest.raises(ModelError, match="fewer steps than symbols"):
        task.check(torch.zeros(1, 2, 3), torch.tensor([[0, 1, 0]]))
    with pytest.raises(ModelError, match="no rows of symbols"):
        task.check(torch.zeros(1, 4, 3), torch.tensor([[0, 2]]))
    with pytest.raises(ModelError, match="symbols for each step"):
        task.check(torch.zeros(1, 4), torch.tensor([[0, 1]]))


def test_a_beam_may_find_another_text_than_the_best_path():
    output = torch.tensor([[[0.4, 0.6], [0.4, 0.6]]]).log()
    assert Transcription(("a",)).predict(output).tolist() == [[-1, -1]]
    assert Transcription(("a",), beam=4).predict(output).tolist() == [[0, -1]]


def test_the_interval_of_whole_texts_is_wilson_s():
    from preceptor.tasks import wilson

    task, said = Transcription(("a", "b")), torch.tensor([[0, -1]] * 9 + [[1, -1]])
    true = torch.tensor([[0]] * 10)
    assert task.interval(said, true) == wilson(9, 10)
    low, high = Transcription(("a", "b"), metrics=("cer",)).interval(said, true)
    assert 0 <= low < 0.1 < high <= 0.4
