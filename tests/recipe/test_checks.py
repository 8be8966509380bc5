"""Every check before training passes a sound network, and catches a bug that was planted for it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.data import generators
from preceptor.errors import DataError, ModelError, UnknownName
from preceptor.recipe import CHECKS, Checks, Result, Subject, _checks_many, run_checks

Loss = Callable[[Any, Any], Tensor]
CLASSES = 4


def examples(count: int = 400) -> tuple[Tensor, Tensor]:
    """Points around four centres."""
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(count) % CLASSES
    return 3 * torch.eye(6)[y] + 0.6 * torch.randn(count, 6, generator=draw), y


def net(outputs: int = CLASSES) -> nn.Sequential:
    with generators.seeded(3):
        return nn.Sequential(
            nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, outputs)
        )


def subject(model: nn.Module | None = None, loss: Loss = functional.cross_entropy, **given: Any) -> Subject:
    x, y = examples()
    x, y = given.pop("x", x), given.pop("y", y)
    return Subject(
        model or net(),
        loss,
        x[:300],
        y[:300],
        held_out=(x[300:], y[300:]),
        seconds=given.pop("seconds", 120.0),
        **given,
    )


def result(name: str, *others: str, **given: Any) -> Result:
    """Return what one check says, after others that it goes by."""
    return run_checks(subject(**given), only=(*others, name))[-1]


class Wrapped(nn.Module):
    def __init__(self, model: nn.Module | None = None) -> None:
        super().__init__()
        self.model = model or net()

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class AlwaysDropping(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(functional.dropout(x, 0.3))


class Waking(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        self.model.train()
        return self.model(x)


class Counting(Wrapped):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.mean.mul_(0.9).add_(0.1 * x.detach().mean())
        return self.model(x - self.mean)


class Asleep(Wrapped):
    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        self.model[2].eval()
        return self


class Rested(Wrapped):
    """Batch normalisation that training does not reach."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6)

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.model(self.norm(x))


class InBatch(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(x - x.mean(0))


class Deaf(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(x * 0)


class Silent(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) * 0


class Unseeded(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        noise = torch.Generator()
        noise.seed()
        return self.model(x + torch.randn(x.shape, generator=noise))


class Cut(Wrapped):
    """Half of the network is cut off from the gradient, though the loss depends on it."""

    def forward(self, x: Tensor) -> Tensor:
        inner = self.model[:4](x)
        return self.model[4:](inner.detach() + 0 * inner)


class Spare(Wrapped):
    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(6, 2)


class Halved(torch.autograd.Function):
    """The identity, with half of its slope."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return slope / 2


class Sloped(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(Halved.apply(self.model[0].weight.sum() * 0 + x)) + Halved.apply(
            self.model[5](self.model[:5](x))
        )


def filled(value: float, what: str) -> nn.Module:
    model = net()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if what in name:
                p.fill_(value)
    return model


def stretched(by: float, activation: type[nn.Module] = nn.Tanh) -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 32), activation(), nn.Linear(32, CLASSES))
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(by)
    return model


def by_hand(output: Tensor, y: Tensor) -> Tensor:
    p = output.softmax(1).gather(1, y[:, None])
    return -p.log().mean()


X, Y = examples()
NUMBERS = X[:, :1] * 2 + 5000
BROKEN = X.clone()
BROKEN[7, 2] = float("nan")
FLAGS = (Y % 2).float()
SHUFFLED = Y[torch.randperm(len(Y), generator=torch.Generator().manual_seed(1))]


def ending(*layers: nn.Module, outputs: int = CLASSES) -> nn.Module:
    return nn.Sequential(net(outputs), *layers)


PLANTED: list[tuple[str, str, dict[str, Any]]] = [
    ("gradients", "NaN in the inputs", {"x": BROKEN}),
    ("gradients", "a parameter that is not used", {"model": Spare()}),
    ("gradients", "no gradient at all", {"loss": lambda z, y: functional.cross_entropy(z.detach(), y)}),
    ("gradients", "rounded outputs", {"loss": lambda z, y: functional.cross_entropy(z.round(), y)}),
    ("initial-loss", "a last layer a hundred times too large", {"model": stretched(30.0, nn.ReLU)}),
    (
        "initial-loss",
        "targets around 5000",
        {"model": net(1), "y": NUMBERS, "loss": functional.mse_loss},
    ),
    ("outputs-suit-loss", "softmax before cross-entropy", {"model": ending(nn.Softmax(1))}),
    ("outputs-suit-loss", "nll_loss of logits", {"loss": functional.nll_loss}),
    (
        "outputs-suit-loss",
        "nll_loss of probabilities",
        {"model": ending(nn.Softmax(1)), "loss": functional.nll_loss},
    ),
    ("outputs-suit-loss", "a ReLU on the logits", {"model": ending(nn.ReLU())}),
    ("outputs-suit-loss", "the sign is wrong", {"loss": lambda z, y: -functional.cross_entropy(z, y)}),
    (
        "outputs-suit-loss",
        "sigmoid before its own loss",
        {
            "model": ending(nn.Sigmoid(), outputs=1),
            "y": FLAGS[:, None],
            "loss": functional.binary_cross_entropy_with_logits,
        },
    ),
    (
        "outputs-suit-loss",
        "tanh on targets up to nine",
        {"model": ending(nn.Tanh(), outputs=1), "y": X[:, :1] * 3, "loss": functional.mse_loss},
    ),
    ("loss-range", "a logarithm of a softmax", {"loss": by_hand}),
    (
        "shapes",
        "(N, 1) against (N)",
        {"model": net(1), "y": X[:, 0], "loss": lambda z, y: ((z - y) ** 2).mean()},
    ),
    ("loss-mean", "reduction='sum'", {"loss": lambda z, y: functional.cross_entropy(z, y, reduction="sum")}),
    ("targets", "one class", {"y": torch.zeros_like(Y)}),
    (
        "targets",
        "targets overwritten",
        {"loss": lambda z, y: functional.cross_entropy(z, z.detach().argmax(1))},
    ),
    ("evaluation-mode", "dropout in evaluation", {"model": AlwaysDropping()}),
    ("evaluation-mode", "train() in forward", {"model": Waking()}),
    ("evaluation-mode", "a statistic that evaluation moves", {"model": Counting()}),
    ("training-mode", "dropout that rests", {"model": Asleep()}),
    ("training-mode", "normalisation that rests", {"model": Rested()}),
    ("batch-independence", "centred over the batch", {"model": InBatch()}),
    (
        "batch-independence",
        "softmax over the batch",
        {"model": ending(nn.LogSoftmax(0)), "loss": functional.nll_loss},
    ),
    ("seeds", "noise of its own", {"model": Unseeded()}),
    ("gradient-check", "half the slope", {"model": Sloped()}),
    ("gradient-check", "a part cut off", {"model": Cut()}),
    ("units", "dead biases", {"model": filled(-100.0, "bias")}),
    ("units", "all weights alike", {"model": filled(0.1, "")}),
    ("units", "all zero", {"model": filled(0.0, "weight")}),
    ("units", "saturated", {"model": stretched(60.0)}),
    ("one-sample", "outputs times zero", {"model": Silent()}),
    ("handful", "deaf", {"model": Deaf()}),
    ("one-batch", "deaf", {"model": Deaf()}),
    ("ladder", "labels of others", {"y": torch.cat([SHUFFLED[:300], Y[300:]])}),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "what", "given"), PLANTED, ids=[f"{name}: {what}" for name, what, _ in PLANTED]
)
def test_a_planted_bug_is_caught(name: str, what: str, given: dict[str, Any]) -> None:
    found = result(name, **{**given, "model": copy.deepcopy(given.get("model"))})
    assert found.status == "failed", found
    assert found.text
    assert found.remedy
    assert found.decides
    assert found.source


@pytest.mark.slow
def test_inputs_that_do_not_matter_are_caught() -> None:
    assert result("inputs-matter", "one-batch", model=Deaf()).status == "failed"
    assert result("inputs-matter", "one-batch").status == "passed"


@pytest.mark.slow
def test_shuffled_labels_that_generalise_are_caught() -> None:
    """The loss goes by the first inputs, whatever the labels are."""

    class Peeking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = net()

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.model(x), x[:, :CLASSES]], 1)

    def peeking(z: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(z[:, :CLASSES], z[:, CLASSES:].argmax(1)) + 0 * y.sum()

    found = result("shuffled-labels", "ladder", model=Peeking(), loss=peeking)
    assert found.status == "failed"
    assert "generalise" in found.text


@pytest.mark.slow
def test_room_that_is_not_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A millionth of the inputs: there is room for all labels, and no way to them in so many steps."""
    monkeypatch.setattr(_checks_many, "_SECONDS", 60.0)  # however busy the machine is

    class Faint(Wrapped):
        def __init__(self) -> None:
            super().__init__(nn.Sequential(nn.Linear(6, 4096), nn.Tanh(), nn.Linear(4096, CLASSES)))

        def forward(self, x: Tensor) -> Tensor:
            return self.model(x * 1e-6)

    assert result("shuffled-labels", model=Faint()).status == "failed"


@pytest.fixture(scope="module")
def sound() -> list[Result]:
    return run_checks(subject())


@pytest.mark.parametrize("name", CHECKS)
def test_a_sound_network_passes(name: str, sound: list[Result]) -> None:
    assert next(one for one in sound if one.check == name).status == "passed"


def test_every_check_has_a_planted_bug() -> None:
    apart = {"inputs-matter", "shuffled-labels"}
    assert {name for name, _, _ in PLANTED} | apart == set(CHECKS)


WITH_LOGITS = functional.binary_cross_entropy_with_logits
SOUND: dict[str, dict[str, Any]] = {
    "two classes": {"model": net(1), "y": FLAGS[:, None], "loss": WITH_LOGITS},
    "probabilities": {
        "model": ending(nn.Sigmoid(), outputs=1), "y": FLAGS[:, None],
        "loss": functional.binary_cross_entropy,
    },
    "log-probabilities": {"model": ending(nn.LogSoftmax(1)), "loss": functional.nll_loss},
    "numbers": {"model": net(1), "y": X[:, :1], "loss": functional.mse_loss},
    "absolute": {"model": net(1), "y": X[:, 1:2], "loss": functional.l1_loss},
    "smoothed": {"loss": nn.CrossEntropyLoss(label_smoothing=0.1)},
    "weighted": {"loss": nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 1.0, 0.5]))},
    "normalised": {
        "model": nn.Sequential(nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, CLASSES))
    },
    "reconstruction": {"model": net(6), "y": X, "loss": functional.mse_loss},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOUND)
def test_sound_programs_of_many_kinds_pass(kind: str) -> None:
    quick = tuple(name for name, check in CHECKS.items() if check.gate)
    results = run_checks(subject(**copy.deepcopy(SOUND[kind])), only=quick)
    assert [str(one) for one in results if one.status == "failed"] == []


@pytest.mark.slow
def test_nothing_is_touched() -> None:
    model = net()
    model[2].eval()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    before = {name: p.clone() for name, p in model.state_dict().items()}
    x, y = examples()
    torch.manual_seed(7)
    state = generators.capture()
    run_checks(subject(model, x=x, y=y))
    assert torch.equal(torch.get_rng_state(), state["torch"])
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    assert [m.training for m in model] == [True, True, False, True, True, True]
    assert bool((model[0].weight.grad == 1).all())
    assert torch.equal(x, examples()[0])
    assert torch.get_default_dtype() is torch.float32


@pytest.mark.slow
def test_the_same_again() -> None:
    texts = [[one.text for one in run_checks(subject(), only=("one-batch", "ladder"))] for _ in range(2)]
    assert texts[0] == texts[1]


def test_without_time_nothing_is_claimed() -> None:
    assert result("handful", seconds=0.0, model=Deaf()).status == "skipped"


def test_without_examples_held_out_the_ladder_is_not_climbed() -> None:
    x, y = examples(12)
    found = run_checks(Subject(net(), functional.cross_entropy, x, y), only=("ladder",))[0]
    assert (found.status, "no examples held out" in found.text) == ("skipped", True)


def test_code_that_fails_on_other_batches_is_no_finding() -> None:
    class Fixed(Wrapped):
        def forward(self, x: Tensor) -> Tensor:
            return self.model(x.view(300, 6)[:256] if len(x) == 300 else x.view(256, 6))

    found = run_checks(Subject(Fixed(), functional.cross_entropy, *examples(256)), only=("one-sample",))[0]
    assert (found.status, "not checked: RuntimeError" in found.text) == ("skipped", True)


def test_what_cannot_be_checked_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot take the inputs"):
        run_checks(subject(nn.Linear(5, 2)))
    with pytest.raises(ModelError, match="not one number"):
        run_checks(subject(loss=nn.CrossEntropyLoss(reduction="none")))
    with pytest.raises(DataError, match="nothing to check with"):
        Subject(net(), functional.cross_entropy, torch.zeros(0, 6), torch.zeros(0))
    with pytest.raises(UnknownName, match="did you mean 'one-sample'"):
        run_checks(subject(), only=("one-samples",))


def test_what_is_said() -> None:
    made = Checks(
        (
            Result("one-sample", "passed", "one sample learnt in 18 steps"),
            Result("seeds", "failed", "from one seed …", remedy="seed your own", stops=True),
            Result("ladder", "skipped", "ladder not climbed: no examples held out"),
        )
    )
    assert str(made).splitlines() == [
        "✓ one sample learnt in 18 steps",
        "! from one seed …",
        "    remedy  seed your own",
        "· ladder not climbed: no examples held out",
    ]
    assert (made.passed, [one.check for one in made.stopping], made["ladder"].status) == (
        False,
        ["seeds"],
        "skipped",
    )
    assert "&lt;b&gt;" in Checks((Result("x", "passed", "<b>"),))._repr_html_()
    assert made.to_plain()["checks"][1]["remedy"] == "seed your own"
