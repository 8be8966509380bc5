"""Training on a text: the state that goes on, an exact resume within an epoch, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import preceptor
from preceptor.errors import ConfigError, DataError, ModelError
from preceptor.training import State
from preceptor.training.carry import Carried

TEXT = "".join(f"{i * i % 97} plus {i % 7} is not {'very ' * (i % 3)}much\n" for i in range(120))
SMALL: dict[str, Any] = {"text.steps": 8, "training.watch": False, "text.min_count": 1}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sums.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def train(
    file: Any, model: Any = "gru", settings: dict[str, Any] | None = None, **options: Any
) -> preceptor.Run:
    own = {} if not isinstance(model, str) else {"model.hidden": 8}
    chosen = {**SMALL, **own, **(settings or {})}
    given = {"task": "language-modelling", "epochs": 1, "batch_size": 6, "out": False, **options}
    return preceptor.train(model, file, settings=chosen, **given)


class Watching(preceptor.Callback):
    """Keeps the state behind each batch, and the batches."""

    def __init__(self) -> None:
        self.states: list[Tensor] = []

    def on_batch_end(self, state: State) -> None:
        carried = state.problem.carried
        assert carried is not None
        self.states.append(carried.state[0])


@pytest.mark.slow
def test_a_carried_pass_is_truncated_back_propagation_by_hand(file: Path):
    watching = Watching()
    run = train(
        file, seed=3, lr=0.1, optimizer="sgd", callbacks=[watching], settings={"training.restore_best": False}
    )
    assert run.feeds
    batches = list(preceptor_batches(run))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = preceptor.catalogue.get(
            "gru",
            (8,),
            len(run.coder),
            hidden=8,
            vocabulary=len(run.coder),
            per_step=True,  # type: ignore[arg-type]
        )
    optimizer, state, states = torch.optim.SGD(model.parameters(), lr=0.1), None, []
    for x, y in batches:
        logits, state = model(x, state)
        state = tuple(part.detach() for part in state)
        states.append(state[0])
        optimizer.zero_grad()
        functional.cross_entropy(logits.flatten(0, 1), y.flatten()).backward()
        optimizer.step()
    assert len(states) == len(watching.states)
    for ours, theirs in zip(watching.states, states, strict=True):
        torch.testing.assert_close(ours, theirs)
    for ours, theirs in zip(run.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def preceptor_batches(run: preceptor.Run) -> Any:
    """Return the batches of the first epoch again."""
    from preceptor.data.text import ContinuousBatches

    assert run.feeds
    train = run.feeds.train
    assert isinstance(train, ContinuousBatches)
    return ContinuousBatches(train.text, batch_size=train.batch_size, steps=train.steps, seed=3).epoch()


@pytest.mark.slow
def test_measuring_does_not_touch_the_state_and_knows_what_came_before(file: Path):
    run = train(file, epochs=1)
    whole = run.evaluate("val")
    assert run.predictor.carried
    assert run.feeds
    assert run.feeds.text
    kept = run.predictor.carried.state
    val = torch.from_numpy(run.feeds.text.parts["val"].ids.astype("int64"))[None]
    with torch.no_grad():
        logits = run.model.eval()(val[:, :-1])
    exact = float(functional.cross_entropy(logits[0], val[0, 1:]))
    assert whole.loss == pytest.approx(exact, rel=0.02)  # some columns begin with eight symbols before them
    assert run.predictor.carried.state is kept
    assert whole.n == val.shape[1] - 1
    single = train(file, batch_size=1, epochs=1, settings={"text.steps": 500})
    with torch.no_grad():
        val_exact = single.model.eval()(val[:, :-1])
    assert single.evaluate("val").loss == pytest.approx(
        float(functional.cross_entropy(val_exact[0], val[0, 1:])), rel=1e-5
    )


class StopAt(preceptor.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_batch_end(self, state: State) -> None:
        if state.step == self.step:
            state.stop = "interrupted"


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lstm", "transformer", "tcn", "neural-language-model"])
@pytest.mark.parametrize("stops", [(4,), (3, 23)])
def test_a_resume_within_an_epoch_is_exact(file: Path, tmp_path: Path, model: str, stops: tuple[int, ...]):
    options: dict[str, Any] = {"model": model, "epochs": 3, "settings": {"model.dropout": 0.2}}
    whole = train(file, **options, out=tmp_path / "whole")
    assert whole.state
    assert whole.state.step > 45
    out = tmp_path / "parted"
    for i, step in enumerate(stops):
        run = train(file, **options, out=out, resume=i > 0, callbacks=[StopAt(step)])
        assert run.status == "interrupted"
    run = train(file, **options, out=out, resume=True)
    assert run.history.without("seconds") == whole.history.without("seconds")
    for ours, theirs in zip(run.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.slow
def test_the_state_begins_anew_with_an_epoch(file: Path):
    seen: list[Any] = []

    class Look(preceptor.Callback):
        def on_epoch_begin(self, state: State) -> None:
            assert state.problem.carried
            seen.append(state.problem.carried.state)

        def on_batch_end(self, state: State) -> None:
            assert state.problem.carried
            assert not state.problem.carried.state[0].requires_grad

    train(file, epochs=3, callbacks=[Look()])
    assert seen == [None, None, None]


@pytest.mark.slow
def test_accumulated_batches_go_on_from_each_other(file: Path):
    watching = Watching()
    run = train(file, grad_accumulation=2, callbacks=[watching])
    assert run.state
    assert run.state.step == -(-len(run.feeds.train) // 2)  # type: ignore[union-attr]


class Letters(nn.Module):
    """A network of one's own that hands on its state."""

    carries = True

    def __init__(self, foresight: bool = False) -> None:
        super().__init__()
        self.embedding, self.rnn = (
            nn.Embedding(40, 6),
            nn.GRU(6, 6, batch_first=True, bidirectional=foresight),
        )
        self.head = nn.Linear(6 * (1 + foresight), 40)

    def forward(self, x: Tensor, state: Any = ...) -> Any:
        carried = state is not ...
        y, state = self.rnn(self.embedding(x), state if carried else None)
        return (self.head(y), state) if carried else self.head(y)


class Windows(Letters):
    """The same without a state."""

    carries = False

    def forward(self, x: Tensor) -> Any:
        return super().forward(x)


def letters(file: Path) -> Path:
    file.write_text("".join(chr(0x61 + i % 26) + chr(0x41 + i % 13) for i in range(900)), encoding="utf-8")
    return file


@pytest.mark.slow
@pytest.mark.parametrize(("net", "carried"), [(Letters, True), (Windows, False)])
def test_networks_of_one_s_own(file: Path, net: type[nn.Module], carried: bool):
    class Fitting(net):  # type: ignore[misc, valid-type]
        """With an output for each symbol of the text, and the unknown one."""

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(6, 40)

    letters(file)
    with pytest.raises(ModelError, match=r"\(N, T, 40\)"):
        train(file.parent / letters(file).name, Windows16)
    run = train(file, Fitting)
    assert (run.predictor.carried is not None) == carried
    assert len(run.generate("a", 20, seed=0)) == 21
    with pytest.raises(ModelError, match="sees the symbols"):
        train(file, Letters(foresight=True))


class Windows16(Windows):
    """With too few outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 16)


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ("gru", {"model.bidirectional": True}, "sees the symbols"),
        ("transformer", {"model.causal": False}, "sees the symbols"),
        ("mlp", {}, "does not continue texts"),
        ("gru", {"model.vocabulary": 3}, "follows from the text"),
        ("gru", {"training.batch_size": "full"}, "no full batch"),
        ("gru", {"data.crop": 3}, "data.crop has no effect"),
        ("gru", {"optimizer.name": "l-bfgs"}, "state goes on"),
    ],
)
def test_what_does_not_suit_a_text_is_refused(file: Path, model: str, settings: dict[str, Any], message: str):
    options = {"batch_size": None} if "training.batch_size" in settings else {}
    with pytest.raises((ModelError, ConfigError), match=message):
        train(file, model, settings=settings, **options)


def test_settings_of_texts_are_for_texts():
    with pytest.raises(ConfigError, match=r"text\.steps has no effect"):
        preceptor.train(data="iris", settings={"text.steps": 3}, out=False)
    with pytest.raises(ConfigError, match="needs a text"):
        preceptor.train(data=(torch.zeros(4, 2), torch.zeros(4)), task="language-modelling", out=False)
    with pytest.raises(DataError, match="no file"):
        preceptor.train(data="nothing.txt", task="language-modeling", out=False)


def test_carried_goes_apart_and_comes_back():
    carried = Carried()
    carried.state = (torch.ones(1),)
    with carried.apart():
        assert carried.state is None
        carried.state = "another text"
    assert carried.state[0].item() == 1
    carried.load(((torch.zeros(2), [torch.ones(1)]), None), torch.device("cpu"))
    assert carried.state[1] is None
