"""Targets that are labels, texts, anomalies or nothing; inputs with gaps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from preceptor.data import Preprocessor, load, prepare, read_inputs
from preceptor.data._anomalies import as_anomalies
from preceptor.data._scaler import Scaler, moments
from preceptor.errors import ConfigError, DataError, UnknownName

TABLE = "a,b,tags,wet,cold\n1,5,red;round,0,1\n2,,round,1,1\n3,7,red,1,0\n4,8,small; red,0,0\n"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def again(preprocessor: Preprocessor) -> Preprocessor:
    return Preprocessor.from_state(json.loads(json.dumps(preprocessor.to_state())))


def test_labels_may_be_listed_in_one_column(csv: Path):
    ready = prepare(load(csv, target="tags"), val=0, test=0, target_kind="labels")
    assert ready.preprocessor.classes == ("red", "round", "small")
    assert ready.train.y.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0], [1, 0, 1]]
    assert again(ready.preprocessor).targets(np.array(["small"])).tolist() == [[0, 0, 1]]
    with pytest.raises(DataError, match="a label is unknown"):
        ready.preprocessor.targets(np.array(["red;blue"]))


def test_labels_may_have_a_column_each(csv: Path):
    data = load(csv, target="wet, cold")
    assert (data.target_kind, data.classes) == ("labels", ("wet", "cold"))
    assert [column.name for column in data.inputs.columns] == ["a", "b", "tags"]
    ready = prepare(data, val=0, test=0)
    assert ready.train.y.tolist() == [[0, 1], [1, 1], [1, 0], [0, 0]]
    assert read_inputs(csv, ready.preprocessor)[1].tolist() == [[0, 1], [1, 1], [1, 0], [0, 0]]
    with pytest.raises(UnknownName, match="wett"):
        load(csv, target="wett, cold")


def test_a_matrix_of_0_and_1_is_labels_and_other_numbers_are_not():
    x = np.random.default_rng(0).normal(size=(6, 2))
    marks = np.array([[0, 1], [1, 1], [0, 0], [1, 0], [1, 1], [0, 1]])
    for y in (marks, marks.astype(bool)):
        assert load((x, y)).target_kind == "labels"
    assert load((x, marks * 0.5)).target_kind == "numbers"
    with pytest.raises(DataError, match="the targets are no labels"):
        prepare(load((x, marks * 0.5)), target_kind="labels")
    with pytest.raises(DataError, match="0 or 1 for each of 2 labels"):
        prepare(load((x, marks)), val=0, test=0).preprocessor.targets(marks * 2)


def test_anomalies_are_not_learned_from_and_stay_in_proportion():
    data = as_anomalies(load("digits"), ["9", "3"])
    ready = prepare(data, val=0.2, test=0.2)
    assert int(ready.train.y.sum()) == 0
    held = [int(part.y.sum()) for part in (ready.val, ready.test)]
    assert sum(held) == int(np.isin(data.targets, (3, 9)).sum())
    assert abs(held[0] - held[1]) < 40
    assert sorted(np.concatenate([ready.split.train, ready.split.val, ready.split.test])) == list(range(1797))
    assert again(ready.preprocessor).targets(np.array([9, 1])).tolist() == [1, 0]


def test_the_rarer_of_two_classes_is_the_anomaly_unless_one_is_called_so():
    x = np.arange(10.0)[:, None]
    assert as_anomalies(load((x, ["a"] * 7 + ["b"] * 3)), "auto").classes == ("b",)
    assert as_anomalies(load((x, ["ok"] * 3 + ["fraud"] * 7)), "auto").classes == ("fraud",)
    for data, named in ((load("iris"), "auto"), (load("iris"), ["rose"]), (load((x, [0, 1] * 5)), "auto")):
        with pytest.raises(ConfigError, match="which classes are anomalies"):
            as_anomalies(data, named)
    with pytest.raises(DataError, match="do not say what is unusual"):
        as_anomalies(load("diabetes"), ["1"])


def test_where_nothing_is_predicted_no_target_is_needed(csv: Path):
    with pytest.raises(DataError, match="a table needs a target"):
        load(csv)
    data = load(csv, labelled=False)
    assert (len(data), data.target_kind, data.text) == (4, "anomalies", "4 rows × 5 columns · no targets")
    assert load(np.zeros((3, 2)), labelled=False).kind == "vectors"
    assert load((np.zeros((4, 2)), [0, 0, 1, 1]), labelled=False).target_kind == "categories"


def test_a_table_of_numbers_is_imputed_as_vectors(csv: Path):
    numbers = csv.with_name("n.csv")
    numbers.write_text("a,b\n1,5\n2,\n3,7\n", encoding="utf-8")
    ready = prepare(load(numbers, labelled=False), val=0, test=0, target_kind="inputs", gaps=True)
    assert ready.train.x.isnan().tolist() == [[False, False], [False, True], [False, False]]
    fitted = again(ready.preprocessor)
    raw, _ = read_inputs(numbers, fitted)
    torch.testing.assert_close(fitted.inputs(raw), ready.train.x, equal_nan=True)
    with pytest.raises(DataError, match="cannot be predicted from themselves"):
        prepare(load(csv, labelled=False), target_kind="inputs")


def test_gaps_are_refused_unless_they_are_asked_for():
    x = np.array([[1.0, np.nan], [2.0, 4.0], [3.0, 8.0]])
    with pytest.raises(DataError, match="NaN or infinite"):
        load((x, [0, 1, 0]))
    data = load((x, [0, 1, 0]), gaps=True)
    scaler = Scaler.fit("vectors", data.inputs, np.arange(3), (), standard=True, gaps=True)
    expected = [moments(x[:, :1], np.arange(3)), moments(x[1:, 1:], np.arange(2))]
    np.testing.assert_allclose(scaler.mean, [float(m[0]) for m, _ in expected])
    np.testing.assert_allclose(scaler.deviation, [float(d[0]) for _, d in expected])
    assert scaler.apply(x).isnan().tolist() == [[False, True], [False, False], [False, False]]
    with pytest.raises(DataError, match="too large for float32"):
        scaler.apply(np.array([[1.0, np.inf]]))


def test_texts_are_rows_of_symbols_and_return():
    images = np.zeros((3, 8, 8), np.uint8)
    images[1:] = 1
    ready = prepare(load((images, ["31", "4", "144"])), val=0, test=0, target_kind="texts")
    assert ready.train.y.tolist() == [[1, 0, -1], [2, -1, -1], [0, 2, 2]]
    assert again(ready.preprocessor).coder.texts(ready.train.y) == ["31", "4", "144"]
    with pytest.raises(DataError, match="symbols that are unknown"):
        ready.preprocessor.targets(np.array(["35"]))


@pytest.mark.slow
def test_the_digits_of_a_strip_occur_in_one_part_alone():
    data = load("digit-strips")
    assert data.target_kind == "texts"
    assert load("digit-strips").fingerprint == data.fingerprint
    found = {}
    for part in ("train", "val", "test"):
        strips = data.inputs[data.part == part][:200, 0]
        found[part] = {
            strip[top : top + 8, left : left + 8].tobytes()
            for strip in strips
            for top in range(3)
            for left in range(57)
            if strip[top : top + 8, left : left + 8].sum() > 200
        }
    assert not found["train"] & found["test"]
    assert not found["val"] & found["test"]
    assert {len(text) for text in data.targets.tolist()} == {3, 4, 5}
