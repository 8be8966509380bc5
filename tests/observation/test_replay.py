"""A recorded step gives the same numbers as an unrecorded one, its replay the same loss, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from preceptor.errors import ModelError
from preceptor.observation._graph_calls import same_bits
from preceptor.observation.capture import capture
from preceptor.observation.graph import Graph

Step = Callable[[], list[Tensor]]
CASES: dict[str, Callable[[], Step]] = {}


def case(build: Callable[[], Step]) -> Callable[[], Step]:
    CASES[build.__name__] = build
    return build


def trained(model: nn.Module, loss_of: Callable[[], Tensor], lr: float = 0.1) -> Step:
    """One step of plain training, and what it leaves behind."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)

    def step() -> list[Tensor]:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return [loss, *model.state_dict().values()]

    return step


@case
def mlp() -> Step:
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
    return trained(
        model, lambda: functional.cross_entropy(model(torch.randn(9, 6)), torch.randint(0, 3, (9,)))
    )


@case
def convolution_with_batch_norm_and_dropout() -> Step:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.4),
        nn.Flatten(),
        nn.Linear(36, 3),
    )
    return trained(
        model, lambda: functional.cross_entropy(model(torch.randn(8, 1, 8, 8)), torch.randint(0, 3, (8,)))
    )


def recurrent(kind: type[nn.RNNBase]) -> Step:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.core = kind(5, 7, num_layers=2, dropout=0.3, bidirectional=False)
            self.head = nn.Linear(7, 2)
            self.state: Any = None

        def forward(self, x: Tensor) -> Tensor:
            out, state = self.core(x, self.state)
            self.state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
            return self.head(out)

    net = Net()
    return trained(net, lambda: net(torch.randn(6, 4, 5)).square().mean())


@case
def lstm_with_dropout_and_carried_state() -> Step:
    return recurrent(nn.LSTM)


@case
def gru_with_dropout_and_carried_state() -> Step:
    return recurrent(nn.GRU)


@case
def packed_sequence() -> Step:
    core = nn.LSTM(4, 5, batch_first=True)
    embed = nn.Embedding(11, 4, padding_idx=0)
    model = nn.ModuleList([core, embed])

    def loss() -> Tensor:
        tokens = torch.randint(1, 11, (3, 6))
        packed = nn.utils.rnn.pack_padded_sequence(embed(tokens), torch.tensor([6, 4, 2]), batch_first=True)
        out, _ = nn.utils.rnn.pad_packed_sequence(core(packed)[0], batch_first=True)
        return out.square().mean()

    return trained(model, loss)


@case
def variational_autoencoder() -> Step:
    encoder, decoder = nn.Linear(6, 8), nn.Linear(4, 6)
    model = nn.ModuleList([encoder, decoder])

    def loss() -> Tensor:
        x = torch.rand(5, 6)
        mean, log_variance = encoder(x).chunk(2, dim=1)
        first = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        second = torch.distributions.Normal(mean, (0.5 * log_variance).exp()).rsample()
        fit = functional.binary_cross_entropy_with_logits(decoder(0.5 * (first + second)), x)
        return fit - 0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1).mean()

    return trained(model, loss)


@case
def transformer_encoder() -> Step:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True)
    model = nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(8, 3))
    mask = nn.Transformer.generate_square_subsequent_mask(5)

    def loss() -> Tensor:
        out = model[1](model[0](torch.randn(4, 5, 8), mask=mask, is_causal=True))
        return functional.cross_entropy(out.reshape(-1, 3), torch.randint(0, 3, (20,)))

    return trained(model, loss)


@case
def adversarial_step_with_two_losses() -> Step:
    generator = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    critic = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    first, second = (torch.optim.Adam(m.parameters(), lr=0.01) for m in (generator, critic))

    def step() -> list[Tensor]:
        real, fake = torch.randn(7, 2), generator(torch.randn(7, 3))
        second.zero_grad()
        ones, zeros = torch.ones(7, 1), torch.zeros(7, 1)
        bce = functional.binary_cross_entropy_with_logits
        loss_critic = bce(critic(real), ones) + bce(critic(fake.detach()), zeros)
        loss_critic.backward()
        second.step()
        first.zero_grad()
        loss_generator = bce(critic(fake), ones)
        loss_generator.backward()
        first.step()
        return [loss_critic, loss_generator, *generator.parameters(), *critic.parameters()]

    return step


@case
def without_modules() -> Step:
    w1, b1 = torch.randn(4, 8, requires_grad=True), torch.zeros(8, requires_grad=True)
    w2 = torch.randn(8, 1, requires_grad=True)
    data, target = torch.randn(50, 4), torch.randn(50, 1)

    def step() -> list[Tensor]:
        rows = torch.randperm(50)[:10]
        loss = (((data[rows] @ w1 + b1).clamp(min=0) @ w2 - target[rows]) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            for p in (w1, b1, w2):
                p -= 0.05 * p.grad
                p.grad.zero_()
        return [loss, w1, b1, w2]

    return step


@case
def update_through_data() -> Step:
    w = torch.randn(4, 1, requires_grad=True)

    def step() -> list[Tensor]:
        loss = (torch.randn(6, 4) @ w).square().mean()
        loss.backward()
        w.data -= 0.1 * w.grad.data
        w.grad = None
        return [loss, w]

    return step


class SoftClip(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        denominator = scale + x.abs()
        ctx.save_for_backward(denominator)
        return x / denominator

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient / ctx.saved_tensors[0] ** 2, None


@case
def custom_function() -> Step:
    layer = nn.Linear(5, 5)
    return trained(layer, lambda: SoftClip.apply(layer(torch.randn(3, 5)), 1.5).square().sum())


@case
def in_place_operators() -> Step:
    layer = nn.Linear(6, 6)

    def loss() -> Tensor:
        x = torch.randn(4, 6)
        h = layer(x).relu_().clone()
        h.add_(1.0).mul_(0.5)
        h[:, 2] = 0.25
        h[h > 0.8] = 0.8
        h += torch.arange(6.0)
        view = h[:, :2]
        view.mul_(2.0)
        functional.relu(h.sub(0.5), inplace=True)
        return h.square().mean()

    return trained(layer, loss)


@case
def several_outputs() -> Step:
    layer = nn.Linear(6, 12)

    def loss() -> Tensor:
        h = layer(torch.randn(5, 6))
        a, b = h.chunk(2, dim=1)
        c, d, e = torch.split(a, [1, 2, 3], dim=1)
        best, index = h.max(dim=1)
        top = torch.topk(b, 2, dim=1)
        rows = h.unbind(0)
        ordered, _ = torch.sort(e)
        values = top.values.sum() + best.sum() + index.float().mean() + rows[1].sum() + ordered[:, 0].sum()
        return values + c.mean() * d.std() + sum(row.mean() for row in rows)

    return trained(layer, loss)


@case
def lookups() -> Step:
    table = nn.Embedding(10, 6, max_norm=1.0)
    layer = nn.Linear(6, 4)
    model = nn.ModuleList([table, layer])

    def loss() -> Tensor:
        tokens = torch.randint(0, 10, (5, 3))
        h = layer(table(tokens)).mean(1)
        target = torch.randint(0, 4, (5,))
        hot = functional.one_hot(target, 4).float()
        picked = h.gather(1, target[:, None])
        spread = torch.zeros(5, 4).scatter(1, target[:, None], 1.0)
        added = torch.zeros(10, 4).index_add(0, tokens[:, 0], h)
        return (
            -(functional.log_softmax(h, 1) * hot).sum()
            + picked.sum()
            + (spread * h).sum()
            + added.square().sum()
        )

    return trained(model, loss)


@case
def masks() -> Step:
    layer = nn.Linear(6, 6)

    def loss() -> Tensor:
        h = layer(torch.randn(4, 6))
        mask = torch.tril(torch.ones(4, 6)).bool()
        scores = h.masked_fill(~mask, float("-inf")).softmax(-1)
        chosen = torch.where(h > 0, h, torch.zeros_like(h))
        return (scores * chosen).sum() + h[mask].mean() + torch.masked_select(h, mask).sum()

    return trained(layer, loss)


@case
def einsum_and_linear_algebra() -> Step:
    layer = nn.Linear(4, 4)

    def loss() -> Tensor:
        h = layer(torch.randn(3, 5, 4))
        gram = torch.einsum("bik,bjk->bij", h, h) + torch.eye(5)
        return (
            torch.linalg.slogdet(gram)[1].sum() + torch.cdist(h[0], h[1]).mean() + torch.bmm(gram, gram).sum()
        )

    return trained(layer, loss, lr=1e-4)


@case
def double_precision() -> Step:
    model = nn.Sequential(nn.Linear(3, 8), nn.Softplus(), nn.Linear(8, 1)).double()
    return trained(
        model, lambda: functional.huber_loss(model(torch.randn(6, 3).double()), torch.zeros(6, 1).double())
    )


@case
def gradient_penalty() -> Step:
    critic = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

    def loss() -> Tensor:
        x = torch.randn(6, 2, requires_grad=True)
        mixed = (0.3 * torch.randn(6, 2) + 0.7 * x.detach()).requires_grad_()
        out = critic(mixed)
        (slope,) = torch.autograd.grad(out, mixed, torch.ones_like(out), create_graph=True)
        return critic(x).mean() + 10 * (slope.norm(2, dim=1) - 1).square().mean()

    return trained(critic, loss)


@case
def autocast() -> Step:
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))

    def loss() -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = model(torch.randn(9, 6))
            assert out.dtype == torch.bfloat16
            return functional.cross_entropy(out, torch.randint(0, 3, (9,)))

    return trained(model, loss)


@case
def scaled_loss() -> Step:
    model = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)

    def step() -> list[Tensor]:
        optimizer.zero_grad()
        loss = model(torch.randn(5, 6)).square().mean()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        scaler.step(optimizer)
        scaler.update()
        return [loss, *model.parameters()]

    return step


@case
def accumulation() -> Step:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.2))
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> list[Tensor]:
        losses = []
        for _ in range(3):
            loss = model(torch.randn(5, 4)).square().mean() / 3
            loss.backward()
            losses.append(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return [*losses, *model.parameters()]

    return step


@case
def made_within_the_step() -> Step:
    layer = nn.Linear(4, 4)
    source = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)

    def loss() -> Tensor:
        x = torch.from_numpy(source) + torch.tensor(source.copy()) + torch.as_tensor(source.tolist())
        x = (
            x
            + torch.zeros(3, 4)
            + torch.arange(4)
            + torch.randn(3, 4)
            + torch.full((4,), 0.5)
            + torch.empty(4).fill_(2)
        )
        return layer(x).square().mean() + torch.rand(()) * layer.weight.new_ones(4).sum()

    return trained(layer, loss)


@case
def through_python() -> Step:
    layer = nn.Linear(4, 1)

    def loss() -> Tensor:
        out = layer(torch.randn(3, 4))
        scale = out.abs().max().item()
        shift = float(out.detach().mean())
        round_trip = torch.from_numpy(out.detach().numpy().copy() * 2)
        return (out / scale + shift - round_trip).square().mean() * (2.0 if out.sum() > 0 else 1.0)

    return trained(layer, loss)


@case
def checkpoint_reentrant() -> Step:
    return checkpointed(True)


@case
def checkpoint_non_reentrant() -> Step:
    return checkpointed(False)


def checkpointed(reentrant: bool) -> Step:
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 2))

    def loss() -> Tensor:
        x = torch.randn(5, 4, requires_grad=True)
        return checkpoint(model, x, use_reentrant=reentrant).square().mean()

    return trained(model, loss)


@case
def own_generator() -> Step:
    layer, generator = nn.Linear(4, 4), torch.Generator().manual_seed(5)

    def loss() -> Tensor:
        noise = torch.randn(3, 4, generator=generator) + torch.rand(3, 4)
        return (
            layer(noise).pow(2).mean()
            + torch.empty(4).bernoulli_(0.5, generator=generator).sum() * layer.bias.sum()
        )

    return trained(layer, loss)


@case
def closure() -> Step:
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)
    x, y = torch.randn(20, 3), torch.randn(20, 1)

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        loss = functional.mse_loss(model(x), y)
        loss.backward()
        return loss

    def step() -> list[Tensor]:
        loss = optimizer.step(evaluate)
        return [loss, *model.parameters()]

    return step


@case
def teacher_and_average() -> Step:
    student, teacher, average = (
        nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)) for _ in range(3)
    )
    optimizer = torch.optim.AdamW(student.parameters())

    def step() -> list[Tensor]:
        x = torch.randn(8, 4)
        with torch.no_grad():
            soft = teacher(x).softmax(-1)
        loss = functional.kl_div(student(x).log_softmax(-1), soft, reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for a, b in zip(average.parameters(), student.parameters(), strict=True):
                a.lerp_(b, 0.1)
        return [loss, *student.parameters(), *average.parameters(), *teacher.state_dict().values()]

    return step


@case
def tied_weights() -> Step:
    embed, head = nn.Embedding(9, 5), nn.Linear(5, 9, bias=False)
    head.weight = embed.weight
    model = nn.Sequential(embed, head)
    return trained(
        model, lambda: functional.cross_entropy(model(torch.randint(0, 9, (12,))), torch.randint(0, 9, (12,)))
    )


@case
def penalised_loss() -> Step:
    layer = nn.Linear(4, 2)
    return trained(
        layer,
        lambda: layer(torch.randn(3, 4)).mean() + 1e-2 * sum(p.pow(2).sum() for p in layer.parameters()),
    )


@case
def frozen_attention_in_evaluation() -> Step:
    frozen = (
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1)
        .eval()
        .requires_grad_(False)
    )
    head = nn.Linear(8, 2)
    return trained(head, lambda: head(frozen(torch.randn(3, 4, 8))).square().mean())


def run(build: Callable[[], Step], recorded: bool) -> tuple[list[Tensor], Tensor, Graph | None]:
    torch.manual_seed(3)
    step = build()
    step()
    graph = None
    if recorded:
        with capture() as captured:
            result = step()
        graph = captured.graph
    else:
        result = step()
    result = [tensor.detach().clone() for tensor in result]
    return result + [t.detach() for t in step()], torch.get_rng_state(), graph


@pytest.mark.parametrize("name", CASES)
def test_the_step_is_undisturbed_and_its_replay_is_exact(name: str) -> None:
    plain, plain_state, _ = run(CASES[name], recorded=False)
    seen, seen_state, graph = run(CASES[name], recorded=True)
    assert all(same_bits(a, b) for a, b in zip(plain, seen, strict=True))
    assert torch.equal(plain_state, seen_state)
    assert graph is not None
    assert graph.losses
    assert graph.backward
    assert graph.replayable, graph.broken_by
    assert torch.equal(torch.get_rng_state(), seen_state), "the replay left the generator elsewhere"


def test_gradients_of_the_replay_are_the_programs() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.ReLU(inplace=True), nn.Linear(8, 2))
    with capture(model) as captured:
        functional.cross_entropy(model(torch.randn(6, 4)), torch.randint(0, 2, (6,))).backward()
    parameters = captured.graph.parameters
    leaves = {v: by_name(model, v.name).detach().clone().requires_grad_() for v in parameters}
    captured.graph.replay(overrides=leaves).backward()
    for value, leaf in leaves.items():
        assert leaf.grad is not None
        assert same_bits(leaf.grad, by_name(model, value.name).grad)


def by_name(model: nn.Module, name: str) -> nn.Parameter:
    return dict(model.named_parameters())[name]


def test_overrides_answer_what_if() -> None:
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    with capture(names={"w": w}) as captured:
        (w * torch.tensor([3.0, 4.0])).sum().backward()
    graph = captured.graph
    assert graph.replay().item() == 11.0
    assert graph.replay(overrides={graph.parameters[0]: torch.zeros(2)}).item() == 0.0
    assert graph.replayable


def test_an_operator_that_cannot_be_recorded_is_named() -> None:
    w = torch.randn(3, requires_grad=True)
    with capture() as captured:
        torch.vmap(lambda row: row.sin() * 2)(w).sum().backward()
    assert not captured.graph.replayable
    assert "could not be recorded" in captured.graph.broken_by
    with pytest.raises(ModelError, match="cannot be replayed"):
        captured.graph.replay()


class Counting(torch.autograd.Function):
    calls = 0

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        Counting.calls += 1
        print("called")
        return x * Counting.calls

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def test_the_operator_that_differs_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    w = torch.ones(3, requires_grad=True)
    with capture() as captured:
        (Counting.apply(w * 2) + 1).sum().backward()
    assert captured.graph.broken_by.startswith("Counting at test_replay.py:")
    assert captured.graph.check().node is captured.graph.find("Counting")[0]
    assert capsys.readouterr().out == "called\n"


def test_a_budget_that_is_too_small_is_said() -> None:
    layer = nn.Linear(100, 100)
    with capture(budget=10_000) as captured:
        layer(torch.randn(2, 100)).sum().backward()
    assert "the budget is" in captured.graph.broken_by
    assert captured.graph.stored == {}


def test_a_change_that_nobody_saw_is_not_hidden() -> None:
    array = np.ones(3, dtype=np.float32)
    x, w = torch.from_numpy(array), torch.ones(3, requires_grad=True)
    with capture() as captured:
        loss = (x * w).sum()
        array += 1
        loss.backward()
    assert not captured.graph.replayable
    assert captured.graph.broken_by


def test_data_changed_afterwards_does_not_change_the_replay() -> None:
    x, w = torch.ones(3), torch.ones(3, requires_grad=True)
    with capture() as captured:
        (x * w).sum().backward()
    x.zero_()
    with torch.no_grad():
        w.zero_()
    assert captured.graph.replay().item() == 3.0


def test_large_data_changed_afterwards_is_noticed() -> None:
    x, w = torch.ones(600, 600), torch.ones(600, requires_grad=True)
    with capture() as captured:
        (x @ w).sum().backward()
    assert captured.graph.replay().item() == 360_000.0
    x.zero_()
    with pytest.raises(ModelError, match="changed since"):
        captured.graph.replay()


def test_constants_that_went_through_python_are_known() -> None:
    w = torch.ones(3, requires_grad=True)
    with capture() as captured:
        scale = (w * 2.5).sum().item()
        (w * scale).sum().backward()
    (item,) = captured.graph.left_graph()
    assert (item.op, item.escaped) == ("item", 7.5)
    assert [node.from_python for node in captured.graph.find("mul")] == [(), (item.index,)]
    assert captured.graph.replayable
