"""Bengio's network held against its formula; metrics of text against sums done by hand."""

from __future__ import annotations

import math

import pytest
import torch

from preceptor.catalogue import get
from preceptor.errors import ConfigError

SYMBOLS = torch.tensor([[3, 1, 4, 1, 5, 2], [0, 2, 2, 4, 3, 1]])


def build(**options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    given = {"vocabulary": 7, "per_step": True, "hidden": 5, "embedding": 4, **options}
    return get("neural-language-model", (6,), 7, **given).double().eval()


@pytest.mark.parametrize("direct", [False, True])
def test_it_computes_the_formula_of_the_paper(direct: bool):
    context, net = 3, build(context=3, direct=direct)
    C = net.embedding.weight * math.sqrt(4)
    H, d = net.body.hidden.weight, net.body.hidden.bias
    U, W, b = net.head.weight[:, :5], net.head.weight[:, 5:], net.head.bias
    expected = torch.zeros(2, 6, 7, dtype=torch.float64)
    for n in range(2):
        for t in range(6):
            words = [
                C[SYMBOLS[n, s]] if s >= 0 else torch.zeros(4, dtype=torch.float64)
                for s in range(t - context + 1, t + 1)
            ]
            x = torch.cat(words)
            expected[n, t] = b + U @ torch.tanh(d + H @ x) + (W @ x if direct else 0)
    torch.testing.assert_close(net(SYMBOLS), expected)


def test_what_lies_before_its_words_does_not_exist():
    net = build(context=2)
    other = SYMBOLS.clone()
    other[:, 0] = 6
    changed = (net(other) != net(SYMBOLS)).any(-1)
    assert changed[0].tolist() == [True, True, False, False, False, False]


def test_pieces_with_the_state_are_the_whole():
    net = build(context=4, direct=True)
    parts, state = [], None
    for low, high in ((0, 1), (1, 4), (4, 6)):
        y, state = net(SYMBOLS[:, low:high], state)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), net(SYMBOLS))


def test_tied_weights_and_wrong_options():
    net = build(tied=True, context=3, direct=True)
    assert net.head.weight is net.embedding.weight
    with pytest.raises(ConfigError, match="context"):
        build(context=0)


def test_metrics_of_text_are_functions_of_the_mean_surprise():
    logits, y = torch.randn(9, 5, generator=torch.Generator().manual_seed(0)), torch.arange(9) % 5
    y[4] = -100
    kept = y >= 0
    nats = float(-logits.log_softmax(-1)[kept, y[kept]].mean())
    for name, options, expected in (
        ("perplexity", {}, math.exp(nats)),
        ("bits-per-character", {"characters": 3.0}, nats / math.log(2) / 3),
    ):
        metric = get(name, kind="metric", **options)
        assert math.isnan(metric.compute())
        for half in (slice(0, 4), slice(4, 9)):
            metric.update(logits[half], y[half])
        assert metric.compute() == pytest.approx(expected, rel=1e-6)
        metric.reset()
        metric.update(logits[4:5], y[4:5])  # nothing that counts
        assert math.isnan(metric.compute())


def test_a_uniform_model_has_the_perplexity_of_its_symbols():
    metric = get("perplexity", kind="metric")
    metric.update(torch.zeros(20, 11), torch.arange(20) % 11)
    assert metric.compute() == pytest.approx(11)


def test_padding_and_features_are_read_as_by_other_networks():
    net = build(context=3, padding=0)
    x = torch.tensor([[3, 1, 4, 0, 0, 0]])
    torch.testing.assert_close(net(x)[:, :3], net(x[:, :3]))
    series = get("neural-language-model", (6, 2), 4, hidden=5, context=2)
    assert series(torch.randn(3, 6, 2)).shape == (3, 4)
    with pytest.raises(ConfigError, match="reads sequences"):
        get("neural-language-model", (6,), 4, reading="static")
