import math
import time

import numpy as np
import pytest

from preceptor.errors import ConfigError, UnknownName
from preceptor.observation.record import Record


@pytest.fixture
def record() -> Record:
    made = Record()
    parameters = ["enc.0.weight", "enc.0.bias", "enc.1.weight", "head.weight"]
    for step in range(5):
        made.add("loss", step, 1.0 / (step + 1), "train")
        made.add("step_seconds", step, 0.001)
        made.add_many("grad_norm", step, parameters, [3.0, 4.0, 12.0, 84.0])
        made.add_many("update_norm", step, parameters, [0.03, 0.04, 0.12, 0.84])
        made.add_many("weight_norm", step, parameters, [0.6, 0.8, 2.4, 16.8])
        made.add_many("update_ratio", step, parameters, [0.05] * 4)
        made.add_many("zero_grad_share", step, parameters, [0.1, 0.3, 0.5, 0.9])
        made.add("act_mean", step, 0.25, "enc.0")
        made.add("lr", step, 0.1, "0.0")
    made.add("loss", 2, 0.75, "evaluation:train.py:30")
    return made


def test_what_was_measured(record: Record) -> None:
    assert record.names[:3] == ["loss", "step_seconds", "grad_norm"]
    assert record.subjects("loss") == ["train", "evaluation:train.py:30"]
    assert record.subjects("act_max") == []
    assert repr(record) == "Record(9 signals, 121 points)"


def test_signals_of_one_subject(record: Record) -> None:
    assert record.signal("loss").values.tolist() == [1.0, 0.5, 1 / 3, 0.25, 0.2]
    assert record.signal("loss", phase="train").subject == "train"
    assert record.signal("loss", phase="evaluation").steps.tolist() == [2]
    assert record.signal("step_seconds").last == 0.001
    assert record.signal("grad_norm", parameter="enc.0.bias").last == 4.0
    assert record.signal("grad_norm", layer="enc.0.bias").last == 4.0
    assert record.signal("act_mean", layer="enc.0").last == 0.25
    assert record.signal("lr").last == 0.1
    assert record.signal("lr", subject="0.0").last == 0.1


def test_the_parameters_of_a_layer_combine(record: Record) -> None:
    assert record.signal("grad_norm", layer="enc.0").values.tolist() == [5.0] * 5
    assert record.signal("grad_norm", layer="enc").last == 13.0
    assert record.signal("grad_norm", layer="").last == 85.0
    assert record.signal("zero_grad_share", layer="enc").last == pytest.approx(0.3)
    assert record.signal("update_ratio", layer="enc").last == pytest.approx(0.13 / 2.6)
    assert record.signal("grad_norm", layer="enc.0").subject == "enc.0"


def test_a_layer_s_name_is_no_prefix_of_letters() -> None:
    record = Record()
    record.add_many("grad_norm", 0, ["fc1.weight", "fc10.weight"], [1.0, 2.0])
    assert record.signal("grad_norm", layer="fc1").last == 1.0


def test_a_gradient_that_is_missing_at_some_steps() -> None:
    record = Record()
    for step in range(6):
        record.add("grad_norm", step, 3.0, "fc.weight")
        if step % 2:
            record.add("grad_norm", step, 4.0, "fc.bias")
    assert record.signal("grad_norm", layer="fc").values.tolist() == [3.0, 5.0] * 3


def test_nan_of_one_parameter_is_nan_of_its_layer() -> None:
    record = Record()
    record.add_many("grad_norm", 0, ["fc.weight", "fc.bias"], [3.0, math.nan])
    record.add_many("grad_norm", 1, ["fc.weight", "fc.bias"], [3.0, math.inf])
    values = record.signal("grad_norm", layer="fc").values
    assert np.isnan(values[0])
    assert np.isposinf(values[1])


def test_layers_of_thinned_series_of_different_length() -> None:
    record = Record()
    for step in range(20_000):
        record.add("grad_norm", step, 3.0, "fc.weight")
        if step >= 10_000:
            record.add("grad_norm", step, 4.0, "fc.bias")
    combined = record.signal("grad_norm", layer="fc")
    assert len(combined) <= 4096
    assert combined.between(0, 9_900).values.tolist() == pytest.approx(
        [3.0] * len(combined.between(0, 9_900))
    )
    later = combined.between(10_008, 20_000)
    assert len(later) > 500
    assert later.values.tolist() == pytest.approx([5.0] * len(later))


def test_a_ratio_without_norms_is_not_made_up() -> None:
    record = Record()
    record.add_many("update_ratio", 0, ["fc.weight", "fc.bias"], [0.1, 0.2])
    assert len(record.signal("update_ratio", layer="fc")) == 0
    assert record.signal("update_ratio", parameter="fc.bias").last == 0.2


def test_a_ratio_to_zero_weights_is_infinite() -> None:
    record = Record()
    for name, value in (("update_norm", 1.0), ("weight_norm", 0.0), ("update_ratio", math.inf)):
        record.add_many(name, 0, ["fc.weight", "fc.bias"], [value] * 2)
    assert record.signal("update_ratio", layer="fc").last == math.inf


def test_never_measured_is_empty_and_unknown_is_refused(record: Record) -> None:
    assert len(record.signal("act_max", layer="enc.0")) == 0
    assert record.signal("act_max", layer="enc.0").subject == "enc.0"
    with pytest.raises(UnknownName, match="did you mean 'grad_norm'"):
        record.signal("grad_nrom")
    with pytest.raises(UnknownName, match=r"enc\.0\.bias"):
        record.signal("grad_norm", parameter="enc.0.bia")
    with pytest.raises(UnknownName, match=r"did you mean 'enc\.0'"):
        record.signal("grad_norm", layer="enc.00")
    with pytest.raises(UnknownName, match="did you mean 'train'"):
        record.signal("loss", phase="trian")
    with pytest.raises(UnknownName, match="did you mean 'act_mean'"):
        record.add("act_maen", 0, 1.0, "enc.0")
    with pytest.raises(UnknownName):
        record.subjects("grad_nrom")
    assert "act_maen" not in record.names


def test_choices_that_do_not_fit(record: Record) -> None:
    with pytest.raises(ConfigError, match="at most one of"):
        record.signal("grad_norm", layer="enc", parameter="head.weight")
    with pytest.raises(ConfigError, match="layer='enc'"):
        record.signal("loss", layer="enc")
    with pytest.raises(ConfigError, match="4 subjects"):
        record.signal("grad_norm")
    with pytest.raises(ConfigError, match="2 values"):
        record.add_many("grad_norm", 0, ["a", "b"], [1.0])


def test_a_signal_is_a_copy(record: Record) -> None:
    before = record.signal("loss")
    record.add("loss", 5, 0.1, "train")
    assert len(before) == 5
    assert len(record.signal("loss")) == 6


@pytest.mark.slow
def test_millions_of_points_stay_within_the_memory() -> None:
    record = Record(memory=1 << 20)
    subjects = [f"layer{i}.weight" for i in range(100)]
    values = [math.nan] + [1.0] * 99
    for step in range(20_000):
        record.add_many("grad_norm", step, subjects, values)
    assert record.nbytes <= 1 << 20
    assert record.left_out == {}
    assert sum(int(series.counts.sum()) for series in record) == 2_000_000
    assert np.isnan(record.signal("grad_norm", parameter="layer0.weight").values).all()
    assert len(record.signal("grad_norm", parameter="layer99.weight")) >= 64


def test_short_series_are_thinned_last() -> None:
    record = Record(memory=1 << 18)
    for step in range(100):
        record.add("lr", step, 0.1, "0.0")
    for step in range(200_000):
        record.add("loss", step, 1.0, f"train:{step % 5}")
    assert record.nbytes <= 1 << 18
    assert len(record.signal("lr")) == 100
    assert record.signal("loss", phase="train:0").thinned


def test_subjects_without_end_are_counted_not_kept() -> None:
    record = Record(memory=1 << 17)
    for step in range(5_000):
        record.add("lr", step, 0.1, f"{step}.0")
        record.add("loss", step, 0.5, "train")
    assert record.nbytes <= 1 << 17
    assert record.left_out == {"lr": 5_000 - len(record.subjects("lr"))}
    assert int(record.signal("loss").counts.sum()) == 5_000


def test_too_little_memory_is_refused() -> None:
    with pytest.raises(ConfigError, match="memory=10"):
        Record(memory=10)


def test_tables_are_bounded() -> None:
    record = Record()
    for step in range(2_500):
        record.table("losses", {"step": step, "shape": (2, 3), "value": np.float32(0.5)})
    assert len(record.tables["losses"]) == 2_000
    assert record.tables["losses"][7] == {"step": 7, "shape": [2, 3], "value": 0.5}
    assert record.left_out == {"losses": 500}
    assert set(record.tables) == {"batches", "losses", "notes", "offenders"}


@pytest.mark.slow
def test_adding_is_cheap() -> None:
    record = Record()
    best = math.inf
    for start in range(0, 500_000, 50_000):
        began = time.perf_counter()
        for step in range(start, start + 50_000):
            record.add("loss", step, 0.5, "train")
        best = min(best, (time.perf_counter() - began) / 50_000)
    assert best < 2e-6, "about 0.35 µs on an idle machine, merging included"
