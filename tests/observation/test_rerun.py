"""Recorded steps run anew: with other parameters, other batches, and edits."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from preceptor.errors import ModelError
from preceptor.observation.capture import capture
from preceptor.observation.kept import Kept, Settings
from preceptor.observation.rerun import Rerun
from preceptor.observation.watch import Watch

X, Y = torch.randn(8, 4), torch.randint(3, (8,))


def recorded(model: nn.Module, x=X, y=Y, before=lambda x: x):
    with capture(model) as captured:
        loss = functional.cross_entropy(model(before(x)), y)
        loss.backward()
    return Rerun(captured.graph), loss


def test_the_recorded_step_gives_its_own_loss_and_gradients() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    rerun, loss = recorded(model)
    parameters = {cell: tensor.requires_grad_() for cell, tensor in rerun.initial().items()}
    again = rerun.run(parameters, rerun.batch)
    again.backward()
    assert torch.equal(again, loss)
    names = {value.name: parameters[cell].grad for cell, value in rerun.parameters.items()}
    assert all(torch.equal(names[name], p.grad) for name, p in model.named_parameters())


def test_another_batch() -> None:
    model = nn.Linear(4, 3)
    rerun, _ = recorded(model)
    x, y = torch.randn(5, 4), torch.randint(3, (5,))
    cells = {tuple(tensor.shape): cell for cell, tensor in rerun.batch.items()}
    batch = {cells[8, 4]: x, cells[8,]: y}
    assert torch.equal(rerun.run({}, batch), functional.cross_entropy(model(x), y))


def test_what_comes_before_anything_learned_is_run_once() -> None:
    rerun, loss = recorded(nn.Linear(4, 3), before=lambda x: (x - x.mean(0)) / x.std(0))
    assert [node.op for node in rerun.nodes] == ["linear", "cross_entropy"]
    assert torch.equal(rerun.run({}, rerun.batch), loss)


def test_random_operators_draw_anew() -> None:
    rerun, _ = recorded(nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3)))
    rerun, _ = recorded(nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.5), nn.Linear(64, 3)))
    torch.manual_seed(0)
    first, second = rerun.run({}, rerun.batch), rerun.run({}, rerun.batch)
    torch.manual_seed(0)
    assert not torch.equal(first, second)
    assert torch.equal(first, rerun.run({}, rerun.batch))


def test_an_edit_takes_the_place_of_an_operator() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
    rerun, _ = recorded(model)
    (softmax,) = [node.index for node in rerun.nodes if node.op == "softmax"]
    edited = rerun.run({}, rerun.batch, edits={softmax: lambda function, args, kwargs: args[0]})
    assert torch.equal(edited, functional.cross_entropy(model[0](X), Y))


def test_what_is_written_in_place_starts_anew_each_time() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(inplace=True), nn.Linear(6, 3))
    rerun, loss = recorded(model)
    assert torch.equal(rerun.run({}, rerun.batch), loss)
    assert torch.equal(rerun.run({}, rerun.batch), loss)


def test_recurrent_nets() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 3)

        def forward(self, x):
            return self.head(self.rnn(x)[0][:, -1])

    rerun, loss = recorded(Reader(), x=torch.randn(8, 5, 4))
    assert torch.equal(rerun.run({}, rerun.batch), loss)


def test_a_graph_whose_tensors_are_gone() -> None:
    from preceptor.observation._graph_plain import graph_from_plain, graph_to_plain

    model = nn.Linear(4, 3)
    with capture(model) as captured:
        functional.cross_entropy(model(X), Y).backward()
    with pytest.raises(ModelError, match="cannot be replayed"):
        Rerun(graph_from_plain(graph_to_plain(captured.graph)))


# ------------------------------------------------------------------ what a watch keeps


def train(watch: Watch, steps: int) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with watch:
        for _ in range(steps):
            optimizer.zero_grad()
            functional.cross_entropy(model(torch.randn(8, 4)), Y).backward()
            optimizer.step()
    return model


@pytest.mark.slow
def test_steps_are_kept_only_where_asked_for() -> None:
    watch = Watch()
    train(watch, 5)
    assert watch.kept is None
    watch = Watch(trials=True)
    train(watch, 100)
    assert watch.kept is not None
    assert 24 <= len(watch.kept.graphs) <= 64
    assert list(watch.kept.graphs)[:10] == list(range(10))


def test_watching_for_trials_changes_no_bit() -> None:
    plain, kept = train(Watch(), 30), train(Watch(trials=True), 30)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), kept.parameters(), strict=True))


def test_the_graphs_for_people_stay_whole() -> None:
    watch = Watch(trials=True)
    train(watch, 30)
    assert watch.graph(step=2).replayable
    assert watch.graph(step=2).loss.statistics is not None


def test_settings_are_those_before_the_first_step() -> None:
    watch = Watch(trials=True)
    train(watch, 5)
    (settings,) = watch.kept.optimizers.values()
    assert settings.kind is torch.optim.SGD
    assert (settings.groups[0]["lr"], settings.groups[0]["momentum"], settings.fresh) == (0.1, 0.9, True)
    assert "params" not in settings.groups[0]


def test_what_has_stepped_before_is_not_fresh() -> None:
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert not Settings.of(optimizer).fresh


def test_memory_bounds_what_is_kept() -> None:
    kept, model = Kept(memory=1), nn.Linear(4, 3)
    with capture(model) as captured:
        functional.cross_entropy(model(X), Y).backward()
    assert kept.wants(0, 0.0)
    kept.add(0, captured.graph, 0.0)
    assert not kept.wants(1, 0.0)
