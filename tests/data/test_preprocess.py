from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preceptor.data import Column, Preprocessor, Table, load
from preceptor.data._assemble import assemble
from preceptor.errors import CheckpointError, ConfigError, DataError


def reloaded(fitted: Preprocessor) -> Preprocessor:
    return Preprocessor.from_state(json.loads(json.dumps(fitted.to_state())))


numbers = st.one_of(st.floats(-1e30, 1e30), st.just(float("nan")), st.floats(-1, 1))
words = st.one_of(st.none(), st.sampled_from("abc"), st.text(max_size=3))


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.lists(st.tuples(numbers, words, st.floats(-1e30, 1e30)), min_size=2, max_size=30),
    st.sampled_from(["standard", "none"]),
    st.booleans(),
)
def test_state_round_trip_of_tables(
    rows: list[tuple[float, str | None, float]], scale: str, scaled: bool
) -> None:
    rows = [(0.1, "a", 0.1), (1e-3, None, 1 / 3), *rows]
    first, second, goal = zip(*rows, strict=True)
    words = np.empty(len(rows), dtype=object)
    words[:] = second
    table = Table((Column("n", "number", np.array(first)), Column("c", "category", words)))
    data = assemble(name="t", origin="t", kind="table", inputs=table, targets=goal)
    fitted = Preprocessor.fit(
        data, np.arange(len(rows) - 1), scale=scale, target_kind="numbers", scale_targets=scaled
    )
    again = reloaded(fitted)
    assert torch.equal(again.inputs(table), fitted.inputs(table))
    assert torch.equal(again.targets(data.targets), fitted.targets(data.targets))
    assert torch.isfinite(fitted.inputs(table)).all()
    assert (again.input_shape, again.feature_names, again.describe()) == (
        fitted.input_shape,
        fitted.feature_names,
        fitted.describe(),
    )


@pytest.mark.parametrize("name", ["digits", "iris", "breast-cancer", "diabetes"])
@pytest.mark.parametrize("scale", ["standard", "none"])
def test_state_round_trip_of_sets(name: str, scale: str) -> None:
    data = load(name)
    fitted = Preprocessor.fit(data, np.arange(0, len(data), 2), scale=scale)
    again = reloaded(fitted)
    assert torch.equal(again.inputs(data.inputs), fitted.inputs(data.inputs))
    assert torch.equal(again.targets(data.targets), fitted.targets(data.targets))
    assert (again.kind, again.classes, again.target_kind) == (data.kind, data.classes, data.target_kind)
    assert again.to_state() == fitted.to_state()


def test_tensors_pass_through() -> None:
    tokens = torch.randint(0, 9, (8, 5), generator=torch.Generator().manual_seed(0))
    data = load((tokens, [0, 1] * 4))
    fitted = reloaded(Preprocessor.fit(data, np.arange(8)))
    assert fitted.kind == "tensors"
    assert fitted.input_shape == (5,)
    assert torch.equal(fitted.inputs(data.inputs), tokens)
    assert fitted.inputs(data.inputs).dtype == torch.int64


def test_numbers_in_their_own_units() -> None:
    data = load("diabetes")
    fitted = Preprocessor.fit(data, np.arange(300))
    z = fitted.targets(data.targets[:300])
    assert z.shape == (300, 1)
    torch.testing.assert_close(z.mean(), torch.tensor(0.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(z.std(correction=0), torch.tensor(1.0))
    torch.testing.assert_close(fitted.decode_targets(z), torch.tensor(data.targets[:300, None]).float())
    torch.testing.assert_close(
        z * fitted.target_scale + fitted.target_offset, fitted.decode_targets(z.double())
    )
    assert fitted.target_offset.shape == fitted.target_scale.shape == (1,)
    assert fitted.describe()[-1].startswith("targets are standardised")
    plain = Preprocessor.fit(data, np.arange(300), scale_targets=False)
    assert torch.equal(plain.decode_targets(plain.targets(data.targets)), plain.targets(data.targets))
    assert len(plain.describe()) == 1


def test_categories_have_no_units() -> None:
    fitted = Preprocessor.fit(load("iris"), np.arange(100))
    assert fitted.target_scale.numel() == fitted.target_offset.numel() == 0
    with pytest.raises(ConfigError, match="no units"):
        fitted.decode_targets(torch.zeros(3))


def test_target_kind_can_be_overridden() -> None:
    data = load((np.arange(12.0)[:, None], [3, 4, 5] * 4))
    assert Preprocessor.fit(data, np.arange(12)).classes == ("3", "4", "5")
    fitted = Preprocessor.fit(data, np.arange(12), target_kind="numbers", scale_targets=False)
    assert fitted.targets(data.targets)[:3].tolist() == [[3.0], [4.0], [5.0]]


def test_unseen_is_for_tables() -> None:
    data = load("iris")
    assert Preprocessor.fit(data, np.arange(9)).unseen(data.inputs) == {}


def test_unusable() -> None:
    data = load("iris")
    with pytest.raises(ConfigError, match=r"scale is not usable(.|\n)*'minmax'"):
        Preprocessor.fit(data, np.arange(9), scale="minmax")
    with pytest.raises(DataError, match="no training rows"):
        Preprocessor.fit(data, np.arange(0))


@pytest.mark.parametrize("change", [{"version": 2}, {"inputs": {}}, {"targets": None}])
def test_states_that_cannot_be_read(change: dict[str, object]) -> None:
    state = Preprocessor.fit(load("iris"), np.arange(9)).to_state()
    with pytest.raises(CheckpointError, match="preprocessing"):
        Preprocessor.from_state({**state, **change})
