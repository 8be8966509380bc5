"""The loop against plain PyTorch, its ways to end, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset

from preceptor.errors import ModelError, OutOfMemory
from preceptor.tasks import Classification
from preceptor.training import Callback, Checkpoints, Problem, State, fit

MakeProblem = Callable[..., Problem]
Examples = tuple[Tensor, Tensor]


def plain_net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 3))


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert torch.equal(value, b[key]), key


class Recorder(Callback):
    """Notes every event with the step it came at."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []

    def on_train_begin(self, state: State) -> None:
        self.events.append(("train begin", state.step))

    def on_epoch_begin(self, state: State) -> None:
        self.events.append(("epoch begin", state.step))

    def on_batch_begin(self, state: State) -> None:
        self.events.append(("batch begin", state.step))

    def on_batch_end(self, state: State) -> None:
        self.events.append(("batch end", state.step))

    def on_epoch_end(self, state: State) -> None:
        self.events.append(("epoch end", state.step))

    def on_train_end(self, state: State) -> None:
        self.events.append(("train end", state.step))

    def on_exception(self, state: State) -> None:
        self.events.append(("exception", state.step))


class At(Callback):
    """Does something after some step."""

    def __init__(self, step: int, act: Callable[[State], Any]) -> None:
        self.step, self.act = step, act

    def on_batch_end(self, state: State) -> None:
        if state.step == self.step:
            self.act(state)


def stop(state: State) -> None:
    state.stop = "interrupted"


class TestAgainstPlainPyTorch:
    def test_dropout_and_fused_adam_bit_for_bit(self, make_problem: MakeProblem, examples: Examples) -> None:
        x, y = examples
        plain = make_problem().model
        optimizer = torch.optim.Adam(plain.parameters(), lr=0.01, fused=True)
        order = torch.Generator().manual_seed(7)
        torch.manual_seed(5)
        rows_of_history, best = [], None
        for _ in range(4):
            plain.train()
            total = 0.0
            for rows in torch.randperm(46, generator=order).split(8):
                optimizer.zero_grad()
                loss = cross_entropy(plain(x[rows]), y[rows])
                loss.backward()
                optimizer.step()
                total += loss.item() * len(rows)
            plain.eval()
            with torch.no_grad():
                val_loss = cross_entropy(plain(x[46:]), y[46:]).item()
            rows_of_history.append((total / 46, val_loss))
            if best is None or val_loss < best[0]:
                best = (val_loss, copied(plain))

        problem = make_problem(options={"lr": 0.01})
        torch.manual_seed(5)
        state = fit(problem, epochs=4)
        assert [(r["train_loss_running"], r["val_loss"]) for r in state.history] == rows_of_history
        assert best is not None
        assert state.last_weights is not None
        assert_equal(state.last_weights, copied(plain))
        assert_equal(copied(problem.model), best[1])

    def test_l_bfgs_bit_for_bit(self, make_problem: MakeProblem, examples: Examples) -> None:
        x, y = examples
        problem = make_problem(plain_net, optimizer="l-bfgs", batch_size=46)
        plain = make_problem(plain_net).model
        optimizer = torch.optim.LBFGS(
            plain.parameters(),
            lr=1.0,
            max_iter=20,
            tolerance_grad=1e-7,
            tolerance_change=0.0,
            history_size=10,
            line_search_fn="strong_wolfe",
        )
        order = torch.Generator().manual_seed(7)
        for _ in range(3):
            rows = torch.randperm(46, generator=order)

            def closure(rows: Tensor = rows) -> Tensor:
                optimizer.zero_grad()
                loss = cross_entropy(plain(x[rows]), y[rows])
                loss.backward()
                return loss

            optimizer.step(closure)
        state = fit(problem, epochs=3)
        assert state.last_weights is not None
        assert_equal(state.last_weights, copied(plain))

    def test_clipping_bit_for_bit(self, make_problem: MakeProblem, examples: Examples) -> None:
        x, y = examples
        plain = make_problem(plain_net).model
        optimizer = torch.optim.SGD(plain.parameters(), lr=0.5, momentum=0.9, fused=True)
        for rows in torch.randperm(46, generator=torch.Generator().manual_seed(7)).split(8):
            optimizer.zero_grad()
            cross_entropy(plain(x[rows]), y[rows]).backward()
            nn.utils.clip_grad_norm_(plain.parameters(), 0.05)
            optimizer.step()
        problem = make_problem(plain_net, optimizer="momentum", options={"lr": 0.5}, max_grad_norm=0.05)
        fit(problem, epochs=1, restore_best=False)
        assert_equal(copied(problem.model), copied(plain))

    @pytest.mark.parametrize("when", ["step", "epoch", "metric"])
    def test_schedules_step_when_they_should(self, make_problem: MakeProblem, when: str) -> None:
        def halve(optimizer: torch.optim.Optimizer) -> Any:
            if when == "metric":
                return torch.optim.lr_scheduler.ReduceLROnPlateau(
                    optimizer, factor=0.5, patience=0, threshold=9.0
                )
            return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 0.5**n)

        problem = make_problem(optimizer="sgd", options={"lr": 1.0}, batch_size=23)
        problem.scheduler, problem.scheduler_steps = halve(problem.optimizer), when  # type: ignore[assignment]
        rates = fit(problem, epochs=3).history[:, "lr"]
        assert (
            rates
            == {"step": [0.5, 0.125, 0.03125], "epoch": [1.0, 0.5, 0.25], "metric": [1.0, 0.5, 0.25]}[when]
        )


class TestAccumulation:
    @pytest.mark.parametrize("clip", [None, 0.05])
    @pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
    @pytest.mark.parametrize(("batch_size", "k"), [(4, 3), (5, 3), (4, 12), (23, 2), (1, 7)])
    def test_k_batches_are_one_of_k_times_the_size(
        self,
        make_problem: MakeProblem,
        batch_size: int,
        k: int,
        dtype: torch.dtype,
        bound: float,
        clip: float | None,
    ) -> None:
        """46 examples: batches of 4 leave one of 2, groups of three batches of 5 leave one of 1."""
        settings = {"optimizer": "sgd", "options": {"lr": 0.05}, "dtype": dtype, "max_grad_norm": clip}
        few = make_problem(plain_net, batch_size=batch_size, grad_accumulation=k, **settings)
        whole = make_problem(plain_net, batch_size=batch_size * k, **settings)
        states = [fit(problem, epochs=2, restore_best=False) for problem in (few, whole)]
        assert states[0].step == states[1].step
        for a, b in zip(few.model.parameters(), whole.model.parameters(), strict=True):
            assert (a - b).norm() <= bound * b.norm()
        losses = [state.history["train_loss_running"] for state in states]
        assert losses[0] == pytest.approx(losses[1], rel=bound)

    def test_under_a_closure(self, make_problem: MakeProblem) -> None:
        few = make_problem(
            plain_net, optimizer="l-bfgs", batch_size=10, grad_accumulation=5, dtype=torch.float64
        )
        whole = make_problem(plain_net, optimizer="l-bfgs", batch_size=46, dtype=torch.float64)
        losses = [fit(problem, epochs=3).history["val_loss"] for problem in (few, whole)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)

    def test_batches_are_counted_singly_and_steps_by_the_group(self, make_problem: MakeProblem) -> None:
        seen: list[int] = []
        problem = make_problem(batch_size=4, grad_accumulation=5)
        state = fit(problem, epochs=1, callbacks=[At(s, lambda st: seen.append(st.batch)) for s in (1, 2, 3)])
        assert seen == [5, 10, 12]
        assert state.step == 3


class TestDivergence:
    def poisoned(self, make_problem: MakeProblem, step: int, **more: Any) -> tuple[Problem, State]:
        def poison(state: State) -> None:
            with torch.no_grad():
                next(state.problem.model.parameters()).fill_(float("nan"))

        problem = make_problem()
        return problem, fit(problem, epochs=9, callbacks=[At(step, poison)], **more)

    def test_the_best_weights_are_kept_and_the_checkpoint_is_readable(
        self, make_problem: MakeProblem, tmp_path: Path
    ) -> None:
        checkpoints = Checkpoints(tmp_path / "c")
        problem, state = self.poisoned(make_problem, 14, checkpoints=checkpoints)
        assert state.stop == "diverged"
        assert (state.epoch, state.step) == (2, 15)  # the step after the blow is the last
        assert len(state.history) == 2
        tree = checkpoints.load()
        assert tree["stop"] == "diverged"
        assert all(value.isfinite().all() for value in tree["best"]["weights"].values())
        assert_equal(copied(problem.model), tree["best"]["weights"])
        again = make_problem()
        assert fit(again, epochs=9, resume=tree).step == 15  # it does not go on from there
        assert_equal(copied(again.model), copied(problem.model))

    def test_in_the_first_epoch_there_is_nothing_to_restore(self, make_problem: MakeProblem) -> None:
        problem, state = self.poisoned(make_problem, 2)
        assert (state.stop, state.epoch, state.best_epoch, state.best_weights) == ("diverged", 0, None, None)
        assert not all(p.isfinite().all() for p in problem.model.parameters())

    def test_a_learning_rate_that_is_too_large(self, make_problem: MakeProblem) -> None:
        problem = make_problem(plain_net, optimizer="sgd", options={"lr": 1e38})
        assert fit(problem, epochs=3).stop == "diverged"


class TestSignals:
    def test_an_interrupt_ends_after_the_step_and_the_handlers_come_back(
        self, make_problem: MakeProblem
    ) -> None:
        before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
        state = fit(make_problem(), callbacks=[At(3, lambda _: signal.raise_signal(signal.SIGINT))])
        assert (state.stop, state.step, state.epoch) == ("interrupted", 3, 0)
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before

    def test_sigterm_does_too(self, make_problem: MakeProblem) -> None:
        state = fit(make_problem(), callbacks=[At(8, lambda _: os.kill(os.getpid(), signal.SIGTERM))])
        assert (state.stop, state.step) == ("interrupted", 8)

    def test_a_users_own_handler_comes_back(self, make_problem: MakeProblem) -> None:
        def own(*_: Any) -> None: ...

        before = signal.signal(signal.SIGINT, own)
        try:
            fit(make_problem(), epochs=1)
            assert signal.getsignal(signal.SIGINT) is own
        finally:
            signal.signal(signal.SIGINT, before)

    def test_a_second_interrupt_ends_it_at_once(self, make_problem: MakeProblem) -> None:
        def twice(_: State) -> None:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

        before, recorder = signal.getsignal(signal.SIGINT), Recorder()
        with pytest.raises(KeyboardInterrupt):
            fit(make_problem(), callbacks=[At(3, twice), recorder])
        assert signal.getsignal(signal.SIGINT) is before
        assert recorder.events[-1] == ("exception", 3)

    def test_what_was_decided_is_not_overruled(self, make_problem: MakeProblem) -> None:
        class Enough(Callback):
            def on_epoch_end(self, state: State) -> None:
                state.stop = "seen enough"
                signal.raise_signal(signal.SIGINT)

        assert fit(make_problem(), callbacks=[Enough()]).stop == "seen enough"

    def test_a_thread_trains_without_touching_signals(self, make_problem: MakeProblem) -> None:
        torch.manual_seed(1)
        whole = fit(make_problem(), epochs=2)
        torch.manual_seed(1)
        states: list[State] = []
        seen: list[Any] = []
        look = At(1, lambda _: seen.append(signal.getsignal(signal.SIGINT)))
        thread = threading.Thread(
            target=lambda: states.append(fit(make_problem(), epochs=2, callbacks=[look]))
        )
        thread.start()
        thread.join()
        assert seen == [signal.getsignal(signal.SIGINT)]
        assert states[0].last_weights is not None
        assert whole.last_weights is not None
        assert_equal(states[0].last_weights, whole.last_weights)


class TestExceptions:
    def test_callbacks_are_told_and_it_goes_on(self, make_problem: MakeProblem) -> None:
        told: list[BaseException | None] = []

        class Listener(Callback):
            def on_exception(self, state: State) -> None:
                told.append(state.exception)

        error = ArithmeticError("mine")

        def fail(_: State) -> None:
            raise error

        with pytest.raises(ArithmeticError) as caught:
            fit(make_problem(), callbacks=[At(2, fail), Listener()])
        assert caught.value is error
        assert told == [error]

    @pytest.mark.parametrize(
        "error",
        [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 1 GB")],
    )
    def test_out_of_memory_says_what_to_try(self, make_problem: MakeProblem, error: Exception) -> None:
        class Greedy(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.w = nn.Parameter(torch.zeros(6, 3))

            def forward(self, x: Tensor) -> Tensor:
                raise error

        with pytest.raises(OutOfMemory, match=r"batch_size=8, in parts of 1 on cpu[\s\S]*a smaller model"):
            fit(make_problem(Greedy))

    def test_labels_out_of_range_are_named(self, make_problem: MakeProblem) -> None:
        with pytest.raises(ModelError, match=r"labels are out of range[\s\S]*0…1[\s\S]*largest 2"):
            fit(make_problem(lambda: nn.Linear(6, 2), task=Classification(("a", "b"), loss="cross-entropy")))

    def test_an_index_error_in_the_users_data_stays_what_it_is(self, make_problem: MakeProblem) -> None:
        class Short(TorchDataset[Any]):
            def __len__(self) -> int:
                return 9

            def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
                return torch.zeros(8, 6)[i], torch.tensor(0)

        with pytest.raises(IndexError, match="out of bounds"):
            fit(make_problem(loader=DataLoader(Short(), batch_size=4), val=False))


class TestWrongLengths:
    """An epoch ends where the loader ends, whatever it says of its length."""

    def stream(self, examples: Examples, says: int) -> DataLoader[Any]:
        x, y = examples

        class Told(IterableDataset[Any]):
            def __len__(self) -> int:
                return says

            def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
                return ((a + 0.1 * torch.randn(6), b) for a, b in zip(x[:20], y[:20], strict=True))

        return DataLoader(Told(), batch_size=4)

    @pytest.mark.parametrize("says", [8, 20, 40])
    def test_every_batch_is_used(self, make_problem: MakeProblem, examples: Examples, says: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, that the length is wrong
            state = fit(make_problem(loader=self.stream(examples, says)), epochs=2)
        assert (state.epoch, state.step) == (2, 10)

    @pytest.mark.parametrize("says", [8, 20, 40])
    @pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 8, 9])
    def test_a_resume_draws_what_was_left(
        self, make_problem: MakeProblem, examples: Examples, tmp_path: Path, says: int, at: int
    ) -> None:
        checkpoints = Checkpoints(tmp_path / "c")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(1)
            whole = fit(make_problem(loader=self.stream(examples, says)), epochs=2)
            torch.manual_seed(1)
            problem = make_problem(loader=self.stream(examples, says))
            parted = fit(problem, epochs=2, checkpoints=checkpoints, callbacks=[At(at, stop)])
            assert parted.step == at
            torch.manual_seed(99)
            problem = make_problem(loader=self.stream(examples, says))
            resumed = fit(problem, epochs=2, resume=checkpoints.load())
        assert whole.last_weights is not None
        assert resumed.last_weights is not None
        assert_equal(whole.last_weights, resumed.last_weights)
        assert whole.history.without("seconds") == resumed.history.without("seconds")


class TestModes:
    class Noisy(nn.Module):
        """Draws random numbers in evaluation mode too."""

        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(dropout(x, 0.2, training=True))

    @pytest.mark.parametrize("at", [3, 6, 7])
    def test_a_model_that_is_random_in_evaluation_resumes_exactly(
        self, make_problem: MakeProblem, tmp_path: Path, at: int
    ) -> None:
        torch.manual_seed(1)
        whole = fit(make_problem(self.Noisy), epochs=3)
        torch.manual_seed(1)
        checkpoints = Checkpoints(tmp_path / "c")
        fit(make_problem(self.Noisy), epochs=3, checkpoints=checkpoints, callbacks=[At(at, stop)])
        resumed = fit(make_problem(self.Noisy), epochs=3, resume=checkpoints.load())
        assert whole.history.without("seconds") == resumed.history.without("seconds")

    def test_every_epoch_begins_in_training_mode(self, make_problem: MakeProblem) -> None:
        modes: list[bool] = []

        class Look(Callback):
            def on_epoch_begin(self, state: State) -> None:
                modes.extend(m.training for m in state.problem.model.modules())
                state.problem.model.eval()

        problem = make_problem()
        problem.model.eval()
        fit(problem, epochs=2, callbacks=[Look()])
        assert set(modes) == {True}

    def test_a_callback_can_freeze_statistics(self, make_problem: MakeProblem) -> None:
        class Freeze(Callback):
            def on_epoch_begin(self, state: State) -> None:
                state.problem.model.get_submodule("0").eval()

        def net() -> nn.Module:
            return nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3))

        frozen, free = make_problem(net), make_problem(net)
        start = copied(frozen.model)
        fit(frozen, epochs=2, restore_best=False, callbacks=[Freeze()])
        fit(free, epochs=2, restore_best=False)
        assert torch.equal(frozen.model.get_buffer("0.running_mean"), start["0.running_mean"])
        assert not torch.equal(free.model.get_buffer("0.running_mean"), start["0.running_mean"])


class TestEnds:
    def test_events_in_order(self, make_problem: MakeProblem) -> None:
        recorder = Recorder()
        fit(make_problem(batch_size=23), epochs=2, callbacks=[recorder])
        step = [("batch begin", 0), ("batch end", 1)]
        epoch = [("epoch begin", 0), *step, *((name, n + 1) for name, n in step), ("epoch end", 2)]
        assert recorder.events == [
            ("train begin", 0),
            *epoch,
            *((name, n + 2) for name, n in epoch),
            ("train end", 4),
        ]

    def test_early_stopping_counts_epochs_since_the_best(self, make_problem: MakeProblem) -> None:
        problem = make_problem(plain_net, optimizer="sgd", options={"lr": 3.0})
        state = fit(problem, epochs=60, patience=4)
        assert state.stop == "early stopping"
        assert state.best_epoch == len(state.history) - 4
        assert state.best == min(state.history["val_loss"])

    def test_min_delta_asks_for_more(self, make_problem: MakeProblem) -> None:
        state = fit(make_problem(plain_net), epochs=60, patience=3, min_delta=9.0)
        assert (state.stop, state.epoch, state.best_epoch) == ("early stopping", 4, 1)

    def test_the_last_weights_stay_where_the_best_are_not_wanted(self, make_problem: MakeProblem) -> None:
        problem = make_problem(optimizer="sgd", options={"lr": 3.0})
        state = fit(problem, epochs=6, restore_best=False)
        assert state.best_weights is None
        assert state.last_weights is not None
        assert_equal(copied(problem.model), state.last_weights)

    def test_a_reason_of_a_callbacks_own(self, make_problem: MakeProblem) -> None:
        def enough(state: State) -> None:
            state.stop = "seen enough"

        state = fit(make_problem(), callbacks=[At(6, enough)])
        assert (state.stop, state.epoch) == ("seen enough", 1)  # 6 steps are a whole epoch, which is measured
        assert state.finished

    def test_a_row_has_all_that_was_measured(self, make_problem: MakeProblem) -> None:
        problem = make_problem()
        problem.probe = problem.val
        (row,) = fit(problem, epochs=1).history
        measured = [
            f"{part}_{name}" for part in ("train", "val") for name in ("loss", "accuracy", "macro_f1")
        ]
        assert list(row) == ["epoch", "train_loss_running", *measured, "lr", "seconds"]
        assert row["train_loss"] == row["val_loss"]

    def test_an_interrupt_in_the_epoch_that_stops_early(
        self, make_problem: MakeProblem, tmp_path: Path
    ) -> None:
        settings = {"epochs": 60, "patience": 1}
        problem = {"optimizer": "sgd", "options": {"lr": 3.0}}
        whole = fit(make_problem(plain_net, **problem), **settings)
        checkpoints = Checkpoints(tmp_path / "c")
        parted = fit(
            make_problem(plain_net, **problem),
            **settings,
            checkpoints=checkpoints,
            callbacks=[At(whole.step, stop)],
        )
        assert parted.stop == "early stopping"
        resumed = fit(make_problem(plain_net, **problem), **settings, resume=checkpoints.load())
        assert (resumed.step, resumed.stop) == (whole.step, "early stopping")

    @pytest.mark.slow
    def test_more_patience_goes_on(self, make_problem: MakeProblem, tmp_path: Path) -> None:
        problem = {"optimizer": "sgd", "options": {"lr": 3.0}}
        whole = fit(make_problem(plain_net, **problem), epochs=30, patience=None)
        checkpoints = Checkpoints(tmp_path / "c")
        parted = fit(make_problem(plain_net, **problem), epochs=30, patience=1, checkpoints=checkpoints)
        assert parted.epoch < 30
        resumed = fit(make_problem(plain_net, **problem), epochs=30, patience=None, resume=checkpoints.load())
        assert resumed.history.without("seconds") == whole.history.without("seconds")
