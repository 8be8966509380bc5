"""What holds for every entry, and for every entry of a kind."""

from __future__ import annotations

import copy
import doctest
import inspect
from collections.abc import Callable

import pytest
import torch
from torch import nn

from preceptor.catalogue import Entry, entry, find, get, kinds
from preceptor.catalogue.layers import auxiliary_outputs
from preceptor.errors import ConfigError

KINDS = (
    "activation",
    "architecture",
    "augmentation",
    "averaging",
    "calculator",
    "decoding",
    "derivative",
    "environment",
    "estimation",
    "feature-map",
    "initialization",
    "initializer",
    "inspection",
    "language-model",
    "layer",
    "learner",
    "loss",
    "metric",
    "model-transform",
    "normalization",
    "optimizer",
    "output-unit",
    "procedure",
    "rate-rule",
    "regularizer",
    "schedule",
    "solver",
    "structure",
    "transfer",
    "word-embedding",
    "worked-example",
)
ROSENBROCK_RATES = {
    "gradient-descent": 1e-3,
    "online-sgd": 1e-3,
    "sgd": 1e-3,
    "momentum": 1e-4,
    "nesterov": 1e-4,
    "nesterov-look-ahead": 1e-4,
    "adagrad": 0.3,
    "adadelta": 1.0,
    "rmsprop": 0.01,
    "rprop": 0.01,
    "radam": 0.005,
} | dict.fromkeys(("adam", "adam-uncorrected", "adamax", "adamw", "amsgrad", "nadam"), 0.02)
RESIDUALS = {
    "quadratic": lambda x: torch.stack([x[0] / 2**0.5, x[1] * 5**0.5]),
    "rosenbrock": lambda x: torch.stack([1 - x[0], 10 * (x[1] - x[0] ** 2)]),
}


def every(kind: str | None = None) -> pytest.MarkDecorator:
    entries = find(kind=kind)
    if kind == "optimizer":  # an optimizer for one kind of loss alone has its own tests
        entries = [e for e in entries if "objective" not in e.traits]
    assert entries
    return pytest.mark.parametrize("e", entries, ids=lambda e: f"{e.kind}:{e.name}")


def test_these_are_the_kinds():
    assert tuple(kinds()) == KINDS
    assert sum(kinds().values()) == len(find())


@every()
def test_documentation_is_complete(e: Entry):
    for field in ("summary", "formula", "shapes", "when", "pitfalls", "source", "example"):
        assert getattr(e, field).strip(), field
    assert "\n" not in e.summary
    assert e.summary.endswith(".")
    assert e.name == e.name.lower().replace("_", "-")


@every()
def test_example_runs(e: Entry):
    torch.manual_seed(0)
    parsed = doctest.DocTestParser().get_doctest(
        e.example + "\n", {"torch": torch, "get": get}, e.name, None, None
    )
    assert parsed.examples
    shown: list[str] = []
    result = doctest.DocTestRunner().run(parsed, out=shown.append)
    assert result.failed == 0, "".join(shown)


@every()
def test_every_name_finds_it(e: Entry):
    for name in (e.name, *e.aliases):
        assert entry(name, e.kind) is e
        assert entry(name.replace("-", "_").upper(), e.kind + "s") is e
        assert e in find(name)


@every()
def test_unknown_option_is_refused(e: Entry):
    with pytest.raises(ConfigError, match=f"{e.name}.*no option 'nonsense'"):
        get(e.name, kind=e.kind, nonsense=1)
    for option in e.defaults:
        with pytest.raises(ConfigError, match=f"did you mean '{option}'"):
            get(e.name, kind=e.kind, **{option + "s": 1})


@every()
def test_defaults_are_those_of_the_factory(e: Entry):
    signature = inspect.signature(e.factory)
    stated = {n: p.default for n, p in signature.parameters.items() if p.default is not p.empty}
    needed = {n for n, p in signature.parameters.items() if p.default is p.empty}
    assert dict(e.defaults) == stated
    assert needed - {"total_steps", "steps_per_epoch"} == set(e.needs)


@every("activation")
def test_activation_has_the_right_gradient_and_shape(e: Entry):
    torch.manual_seed(1)
    x = (3 * torch.randn(2, 6, 3, dtype=torch.float64)).requires_grad_()
    f = e.build().double()
    assert f(x).shape == (2, 6 // e.traits.get("pieces", 1), 3)
    assert torch.autograd.gradcheck(f, (x,))
    assert torch.isfinite(f(torch.tensor([-1000.0, 1000.0], dtype=torch.float64))).all()


@every("output-unit")
def test_output_unit_keeps_the_shape(e: Entry):
    z = torch.randn(4, 3)
    assert e.build()(z).shape == z.shape
    assert e.traits["targets"] in ("categories", "binary", "numbers")


TREE = [[0, 1, 3], [0, 0, 0], [1, 1, 2]]


def _batch(e: Entry) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    output, target = {
        "categories": (torch.randn(7, 4, dtype=torch.float64), torch.randint(4, (7,))),
        "binary": (torch.randn(7, dtype=torch.float64), torch.randint(2, (7,)).double()),
        "numbers": (torch.randn(7, 2, dtype=torch.float64), torch.randn(7, 2, dtype=torch.float64)),
        "densities": (torch.randn(7, dtype=torch.float64), torch.zeros(7, dtype=torch.float64)),
        "texts": (torch.randn(7, 6, 4, dtype=torch.float64), torch.randint(3, (7, 2))),
        "tags": (torch.randn(7, 3, 4, 4, dtype=torch.float64), torch.randint(4, (7, 3))),
        "trees": (torch.randn(7, 2, 2, 4, dtype=torch.float64), torch.tensor([TREE] * 7)),
    }[e.traits["targets"]]
    takes = e.traits.get("takes")
    if takes is None:
        return output, target
    return (output.sigmoid() if takes == "probabilities" else output.log_softmax(1)), target


@every("loss")
def test_loss_has_the_right_gradient_and_consistent_reductions(e: Entry):
    output, target = _batch(e)
    output.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: e.build()(z, target), (output,))
    each, total, mean = (e.build(reduction=r)(output, target) for r in ("none", "sum", "mean"))
    assert len(each) == len(target)
    torch.testing.assert_close(each.sum(), total)
    torch.testing.assert_close(each.mean(), mean)
    with pytest.raises(ConfigError, match="reduction"):
        e.build(reduction="average")


@every("loss")
def test_loss_says_which_output_unit_it_is_made_for(e: Entry):
    unit = entry(e.traits["output_unit"], "output-unit")
    structured = {"densities": "numbers", "texts": "categories", "tags": "categories", "trees": "categories"}
    assert unit.traits["targets"] == structured.get(e.traits["targets"], e.traits["targets"])


def _measured(e: Entry) -> tuple[torch.Tensor, torch.Tensor]:
    """Return three outputs and targets of the shapes that a metric takes."""
    return {
        "categories": (torch.eye(3), torch.tensor([0, 1, 1])),
        "numbers": (torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[1.0], [2.5], [3.0]])),
        "labels": (torch.eye(3) - 0.5, torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 1]])),
        "densities": (torch.tensor([-1.0, -2.0, -4.0]), torch.zeros(3)),
        "texts": (torch.eye(3).repeat(3, 1, 1), torch.tensor([[0, 1], [0, 0], [1, -1]])),
        "tags": (torch.eye(3).repeat(3, 1, 1), torch.tensor([[0, 1, 2], [0, 0, 1], [1, -1, -1]])),
        "trees": (torch.rand(3, 2, 2, 4), torch.tensor([TREE] * 3)),
        "sequences": (["a b c d e", "f"], ["a b c d f", "g"]),
    }[e.traits["targets"]]


@every("metric")
def test_metric_is_empty_until_updated_and_again_after_reset(e: Entry):
    output, target = _measured(e)
    metric = e.build()
    assert metric.compute() != metric.compute()
    metric.update(output, target)
    first = metric.compute()
    assert isinstance(first, float)
    assert first == first
    metric.reset()
    assert metric.compute() != metric.compute()
    metric.update(output, target)
    assert metric.compute() == first
    assert e.traits["better"] in ("max", "min")


@every("metric")
def test_metric_of_a_nan_output_is_nan(e: Entry):
    target = torch.tensor([0, 1, 1]) if e.traits["targets"] == "categories" else torch.tensor([1.0, 2.0, 3.0])
    output = torch.tensor([[0.0], [float("nan")], [1.0]])
    if e.traits["targets"] == "sequences":
        pytest.skip("symbols are never NaN")
    if e.traits["targets"] not in ("categories", "numbers"):
        output, target = _measured(e)
        output[1] = float("nan")
    metric = e.build()
    metric.update(output, target)
    assert metric.compute() != metric.compute()


def _closure(e: Entry, optimizer: torch.optim.Optimizer, residuals: Callable[[], torch.Tensor]):
    """Return what the optimizer asks for: residuals, or the sum of their squares with or without gradient."""

    def closure() -> torch.Tensor:
        r = residuals()
        if e.traits.get("closure") == "residuals":
            return r
        optimizer.zero_grad()
        loss = r.square().sum()
        if e.traits.get("closure") != "loss":
            loss.backward()
        return loss

    return closure


def _minimise(e: Entry, name: str, start: list[float], steps: int, **options: float) -> list[float]:
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = e.build([x], **options)
    closure = _closure(e, optimizer, lambda: RESIDUALS[name](x))
    values = [optimizer.step(closure).item() for _ in range(steps)]
    return [*values, RESIDUALS[name](x).square().sum().item()]


@every("optimizer")
def test_optimizer_decreases_a_quadratic_at_its_default_rate(e: Entry):
    values = _minimise(e, "quadratic", [1.0, 1.0], 300)
    assert values[-1] < 0.9 * values[0]


@every("optimizer")
def test_optimizer_decreases_the_rosenbrock_function(e: Entry):
    exact = bool(e.traits.get("second_order"))
    options = {} if exact else {"lr": ROSENBROCK_RATES[e.name]}
    values = _minimise(e, "rosenbrock", [-1.2, 1.0], 100 if exact else 500, **options)
    assert values[0] == pytest.approx(24.2)
    assert values[-1] < (1e-12 if exact else 4.1)


def _net() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1))


def _train(e: Entry, model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        x, y = torch.randn(8, 6, generator=generator), torch.randn(8, 1, generator=generator)

        def residuals(x: torch.Tensor = x, y: torch.Tensor = y) -> torch.Tensor:
            return (model(x) - y).reshape(-1) / 8**0.5

        optimizer.step(_closure(e, optimizer, residuals))


@every("optimizer")
def test_optimizer_resumes_to_the_bit(e: Entry):
    model = _net()
    optimizer = e.build(model.parameters())
    _train(e, model, optimizer, range(10))
    other, saved = copy.deepcopy(model), copy.deepcopy(optimizer.state_dict())
    resumed = e.build(other.parameters())
    resumed.load_state_dict(saved)
    _train(e, model, optimizer, range(10, 20))
    _train(e, other, resumed, range(10, 20))
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


@every("optimizer")
def test_optimizer_is_torch_s_own_where_torch_has_it(e: Entry):
    model, other = _net(), _net()
    optimizer = e.build(model.parameters())
    if "torch" not in e.traits:
        assert not type(optimizer).__module__.startswith("torch.")
        return
    cls = getattr(torch.optim, e.traits["torch"])
    assert type(optimizer) is cls
    known = inspect.signature(cls).parameters
    options = {k: v for k, v in e.defaults.items() if k in known}
    if not e.traits.get("closure"):
        options["foreach"] = False
    options |= {"nesterov": {"nesterov": True}, "amsgrad": {"amsgrad": True}}.get(e.name, {})
    plain = cls(other.parameters(), **options)
    _train(e, model, optimizer, range(100))
    _train(e, other, plain, range(100))
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def _rates(e: Entry, steps: int, *, total: int, per_epoch: int, resume_at: int | None = None) -> list[float]:
    def make() -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        optimizer = get("sgd", [torch.zeros(1, requires_grad=True)], lr=0.5)
        return optimizer, e.factory(optimizer, total_steps=total, steps_per_epoch=per_epoch, **e.options())

    optimizer, schedule = make()
    rates = []
    for step in range(steps):
        if step == resume_at:
            saved = copy.deepcopy((optimizer.state_dict(), schedule.state_dict()))
            optimizer, schedule = make()
            optimizer.load_state_dict(saved[0])
            schedule.load_state_dict(saved[1])
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if e.traits.get("metric"):
            schedule.step(1.0)
        else:
            schedule.step()
    return rates


@every("schedule")
def test_schedule_resumes_to_the_bit(e: Entry):
    whole = _rates(e, 150, total=150, per_epoch=10)
    assert _rates(e, 150, total=150, per_epoch=10, resume_at=23) == whole
    assert all(0 <= rate <= 0.5 for rate in whole)
    assert (len(set(whole)) == 1) == bool(e.traits.get("constant"))


@every("schedule")
def test_schedule_survives_a_run_of_one_step_and_steps_beyond_its_end(e: Entry):
    assert all(0 <= rate <= 0.5 for rate in _rates(e, 5, total=1, per_epoch=1))


@every("procedure")
def test_procedure_is_a_function(e: Entry):
    assert callable(e.build())


@every("rate-rule")
def test_rate_rule_is_a_function(e: Entry):
    assert callable(e.build())


@every("initializer")
def test_initializer_fills_in_place_from_the_global_generator(e: Entry):
    w = torch.full((4, 6), 7.0)
    torch.manual_seed(4)
    assert e.build(w) is w
    assert not (w == 7.0).any()
    torch.manual_seed(4)
    assert torch.equal(e.build(torch.empty(4, 6)), w)
    assert not e.build(nn.Linear(3, 2).weight).grad_fn


def _examples(e: Entry, inputs: tuple[int, ...]) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Return sixteen examples: numbers, or pairs of sequences of symbols."""
    if e.traits.get("pairs"):
        return torch.randint(1, 7, (16, *inputs)), torch.randint(1, 7, (16, 4))
    return torch.randn(16, *inputs)


@every("architecture")
def test_architecture_gives_the_right_shape_and_reaches_every_parameter(e: Entry):
    torch.manual_seed(5)
    for inputs in e.traits.get("inputs", ((1, 28, 28), (3, 32, 32))):
        width = e.traits.get("outputs", 7)
        model = e.build(inputs, width, **e.traits.get("tiny", {}))
        output = model(_examples(e, inputs))
        steps = tuple(output.shape[1:-1]) if e.traits.get("steps") or e.traits.get("pairs") else ()
        assert output.shape == (16, *steps, width, *(inputs[1:] if e.traits.get("dense") else ()))
        outputs = [output, *(extra for _, extra in auxiliary_outputs(model))]
        extra = [model.penalty()] if e.traits.get("penalty") else []
        sum([one.square().sum() for one in outputs] + extra).backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
        assert model.sizes[-1] == width
