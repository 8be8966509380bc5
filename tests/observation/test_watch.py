"""The watch: what it sees, what it keeps apart, what it never does."""

from __future__ import annotations

import io
import json
import math
import os
import threading
from itertools import islice

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import _get_current_function_mode_stack
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from preceptor.errors import ConfigError, UnknownName
from preceptor.observation._listener import HOOKS
from preceptor.observation._observer import Observer
from preceptor.observation.look import Probe
from preceptor.observation.watch import LEVELS, Watch


def _problem(seed: int = 0) -> tuple[nn.Module, torch.optim.Optimizer, DataLoader, DataLoader]:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    x = torch.randn(96, 6)
    y = x[:, :3].argmax(1)
    train = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
    val = DataLoader(TensorDataset(x[:40], y[:40]), batch_size=20)
    return net, optimizer, train, val


def _fit(epochs: int = 3, seed: int = 0) -> tuple[list[float], list[float], nn.Module]:
    net, optimizer, train, val = _problem(seed)
    losses, validated = [], []
    for _ in range(epochs):
        net.train()
        for x, y in train:
            optimizer.zero_grad()
            loss = functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        net.eval()
        with torch.no_grad():
            total = sum(functional.cross_entropy(net(x), y).item() * len(y) for x, y in val)
        validated.append(total / 40)
    return losses, validated, net


@pytest.mark.parametrize("level", LEVELS)
def test_a_watched_training_is_the_same_to_the_last_bit(level: str) -> None:
    losses, validated, net = _fit()
    state = torch.get_rng_state()
    with Watch(level) as watch:
        watched_losses, watched_validated, watched_net = _fit()
    assert watched_losses == losses
    assert watched_validated == validated
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(net.parameters(), watched_net.parameters(), strict=True):
        assert torch.equal(a, b)
    assert watch.notes == []
    assert _get_current_function_mode_stack() == []


def test_losses_are_those_of_the_program_and_evaluation_is_kept_apart() -> None:
    with Watch() as watch:
        losses, validated, _ = _fit()
    train = watch.record.signal("loss", phase="train")
    evaluation = watch.record.signal("loss", phase="evaluation")
    assert train.values.tolist() == losses
    assert train.steps.tolist() == list(range(18))
    assert evaluation.values.tolist() == pytest.approx(validated, rel=1e-6)
    assert evaluation.steps.tolist() == [6, 12, 18]
    assert (watch.steps.train, watch.steps.epochs, watch.steps.evaluations) == (18, 3, 3)


def test_the_signals_of_the_standard_level() -> None:
    with Watch(budget=0.5) as watch:
        _fit(epochs=60)
    record = watch.record
    assert record.subjects("grad_norm") == ["0.weight", "0.bias", "3.weight", "3.bias"]
    for name in ("weight_norm", "update_norm", "update_ratio", "zero_grad_share", "lost_update_share"):
        assert record.subjects(name) == record.subjects("grad_norm"), name
    assert {"act_mean", "act_std", "constant_output", "inactive_units"} <= set(record.names)
    assert {"data_seconds", "forward_seconds", "backward_seconds", "optimizer_seconds"} <= set(record.names)
    assert record.signal("lr", subject="0.0").values.tolist()[0] == 1e-2
    assert record.signal("memory_bytes").last > 1e6
    assert math.isclose(
        record.signal("grad_norm", layer="0").last,
        math.hypot(*(record.signal("grad_norm", parameter=f"0.{end}").last for end in ("weight", "bias"))),
    )


def test_gradients_are_those_of_the_step() -> None:
    net, optimizer, train, _ = _problem()
    norms = []
    with Watch("full") as watch:
        for x, y in train:
            optimizer.zero_grad()
            functional.cross_entropy(net(x), y).backward()
            norms.append(net[0].weight.grad.norm().item())
            optimizer.step()
    assert watch.record.signal("grad_norm", parameter="0.weight").values.tolist() == pytest.approx(norms)


def test_the_protocol_names_lines_and_modes() -> None:
    with Watch() as watch:
        _fit()
    kinds = [event.kind for event in watch.protocol.typical()]
    assert kinds == ["batch", "zero_grad", "forward", "loss", "backward", "step"]
    events = [event for phrase in watch.protocol for event in phrase.events]
    assert all(event.where.startswith("test_watch.py:") for event in events)
    evaluation = [event for event in events if event.kind == "forward" and not event.grad]
    assert evaluation
    assert not any(event.training for event in evaluation)


def test_graphs_of_early_steps_replay() -> None:
    with Watch() as watch:
        losses, _, _ = _fit()
    assert sorted(watch.graphs) == [0, 2]
    assert watch.graph(step=2).replayable
    assert watch.graph(step=2).replay().item() == losses[2]
    assert watch.graph(step=100) is watch.graph()
    assert [node.op for node in watch.graph(2).slice()] == [
        "linear",
        "relu",
        "dropout",
        "linear",
        "cross_entropy",
    ]


def test_the_summary_is_plain_json() -> None:
    with Watch() as watch:
        _fit()
    summary = json.loads(json.dumps(watch.summary()))
    assert summary["steps"] == {"train": 18, "evaluations": 3, "epochs": 3, "backward": 18}
    assert summary["facts"]["unoptimized"] == []
    assert summary["facts"]["optimizers"][0]["class"] == "Adam"


def test_parameters_that_no_optimizer_holds_are_named() -> None:
    net, _, train, _ = _problem()
    optimizer = torch.optim.SGD(net[3].parameters(), lr=0.1)
    with Watch() as watch:
        for x, y in train:
            optimizer.zero_grad()
            functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    assert watch.record.facts["unoptimized"] == ["0.weight", "0.bias"]


def test_a_loss_that_is_not_finite_is_looked_at_closely() -> None:
    net, optimizer, _, _ = _problem()
    with Watch(budget=1e-9) as watch:
        for step in range(240):
            x = torch.ones(16, 6) * (math.nan if step >= 150 else 1.0)
            optimizer.zero_grad()
            functional.cross_entropy(net(x), torch.zeros(16, dtype=torch.long)).backward()
            optimizer.step()
    assert math.isnan(watch.record.signal("loss").values[150])
    looked = watch.record.signal("look_seconds").steps
    assert [step for step in looked if step > 100][:2] == [151, 152]
    assert watch.record.tables["offenders"]


# ---------------------------------------------------------------------- errors of our own


def by_hand() -> None:
    """Train without an optimizer."""
    w = torch.ones(2, requires_grad=True)
    for _ in range(4):
        (w**2).sum().backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
            w.grad.zero_()


def test_an_error_of_ours_after_a_backward_pass_without_an_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    def left_backward(*args: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(Observer, "left_backward", left_backward)
    with Watch() as watch:
        by_hand()
    assert [n for n in watch.notes if "error" in n] == ["an error within left_backward: RuntimeError: ours"]


@pytest.mark.parametrize("hook", sorted({*HOOKS} - {"left_backward"}))
def test_an_error_of_ours_never_reaches_the_program_and_is_told_once(
    hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses, _, _ = _fit()

    def broken(*args: object) -> None:
        raise RuntimeError("ours")

    broken.__name__ = hook
    monkeypatch.setattr(Observer, hook, broken)
    with Watch() as watch:
        assert _fit()[0] == losses
        if hook == "module_failed":
            with pytest.raises(RuntimeError, match="mat1"):
                nn.Linear(2, 1)(torch.ones(3))
        elif hook == "scaler":
            torch.amp.GradScaler("cpu").scale(torch.ones(1))
        elif hook == "gradients_asked":
            x = torch.ones(1, requires_grad=True)
            torch.autograd.grad(x.sum(), x)
        elif hook == "scheduled":
            optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters())
            torch.optim.lr_scheduler.StepLR(optimizer, 1)
        elif hook == "clipped":
            torch.nn.utils.clip_grad_norm_([torch.ones(1)], 1.0)
        elif hook == "state":
            nn.Linear(1, 1).state_dict()
        elif hook == "saved":
            torch.save({}, io.BytesIO())
        elif hook == "counted":
            assert len(DataLoader([1, 2, 3], batch_size=2)) == 2
    expected = [] if hook == "host_sync" else [f"an error within {hook}: RuntimeError: ours"]
    assert [note for note in watch.notes if "error" in note] == expected
    assert _get_current_function_mode_stack() == []


METHODS = [name for name, value in vars(Probe).items() if callable(value)]


@pytest.mark.parametrize("method", METHODS)
def test_an_error_of_a_probe_is_told_once(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    losses, _, _ = _fit()

    class Broken(Probe):
        pass

    def broken(*args: object) -> None:
        raise RuntimeError("ours")

    setattr(Broken, method, broken)
    watch = Watch()
    monkeypatch.setattr(watch._looks, "probes", [Broken(), *watch._looks.probes])
    with watch:
        assert _fit()[0] == losses
    assert watch.notes == [f"an error within Broken.{method}: RuntimeError: ours"]
    assert len(watch.record.signal("grad_norm", layer="0")) > 3


# ---------------------------------------------------------------------- use


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(UnknownName, match="standrad"):
        Watch("standrad")
    with pytest.raises(ConfigError, match="budget"):
        Watch(budget=0.0)


def test_a_watch_within_a_watch_takes_over_for_its_time() -> None:
    with Watch() as outer:
        _fit(epochs=1)
        with Watch() as inner:
            _fit(epochs=2)
        _fit(epochs=1)
    assert (outer.steps.train, inner.steps.train) == (12, 12)
    assert outer.notes == ["from step 6 on another watch took over for a while"]
    assert nn.Module.__call__.__code__.co_filename.endswith("module.py")


def test_watches_may_stop_in_any_order() -> None:
    outer, inner = Watch().start(), Watch().start()
    outer.stop()
    _fit(epochs=1)
    inner.stop()
    assert (outer.steps.train, inner.steps.train) == (0, 6)
    assert nn.Module.__call__.__code__.co_filename.endswith("module.py")


def test_a_watch_that_saw_nothing_says_so() -> None:
    with Watch() as watch:
        pass
    assert any("no backward pass" in note for note in watch.notes)
    with pytest.raises(ConfigError, match="no graph"):
        watch.graph()


def test_stopping_twice_and_starting_anew() -> None:
    watch = Watch().start()
    _fit(epochs=1)
    watch.stop().stop()
    with watch:
        _fit(epochs=1)
    assert watch.steps.train == 12


def test_a_training_in_another_thread_is_the_one_that_is_watched() -> None:
    with Watch() as watch:
        worker = threading.Thread(target=_fit)
        worker.start()
        worker.join()
    assert watch.steps.train == 18


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_not_watched() -> None:
    with Watch() as watch:
        _fit(epochs=1)
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            code = 1
            try:
                before = watch.steps.train
                nn.Linear(1, 1)(torch.ones(1)).backward()
                code = int(watch.steps.backward != 6 or watch.steps.train != before)
            finally:
                os._exit(code)
        os.close(reader)
        os.close(writer)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_memory_stays_within_the_budget() -> None:
    net = nn.Linear(4000, 1000)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-6)
    with Watch(memory=32 << 20) as watch:
        for _ in range(30):
            optimizer.zero_grad()
            functional.mse_loss(net(torch.ones(8, 4000)), torch.zeros(8, 1000)).backward()
            optimizer.step()
    kept = sum(
        leaf.tensor.untyped_storage().nbytes() if hasattr(leaf, "tensor") else 0
        for graph in watch.graphs.values()
        for leaf in graph.stored.values()
    )
    assert kept + watch.record.nbytes <= 32 << 20
    assert not watch.graph().replayable
    assert "budget" in watch.graph().broken_by


def test_loaders_made_anew_in_each_epoch_are_one_phase() -> None:
    net, optimizer, train, _ = _problem()
    with Watch() as watch:
        for _ in range(3):
            for x, y in DataLoader(train.dataset, batch_size=24):
                optimizer.zero_grad()
                functional.cross_entropy(net(x), y).backward()
                optimizer.step()
            with torch.no_grad():
                for x, y in DataLoader(train.dataset, batch_size=48):
                    functional.cross_entropy(net(x), y)
    assert len(watch.record.facts["loaders"]) == 2
    assert len(watch.record.signal("loss", phase="evaluation")) == 3


def test_a_loader_of_an_endless_stream_has_no_length() -> None:
    class Stream(IterableDataset):
        def __iter__(self):
            while True:
                yield torch.randn(6), torch.randn(1)

    net = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with Watch() as watch:
        for x, y in islice(DataLoader(Stream(), batch_size=8), 5):
            optimizer.zero_grad()
            functional.mse_loss(net(x), y).backward()
            optimizer.step()
    assert watch.notes == []
    assert [event.kind for event in watch.observed.protocol.typical()].count("batch") == 1


def test_an_evaluation_that_computes_no_loss_counts() -> None:
    net, optimizer, train, val = _problem()
    teacher = nn.Linear(6, 3).eval()
    with Watch() as watch:
        for _ in range(3):
            net.train()
            for x, y in train:
                optimizer.zero_grad()
                with torch.no_grad():
                    teacher(x)
                functional.cross_entropy(net(x), y).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                for x, _y in val:
                    net(x).argmax(1)
    assert watch.steps.evaluations == 3
    (evaluation,) = watch.record.facts["evaluations"].values()
    assert evaluation == {"passes": 3, "batches": 2, "training": False, "grad": False}


def test_evaluations_of_a_short_run_are_looked_at_to_its_end() -> None:
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x, y = torch.randn(8, 4), torch.randint(3, (8,))
    with Watch(budget=1e-6) as watch:
        for _ in range(15):
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
            with torch.no_grad():
                for _ in range(3):
                    nn.functional.cross_entropy(net(x), y)
    looks = watch.record.signal("target_mean", subject="evaluation").steps.tolist()
    assert looks == [1, 2, 3, 5, 8, 13]
