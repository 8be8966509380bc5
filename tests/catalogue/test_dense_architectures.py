"""Networks whose outputs lie on the grid of their inputs, and the ladder network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from preceptor.catalogue import get
from preceptor.data import load
from preceptor.errors import ConfigError, ModelError


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("up", ["transposed", "bilinear"])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_u_net_has_the_published_sizes(up: str, padding: str):
    with torch.device("meta"):
        model = get("u-net", (1, 572, 572), 2, padding=padding, up=up, init=None)
        assert parameters(model) == 31_030_658
        side = 388 if padding == "valid" else 572
        assert model(torch.zeros(1, 1, 572, 572)).shape == (1, 2, side, side)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (1, 5), (40, 24)])
@pytest.mark.parametrize("name", ["u-net", "fully-convolutional-network"])
def test_a_dense_network_keeps_any_height_and_width(name: str, size: tuple[int, int]):
    model = get(name, (3, 16, 16), 4, base=2)
    assert model(torch.zeros(2, 3, *size)).shape == (2, 4, *size)


def by_hand(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A U-Net of depth 1 without padding, written out."""
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    up = next(m for m in model.modules() if isinstance(m, nn.ConvTranspose2d))
    a = functional.conv2d(x, convs[0].weight, convs[0].bias).relu()
    a = functional.conv2d(a, convs[1].weight, convs[1].bias).relu()
    b = functional.max_pool2d(a, 2)
    b = functional.conv2d(b, convs[2].weight, convs[2].bias).relu()
    b = functional.conv2d(b, convs[3].weight, convs[3].bias).relu()
    b = functional.conv_transpose2d(b, up.weight, up.bias, stride=2)
    spare = (a.shape[2] - b.shape[2]) // 2
    joined = torch.cat([a[:, :, spare:-spare, spare:-spare], b], 1)
    c = functional.conv2d(joined, convs[4].weight, convs[4].bias).relu()
    c = functional.conv2d(c, convs[5].weight, convs[5].bias).relu()
    return functional.conv2d(c, convs[6].weight, convs[6].bias)


def test_u_net_is_what_its_formula_says():
    torch.manual_seed(0)
    model, x = get("unet", (2, 20, 20), 3, base=3, depth=1, padding="valid"), torch.randn(2, 2, 20, 20)
    torch.testing.assert_close(model(x), by_hand(model, x))
    taken = 20 - model(x).shape[-1]
    assert taken == 4 * (3 * 2**1 - 2)


def test_u_net_without_padding_says_which_sizes_it_takes():
    with pytest.raises(ModelError, match="such as 508 or 524"):
        get("u-net", (1, 512, 512), 2, base=1, padding="valid")
    model = get("u-net", (1, 20, 20), 2, base=1, depth=1, padding="valid")
    with pytest.raises(ModelError, match="halve without a rest"):
        model(torch.zeros(1, 1, 21, 20))


def test_u_net_s_skips_can_be_left_out():
    full, bare = (get("u-net", (1, 16, 16), 2, base=2, depth=2, skips=s) for s in (True, False))
    assert parameters(bare) < parameters(full)
    assert bare(torch.zeros(1, 1, 16, 16)).shape == (1, 2, 16, 16)


@pytest.mark.parametrize(("stride", "scored"), [(32, 1), (16, 2), (8, 3)])
def test_fcn_joins_as_many_scores_as_its_form_asks(stride: int, scored: int):
    model = get("fcn", (1, 32, 32), 2, base=1, stride=stride)
    assert len(model.scores) == scored
    for score in model.scores[:-1]:  # without the finer scores it is the coarser form
        nn.init.zeros_(score.weight)
        nn.init.zeros_(score.bias)
    coarse = get("fcn", (1, 32, 32), 2, base=1, stride=32)
    coarse.stages.load_state_dict(model.stages.state_dict())
    coarse.scores[0].load_state_dict(model.scores[-1].state_dict())
    x = torch.randn(1, 1, 32, 32)
    if scored == 1:
        torch.testing.assert_close(model(x), coarse(x))
    assert model(x).shape == (1, 2, 32, 32)


def test_fcn_refuses_other_forms():
    with pytest.raises(ConfigError, match="8, 16 or 32"):
        get("fcn", (1, 32, 32), 2, stride=4)


def test_a_linear_autoencoder_finds_the_principal_components():
    generator = np.random.default_rng(0)
    x = (
        generator.normal(size=(60, 6))
        @ np.diag([4.0, 3.0, 2.0, 1.0, 0.5, 0.2])
        @ generator.normal(size=(6, 6))
    )
    x = x - x.mean(0)
    best = (np.linalg.svd(x, compute_uv=False)[2:] ** 2).sum() / x.size
    torch.manual_seed(0)
    model = get("autoencoder", (6,), 6, hidden=(), code=2).double()
    data = torch.from_numpy(x)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = functional.mse_loss(model(data), data)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert closure().item() == pytest.approx(best, rel=0.01)


@pytest.mark.parametrize("name", ["autoencoder", "denoising-autoencoder", "convolutional-autoencoder"])
def test_an_autoencoder_s_code_is_all_that_its_output_rests_on(name: str):
    model = get(name, (1, 8, 8), 1).eval()
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(model.decode(model.encode(x)), model(x))
    assert model(x).shape == x.shape


def test_a_denoising_autoencoder_is_disturbed_in_training_alone():
    model, x = get("dae", (5,), 5, noise=1.0), torch.zeros(3, 5)
    assert not torch.equal(model(x), model(x))
    assert torch.equal(model.eval()(x), model(x))


def test_a_convolutional_autoencoder_refuses_sides_that_it_cannot_halve():
    with pytest.raises(ModelError, match="multiples of 2"):
        get("convolutional-autoencoder", (1, 30, 28), 1)


def test_ladder_has_lateral_connections_and_a_cost_for_each_layer():
    torch.manual_seed(0)
    model, x = get("ladder", (6,), 3, hidden=(5, 4), costs=(1.0, 0.5, 0.25, 0.1)), torch.randn(20, 6)
    scores = model(x)
    assert scores.shape == (20, 3)
    assert len(model.layer_costs) == len(model.combinators) == 4
    assert torch.equal(model.penalty(), torch.stack(model.layer_costs).sum())
    model.penalty().backward()
    assert all(combinator.a.grad.abs().sum() > 0 for combinator in model.combinators)
    assert torch.equal(model.eval()(x), model(x))


def test_ladder_without_noise_costs_nothing_where_its_decoder_gives_back_what_it_gets_from_the_side():
    model, x = get("ladder-network", (6,), 3, hidden=(5,), noise=0.0), torch.randn(20, 6)
    for combinator, (mean, deviation) in zip(model.combinators, model._up(x, 0.0)[1], strict=True):
        with torch.no_grad():  # g(z, u) = deviation · z + mean: what the layer was before its normalisation
            combinator.a.zero_()
            combinator.a[1, 4] = deviation
            combinator.a[0, 4] = torch.where(deviation == 1, 0.0, mean / (1 - deviation))
    model(x)
    assert model.penalty().item() == pytest.approx(0.0, abs=1e-4)


def test_ladder_refuses_a_wrong_number_of_costs():
    with pytest.raises(ConfigError, match="one number, or 3"):
        get("ladder", (6,), 3, hidden=(5,), costs=(1.0, 2.0))


@pytest.mark.slow
def test_a_ladder_gains_from_examples_without_a_label():
    digits = load("digits")
    x = torch.from_numpy(np.asarray(digits.inputs)).float().flatten(1)
    x, y = (x - x.mean()) / x.std(), torch.from_numpy(np.asarray(digits.targets)).long()

    def accuracy(seed: int, costs: float) -> float:
        torch.manual_seed(seed)
        order = torch.randperm(len(x))
        test, train = order[:500], order[500:]
        labelled = torch.cat([train[y[train] == k][:10] for k in range(10)])
        model = get("ladder-network", (64,), 10, noise=0.6, costs=costs)
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(15):
            for batch in train[torch.randperm(len(train))].split(100)[:-1]:
                optimizer.zero_grad()
                scores = model(torch.cat([x[labelled], x[batch]]))
                (functional.cross_entropy(scores[:100], y[labelled]) + model.penalty()).backward()
                optimizer.step()
        with torch.no_grad():
            return float((model.eval()(x[test]).argmax(1) == y[test]).float().mean())

    with_them, without = (np.mean([accuracy(s, costs) for s in range(5)]) for costs in (10.0, 0.0))
    assert with_them > without
