"""Option values: what passes, and what a refusal says."""

from __future__ import annotations

import math

import pytest

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.errors import ConfigError


def test_what_suits_is_returned():
    assert check_number("adam", "lr", 1, 0.0) == 1.0
    assert isinstance(check_number("adam", "lr", 1, 0.0), float)
    assert check_count("plateau", "patience", 0, 0) == 0
    assert check_choice("gelu", "approximate", "tanh", ("none", "tanh")) == "tanh"


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 1.5, "0.5", None, True, [0.5]])
def test_a_number_must_be_finite_and_in_range(value: object):
    with pytest.raises(ConfigError) as caught:
        check_number("mlp", "dropout", value, 0.0, 1.0)
    assert str(caught.value).splitlines() == [
        "mlp: dropout is not usable",
        "  expected  a number from 0 to 1",
        f"  received  dropout={value!r}",
    ]


@pytest.mark.parametrize("value", [0, 2.0, True, "2", None])
def test_a_count_must_be_a_positive_integer(value: object):
    with pytest.raises(ConfigError, match="an integer of at least 1"):
        check_count("mlp", "hidden", value)


@pytest.mark.parametrize("value", ["Max", None, ["max"]])
def test_a_choice_must_be_one_of_the_choices(value: object):
    with pytest.raises(ConfigError, match="'max' or 'average'"):
        check_choice("lenet-5", "pooling", value, ("max", "average"))
