"""Steps that go by alike are counted without hearing every call; what is unusual is heard."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from preceptor.observation._observer import Observer
from preceptor.observation.watch import Watch

X, Y = torch.randn(320, 4), torch.randint(3, (320,))


class Dozing(Watch):
    """Counts the steps that went by unheard."""

    def __init__(self, level: str = "standard", **options) -> None:
        super().__init__(level, **options)
        self.unheard = 0
        goes_by = self._observer.goes_by

        def counted(optimizer):
            self.unheard += 1
            return goes_by(optimizer)

        self._observer.goes_by = counted


def train(watch: Watch, epochs: int, *, after=lambda number, model: None, optimizer=torch.optim.SGD):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 3))
    stepping = optimizer(model.parameters(), lr=0.1)
    losses = []
    with watch:
        for _ in range(epochs):
            for number, (x, y) in enumerate(DataLoader(TensorDataset(X, Y), 8, shuffle=True)):
                model.train()
                stepping.zero_grad()
                loss = functional.cross_entropy(model(x), y)
                loss.backward()
                stepping.step()
                losses.append(loss.item())
                after(number, model)
    return losses


def told(watch: Watch) -> list[str]:
    """Every call of every step, in order."""
    return [str(event) for phrase in watch.protocol for _ in range(phrase.repeats) for event in phrase.events]


@pytest.mark.slow
def test_steps_losses_and_protocol_are_the_same_as_when_every_call_is_heard() -> None:
    watch, full = Dozing(), Watch("full")
    losses, heard = train(watch, 10), train(full, 10)
    assert losses == heard
    assert watch.unheard > 150
    assert (watch.steps.train, watch.steps.epochs, watch.steps.backward) == (400, 10, 400)
    assert list(watch.record.signal("loss", phase="train").values) == pytest.approx(losses)
    assert told(watch) == told(full)
    assert len(watch.protocol) == len(full.protocol) == 401


def over_one_loader(watch: Watch, *, epochs: int = 20, leave: int | None = None) -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(X, Y), 16, shuffle=True)
    with watch:
        for _ in range(epochs):
            for number, (x, y) in enumerate(loader):
                if number == leave:
                    break
                optimizer.zero_grad()
                functional.cross_entropy(model(x), y).backward()
                optimizer.step()


@pytest.mark.slow
def test_a_new_epoch_over_the_same_loader_wakes_nobody() -> None:
    watch, full = Dozing(), Watch("full")
    over_one_loader(watch)
    over_one_loader(full)
    assert watch.unheard > 230
    assert watch.steps == full.steps
    assert told(watch) == told(full)
    assert len(watch.protocol) == len(full.protocol)


def test_epochs_that_are_left_early_are_counted_unheard_too() -> None:
    watch, full = Dozing(), Watch("full")
    over_one_loader(watch, epochs=30, leave=10)
    over_one_loader(full, epochs=30, leave=10)
    assert watch.unheard > 60
    assert watch.steps == full.steps


def scheduled(watch: Watch, *, every: int, measured: bool = False) -> None:
    """Train with a schedule that moves on after so many steps."""
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.999)
    loader = DataLoader(TensorDataset(X, Y), 16, shuffle=True)
    with watch:
        for _ in range(20):
            for number, (x, y) in enumerate(loader, 1):
                optimizer.zero_grad()
                functional.cross_entropy(model(x), y).backward()
                optimizer.step()
                if number % every == 0:
                    schedule.step()
            if measured:
                with torch.no_grad():
                    functional.cross_entropy(model(X), Y)


@pytest.mark.parametrize("measured", [False, True])
def test_a_schedule_that_moves_on_at_every_step_goes_by_and_its_rates_are_written_down(measured) -> None:
    watch, full = Dozing(), Watch("full")
    scheduled(watch, every=1, measured=measured)
    scheduled(full, every=1, measured=measured)
    assert watch.unheard > 150
    assert watch.steps == full.steps
    rates, heard = watch.record.signal("lr"), full.record.signal("lr")
    assert (list(rates.steps), list(rates.values)) == (list(heard.steps), list(heard.values))
    assert told(watch) == told(full)


def test_a_schedule_that_moves_on_now_and_then_is_heard() -> None:
    watch, full = Dozing(), Watch("full")
    scheduled(watch, every=20)
    scheduled(full, every=20)
    assert watch.unheard > 150
    assert told(watch) == told(full)


def adversaries(watch: Watch, *, critics: int = 1, odd: int | None = None) -> list[float]:
    """Train two networks by turns, one of them several times a turn; at the step ``odd`` it is left out."""
    torch.manual_seed(0)
    maker, critic = nn.Linear(3, 4), nn.Linear(4, 1)
    making = torch.optim.Adam(maker.parameters(), lr=1e-3)
    judging = torch.optim.Adam(critic.parameters(), lr=2e-3)
    criterion, losses = nn.BCEWithLogitsLoss(), []
    with watch:
        for step in range(260):
            real, false = torch.ones(8, 1), torch.zeros(8, 1)
            for _ in range(critics if step != odd else 0):
                judging.zero_grad()
                loss = criterion(critic(X[:8]), real)
                loss = loss + criterion(critic(maker(torch.randn(8, 3)).detach()), false)
                loss.backward()
                judging.step()
                losses.append(loss.item())
            making.zero_grad()
            loss = criterion(critic(maker(torch.randn(8, 3))), real)
            loss.backward()
            making.step()
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("critics", "odd"), [(1, None), (1, 200), (3, None), (3, 200)])
def test_optimizers_that_take_turns_go_by_together(critics, odd) -> None:
    watch, full = Dozing(), Watch("full")
    losses, heard = adversaries(watch, critics=critics, odd=odd), adversaries(full, critics=critics, odd=odd)
    assert losses == heard
    assert watch.unheard > 60
    assert watch.steps == full.steps
    for phase in ("train", "train:1"):
        mine, theirs = (w.record.signal("loss", phase=phase) for w in (watch, full))
        assert list(mine.steps) == list(theirs.steps)
        assert list(mine.values) == list(theirs.values)
    assert told(watch) == told(full)


def test_what_is_unusual_is_heard() -> None:
    def after(number, model):
        if number == 25:
            model.eval()
            with torch.no_grad():
                functional.cross_entropy(model(X), Y)

    watch, full = Dozing(), Watch("full")
    train(watch, 10, after=after)
    train(full, 10, after=after)
    assert watch.unheard > 100
    assert watch.steps.evaluations == full.steps.evaluations == 10
    assert told(watch) == told(full)


def test_an_evaluation_without_a_change_of_mode_is_heard() -> None:
    def after(number, model):
        if number == 25:
            with torch.no_grad():
                functional.cross_entropy(model(X), Y)

    watch = Dozing()
    train(watch, 10, after=after)
    assert watch.unheard > 100
    assert watch.steps.evaluations == 10


def test_learning_rates_and_values_that_are_not_finite_are_seen() -> None:
    def after(number, model):
        counter.append(number)
        if len(counter) == 300:
            with torch.no_grad():
                model[0].weight.fill_(float("nan"))

    counter: list[int] = []
    watch = Dozing()
    train(watch, 10, after=after)
    looked = watch.record.signal("total_grad_norm").steps
    assert watch.unheard > 100
    assert any(299 < step < 310 for step in looked)


def test_at_full_level_every_call_is_heard() -> None:
    watch = Dozing("full")
    train(watch, 5)
    assert watch.unheard == 0


def test_closures_are_always_heard() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=1e-9, max_iter=2)

    def closure():
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(X), Y)
        loss.backward()
        return loss

    watch = Dozing()
    with watch:
        for _ in range(200):
            optimizer.step(closure)
    assert watch.unheard == 0
    assert watch.steps.train == 200


def test_an_error_of_ours_while_steps_go_by_reaches_nobody(monkeypatch) -> None:
    heard = train(Watch("full"), 8)

    def broken(*args: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(Observer, "goes_by", broken)
    watch = Watch()
    assert train(watch, 8) == heard
    assert len([note for note in watch.notes if "RuntimeError: ours" in note]) == 1
