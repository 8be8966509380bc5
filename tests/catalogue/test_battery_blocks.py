"""What holds for every layer, normalisation, regularizer and augmentation."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from preceptor.catalogue import Entry, entry, find
from preceptor.catalogue.layers import auxiliary_outputs
from preceptor.catalogue.regularizers import MOMENTS, Regularizer


def every(*kinds: str, trait: str | None = None) -> pytest.MarkDecorator:
    entries = [e for kind in kinds for e in find(kind=kind) if trait is None or trait in e.traits]
    assert entries
    return pytest.mark.parametrize("e", entries, ids=lambda e: f"{e.kind}:{e.name}")


def build(e: Entry, **options: Any) -> nn.Module:
    torch.manual_seed(1)
    arguments = e.traits.get("arguments", ())
    return e.build(*(arguments() if callable(arguments) else copy.deepcopy(arguments)), **options)


def inputs(e: Entry, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(*e.traits["takes"], generator=generator, dtype=torch.float64).to(dtype)
    if "beside" in e.traits:
        return x, torch.randn(*e.traits["beside"], generator=generator, dtype=torch.float64).to(dtype)
    if not e.traits.get("indices"):
        return (x,)
    places = torch.arange(64).reshape(8, 8)[::2, ::2].expand(*x.shape).contiguous()
    return x, places


def calls(e: Entry, module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    output = module(x, *(other[: len(x)] for other in inputs(e, x.dtype)[1:]))
    return output[0] if isinstance(output, tuple) else output  # recurrent layers give their state as well


@every("layer", "normalization")
def test_layer_has_the_right_shape_and_gradient(e: Entry):
    module = build(e).double()
    if e.traits.get("stateful"):
        module.eval()
    x = inputs(e)[0].requires_grad_()
    assert calls(e, module.eval(), x).shape == e.traits["gives"]
    assert torch.autograd.gradcheck(lambda z: calls(e, module, z), (x,), fast_mode=True)


@every("layer", "normalization")
def test_layer_reaches_every_parameter(e: Entry):
    module = build(e)
    x = inputs(e, torch.float32)[0].requires_grad_()
    outputs = [calls(e, module.train(), x), *(extra for _, extra in auxiliary_outputs(module))]
    sum(one.square().sum() for one in outputs).backward()
    assert x.grad is not None
    assert all(p.grad is not None for p in module.parameters())


@every("layer", "normalization", "augmentation", trait="takes")
def test_evaluation_is_without_chance_and_treats_examples_alone(e: Entry):
    module = build(e).eval()
    x = inputs(e, torch.float32)[0]
    if e.traits.get("fits"):
        module.fit(x)
    before = torch.get_rng_state()
    first, second = calls(e, module, x), calls(e, module, x)
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    if not e.traits.get("indices") and "views" not in e.traits:
        torch.testing.assert_close(calls(e, module, x[:1]), first[:1])


@every("layer", "normalization")
def test_layer_s_state_can_be_put_into_another(e: Entry):
    module, other = build(e), build(e)
    for p in other.parameters():
        nn.init.normal_(p)
    calls(e, module.train(), inputs(e, torch.float32)[0])
    other.load_state_dict(module.state_dict())
    x = inputs(e, torch.float32)[0]
    assert torch.equal(calls(e, module.eval(), x), calls(e, other.eval(), x))


@every("normalization", trait="axes")
def test_normalization_gives_mean_0_and_variance_1(e: Entry):
    y = build(e).double().train()(5 + 3 * inputs(e)[0])
    axes = e.traits["axes"]
    torch.testing.assert_close(y.mean(axes), torch.zeros_like(y.mean(axes)), atol=1e-6, rtol=0)
    variance = y.var(axes, correction=0)
    torch.testing.assert_close(variance, torch.ones_like(variance), atol=1e-4, rtol=0)


@every("augmentation", trait="takes")
def test_augmentation_varies_in_training_by_torch_s_generator(e: Entry):
    module = build(e).train()
    x = inputs(e, torch.float32)[0]
    if e.traits.get("fits"):
        module.fit(x)
    if e.name == "affine":  # which does nothing by default
        module = build(e, degrees=20.0).train()
    torch.manual_seed(3)
    first, *others = (module(x) for _ in range(9))
    torch.manual_seed(3)
    assert torch.equal(module(x), first)
    assert not all(torch.equal(first, other) for other in others)
    assert first.shape == e.traits["gives"]


@every("augmentation", trait="takes")
def test_augmentation_leaves_its_input_alone(e: Entry):
    module = build(e).train()
    x = inputs(e, torch.float32)[0]
    if e.traits.get("fits"):
        module.fit(x)
    kept = x.clone()
    module(x)
    assert torch.equal(x, kept)


@every("regularizer", trait="place")
def test_placed_regularizer_acts_by_the_mode(e: Entry):
    module = build(e)
    x = torch.ones(*e.traits["takes"])
    torch.manual_seed(4)
    first = module.train()(x)
    torch.manual_seed(4)
    assert torch.equal(module(x), first)
    assert not torch.equal(module(x), first)
    torch.testing.assert_close(module.eval()(x), module.eval()(x))
    many = torch.stack([module.train()(x) for _ in range(400)]).mean()
    torch.testing.assert_close(many, module.eval()(x).mean(), atol=0.05, rtol=0)


@every("regularizer", "averaging", trait="moment")
def test_regularizer_acts_at_the_moment_that_it_says(e: Entry):
    assert (
        issubclass(e.factory, Regularizer) if isinstance(e.factory, type) else e.name in ("l2", "elastic-net")
    )
    made = e.factory if isinstance(e.factory, type) else type(e.build())
    assert e.traits["moment"] in (*MOMENTS, "attach", "settings")
    assert getattr(made, e.traits["moment"]) is not getattr(Regularizer, e.traits["moment"])


@every("regularizer", "averaging", trait="moment")
def test_regularizer_s_state_can_be_put_into_another(e: Entry):
    if e.needs:
        return
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    if e.name in ("teacher-forcing", "scheduled-sampling"):
        model.forcing = 1.0
    if e.name == "stochastic-depth":
        model = nn.Sequential(entry("residual-connection").build(nn.Linear(3, 3)))
    a, b = (e.build().attach(model) for _ in range(2))
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    a.gradients()
    a.after_step(0.1)
    b.load_state_dict(copy.deepcopy(a.state_dict()))
    assert str(a.state_dict()) == str(b.state_dict())
