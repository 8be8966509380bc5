"""Layers in order, heads, freezing, rates by layer, features, the check, chains."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.catalogue.transfer import (
    Facts,
    Freezing,
    call_order,
    cut_at,
    head_of,
    layers_of,
    moments_of,
    probe,
    selected,
    transfer_check,
)
from preceptor.errors import ConfigError, ModelError, UnknownName


class Residual(nn.Module):
    """A net whose projection is registered last and used first."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.fc = nn.Linear(8, outputs)
        self.second, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.first = nn.Conv2d(1, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        return self.fc((x + self.norm(self.second(x))).mean((2, 3)))


X = torch.randn(6, 1, 5, 5, generator=torch.Generator().manual_seed(0))


def chain(*modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(*modules)


def test_layers_stand_in_the_order_of_the_forward_pass():
    net = Residual()
    assert layers_of(net) == [("fc",), ("second", "norm"), ("first",)]
    order = call_order(net, X)
    assert order == ("first", "second", "norm", "fc")
    assert layers_of(net, order) == [("first",), ("second", "norm"), ("fc",)]
    assert net.training


def test_the_order_is_taken_without_a_trace():
    net, before = chain(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout()), torch.get_rng_state()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    call_order(net, torch.ones(4, 3))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())


@pytest.mark.parametrize(
    ("net", "outputs", "head"),
    [
        (Residual(), 4, "fc"),
        (chain(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3), nn.Softmax(1)), 3, "2"),
        (chain(nn.Conv2d(1, 7, 3), nn.Conv2d(7, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 5, "1"),
        (chain(nn.ConvTranspose2d(1, 2, 2), nn.ReLU()), 2, "0"),
        (nn.Linear(2, 3), 3, ""),
    ],
)
def test_the_head_is_the_last_layer_that_is_as_wide_as_the_outputs(net: nn.Module, outputs: int, head: str):
    sample = None if isinstance(net, Residual) else ()
    assert head_of(net, outputs, call_order(net, X) if sample is None else ()) == head


def test_a_head_that_is_not_there():
    with pytest.raises(ModelError, match=r"with 9 outputs(.|\n)*0: 3"):
        head_of(chain(nn.Linear(2, 3)), 9)


@pytest.mark.parametrize(
    ("words", "modules"),
    [
        ("all", {"0", "1", "3", "4"}),
        ("head", {"4"}),
        ("all-but-head", {"0", "1", "3"}),
        ("first-1", {"0", "1"}),
        ("last-2", {"3", "4"}),
        ("all-but-first-1", {"3", "4"}),
        ("all-but-last-1", {"0", "1", "3"}),
        ("first-9", {"0", "1", "3", "4"}),
        ("3", {"3"}),
        ("[01]", {"0", "1"}),
    ],
)
def test_words_name_layers(words: str, modules: set[str]):
    net = chain(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 3), nn.Linear(3, 2))
    assert {name.partition(".")[0] for name in selected(net, words)} == modules


def test_words_that_name_nothing_suggest_names():
    with pytest.raises(UnknownName, match=r"unknown layers 'feature'(.|\n)*all-but-head(.|\n)*0"):
        selected(chain(nn.Linear(2, 3)), "feature")


# Freezing


def test_frozen_layers_thaw_by_epoch_and_are_released():
    net = chain(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    net[2].bias.requires_grad_(False)
    freezing = Freezing(net, ["all-but-head"], [(3, "1"), (5, "all")])
    learning = {}
    for epoch in (1, 2, 3, 4, 5, 6, 1):
        net.train()
        freezing.at(epoch)
        learning[epoch] = [p.requires_grad for p in net.parameters()], net[1].training
    none = [False, False]
    assert learning[2] == ([*none, *none, True, False], False)
    assert learning[3] == learning[4] == ([*none, True, True, True, False], True)
    assert learning[5] == learning[6] == ([True] * 6, True), "what was frozen before thaws where it is said"
    assert learning[1] == learning[2], "going back in time freezes again"
    freezing.release()
    assert [p.requires_grad for p in net.parameters()] == [True] * 5 + [False]


def test_a_normalisation_without_weights_keeps_its_statistics():
    net = chain(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, affine=False), nn.Flatten(), nn.Linear(18, 2))
    get("frozen-layers", net, layers="all-but-head")
    net(X)
    assert not net[1].training
    assert net[1].num_batches_tracked == 0
    assert net[1].running_mean.abs().sum() == 0


def test_biases_alone_leave_the_statistics_moving():
    net = chain(nn.Linear(2, 3), nn.BatchNorm1d(3))
    get("frozen-layers", net, layers="*.bias", head="0")
    assert net[1].training
    assert [p.requires_grad for p in net.parameters()] == [True, False, True, False]


def test_tied_weights_learn_where_one_of_them_does():
    net = chain(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight
    Freezing(net, ["0"]).at(1)
    assert net[1].weight.requires_grad
    Freezing(net, ["all"]).at(1)
    assert not net[1].weight.requires_grad


def test_epochs_count_from_one():
    with pytest.raises(ConfigError, match="an epoch, from 1"):
        get("gradual-unfreezing", chain(nn.Linear(1, 1), nn.Linear(1, 1)), unfreeze={0: "all"})


# Heads, rates


def test_a_new_head_leaves_the_rest_alone():
    net = Residual(10).eval()
    body = {k: v.clone() for k, v in net.state_dict().items() if not k.startswith("fc")}
    assert get("new-head", net, 2, head="fc") == "fc"
    assert net(X).shape == (6, 2)
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in body.items())


@pytest.mark.parametrize("net", [nn.Linear(2, 3), chain(nn.ConvTranspose2d(1, 2, 2))])
def test_a_head_that_cannot_be_replaced(net: nn.Module):
    with pytest.raises(ModelError, match="cannot be replaced"):
        get("new-head", net, 4)


def test_rates_fall_by_layer_and_follow_words():
    net = chain(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 3), nn.Linear(3, 1))
    groups = get("layer-wise-rates", net, lr=1.0, decay=0.5, factors={"*.bias": 10.0, "3": 2.0})
    rate = {id(p): g["lr"] for g in groups for p in g["params"]}
    found = {name: rate[id(p)] for name, p in net.named_parameters()}
    assert found == {
        "0.weight": 0.25, "0.bias": 2.5, "1.weight": 0.25, "1.bias": 2.5,
        "2.weight": 0.5, "2.bias": 5.0, "3.weight": 2.0, "3.bias": 2.0,
    }  # fmt: skip
    assert [g["lr"] for g in groups] == sorted((g["lr"] for g in groups), reverse=True)


@pytest.mark.parametrize("decay", [-0.1, 1.5, "half"])
def test_rates_refuse(decay: object):
    with pytest.raises(ConfigError, match="decay is not usable"):
        get("fine-tuning", chain(nn.Linear(1, 1)), decay=decay)


# Features


def frozen_but(net: nn.Module, name: str):
    own = {id(p) for p in net.get_submodule(name).parameters()}
    return lambda p: id(p) in own


@pytest.mark.parametrize(
    ("net", "head", "at"),
    [
        (Residual(), "fc", "fc"),
        (chain(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(27, 2)), "3", "3"),
        (chain(nn.Conv2d(1, 3, 3), nn.Dropout(), nn.Flatten(), nn.Linear(27, 2)), "3", "1"),
        (chain(nn.Flatten(), nn.Linear(25, 2)), "1", None),
        (chain(nn.Dropout(), nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(27, 2)), "3", None),
    ],
)
def test_a_model_is_cut_behind_what_neither_learns_nor_varies(net: nn.Module, head: str, at: str | None):
    freezing = Freezing(net, ["all-but-head"], head=head)
    net.train()
    freezing.at(1)
    before = torch.get_rng_state()
    cut = cut_at(net, X, frozen_but(net, head))
    assert torch.equal(before, torch.get_rng_state())
    assert (cut and cut.at) == at
    if cut and at == head:
        assert torch.equal(cut.tail(cut.body(X)), net(X))


def test_statistics_that_move_are_no_cut():
    net = chain(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(27, 2)).train()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    cut = cut_at(net, X, frozen_but(net, "3"))
    assert cut
    assert cut.at == "1"
    assert cut_at(Residual().train(), X, lambda p: p.shape in ((4, 8), (4,))) is None
    net.eval()
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items()), "tried without a trace"


def test_features_are_what_the_head_is_given():
    net = Residual().eval()
    features = get("feature-extraction", net, X, head="fc", batch_size=4)
    assert features.shape == (6, 8)
    torch.testing.assert_close(net.fc(features), net(X))


# The check


SAME = Facts("images", (3, 8, 8), 500, (0.0, 0.0), (1.0, 1.0))


@pytest.mark.parametrize(
    ("here", "said"),
    [
        (Facts("images", (3, 8, 8), 100, (0.1, -0.1), (1.2, 0.9)), []),
        (Facts("table", (4,), 100), ["another kind of input: images there, table here"]),
        (Facts("images", (3, 9, 9), 100), ["another shape: images 3×8×8 there, 3×9×9 here"]),
        (Facts("images", (3, 8, 8), 500), ["no more data there: 500 training examples there, 500 here"]),
        (Facts("images", (3, 8, 8), 10, (2.0, 0.0), (1.0, 1.0)), ["the inputs lie elsewhere: a mean is 2"]),
        (
            Facts("images", (3, 8, 8), 10, (0.0, 0.0), (1.0, 4.0)),
            ["the inputs are spread otherwise: 4 times"],
        ),
        (Facts("images", (3, 8, 8), 10, (0.0, 0.0), (1.0, 0.1)), ["the inputs are spread otherwise: 0.1"]),
    ],
)
def test_each_condition_has_its_sentence(here: Facts, said: list[str]):
    found = transfer_check(SAME, here)
    assert len(found) == len(said)
    assert all(one.startswith(start) for one, start in zip(found, said, strict=True))


def test_a_probe_tells_features_that_help_from_those_that_harm():
    y = torch.arange(60) % 3
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(60, 5, generator=draw)
    informed = torch.nn.functional.one_hot(y, 5) + 0.1 * noise
    helps, harms, same = probe(informed, noise, y), probe(noise, informed, y), probe(noise, noise, y)
    assert (helps.verdict, harms.verdict, same.verdict) == ("helps", "harms", "undecided")
    assert helps.trained == 1.0
    small = Facts("images", (3, 8, 8), 100)
    assert transfer_check(SAME, small, helps) == []
    assert transfer_check(SAME, small, harms)[0].startswith("negative transfer is likely: the source's")
    assert transfer_check(SAME, small, same)[0].startswith("negative transfer is possible")


def test_a_probe_of_numbers_and_maps():
    y = torch.linspace(-1, 1, 50)
    maps = y[:, None, None, None] * torch.ones(1, 2, 3, 3)
    found = probe(maps, torch.zeros(50, 2, 3, 3), y)
    assert found.measure == "R²"
    assert found.trained == pytest.approx(1.0, abs=1e-2)
    assert found.verdict == "helps"


def test_moments_and_facts():
    mean, deviation = moments_of(torch.stack([torch.zeros(2, 3, 3), torch.ones(2, 3, 3)]))
    assert mean == (0.5, 0.5)
    assert deviation == pytest.approx((0.5, 0.5))
    with pytest.raises(ConfigError, match="facts of two data sets"):
        get("applicability-check", SAME, "digits")


# One loss or several


@pytest.mark.slow
def test_the_same_modules_are_trained_both_ways():
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(64, 4, generator=draw)
    between = x[:, :2] + x[:, 2:]
    y = between.sum(1, keepdim=True)
    for how, targets in (("end-to-end", [y]), ("apart", [between, y])):
        torch.manual_seed(0)
        modules = [nn.Linear(4, 2), nn.Linear(2, 1)]
        optimizer = torch.optim.Adam([p for m in modules for p in m.parameters()], lr=0.1)
        for _ in range(150):
            optimizer.zero_grad()
            loss = get("end-to-end", modules, x, targets, nn.functional.mse_loss, how=how)
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            whole = nn.functional.mse_loss(modules[1](modules[0](x)), y)
            inner = nn.functional.mse_loss(modules[0](x), between)
        assert whole < 0.01
        assert (inner < 0.01) == (how == "apart"), "end to end, what lies between need mean nothing"


def test_apart_no_gradient_passes_from_one_module_to_the_next():
    modules = [nn.Linear(4, 2), nn.Linear(2, 1)]
    x, between, y = torch.ones(3, 4), torch.zeros(3, 2), torch.zeros(3, 1)
    get("end-to-end", modules, x, [between, y], nn.functional.mse_loss, how="apart").backward()
    alone = torch.autograd.grad(nn.functional.mse_loss(modules[0](x), between), modules[0].weight)[0]
    assert torch.equal(modules[0].weight.grad, alone)
    with pytest.raises(ConfigError, match="a target for each module"):
        get("end2end", modules, x, [y], nn.functional.mse_loss, how="apart")


# Distance from the start


def test_l2_sp_holds_what_was_loaded_near_its_start_and_what_is_new_near_zero():
    net = chain(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    held = get("l2-sp", strength=3.0, head=2.0).attach(net)
    held.forget({"1.weight"})
    start = net[0].weight.detach().clone()
    net[0].weight.data += torch.tensor([[1.0, -2.0], [0.0, 0.0]])
    expected = 0.5 * 3.0 * (net[0].weight - start).square().sum() + 0.5 * 2.0 * net[1].weight.square().sum()
    torch.testing.assert_close(held.penalty(), expected)
    grad = torch.autograd.grad(held.penalty(), net[0].weight)[0]
    torch.testing.assert_close(grad, 3.0 * (net[0].weight - start).detach())
    other = get("l2-sp", strength=3.0, head=2.0).attach(net)
    other.load_state_dict(held.state_dict())
    assert torch.equal(other.penalty(), held.penalty())
