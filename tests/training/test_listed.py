"""Blocks of which there may be several, as text."""

from __future__ import annotations

import pytest

from preceptor.errors import ConfigError
from preceptor.training import Experiment
from preceptor.training.listed import listed, parse_block


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("dropout", {"name": "dropout"}),
        (" l1 = 1e-5 ", {"name": "l1", "value": 1e-5}),
        (
            "elastic-net=1e-3, ratio=0.2,bias=true",
            {"name": "elastic-net", "value": 1e-3, "ratio": 0.2, "bias": True},
        ),
        ("l1, method=proximal", {"name": "l1", "method": "proximal"}),
        (
            'parameter-sharing=[["a", "b"], ["c", "d"]]',
            {"name": "parameter-sharing", "value": [["a", "b"], ["c", "d"]]},
        ),
    ],
)
def test_text(text: str, block: dict[str, object]):
    assert parse_block(text) == block
    assert listed(text) == [block]


def test_nothing_and_something_else():
    assert listed(None) == listed("none") == listed([]) == []
    assert listed(3) == 3
    with pytest.raises(ConfigError, match="an option has no value"):
        parse_block("l1=1, method")


def test_in_an_experiment():
    one = Experiment.of({"regularizers": "l1=1e-5"})
    assert one == Experiment.of({"regularizers": ["l1=1e-5"]})
    assert one.regularizers[0].options == {"value": 1e-5}
    assert one.changed({"regularizers": "none"}).regularizers == ()
    with pytest.raises(ConfigError, match="regularizers"):
        Experiment.of({"regularizers": 3})
