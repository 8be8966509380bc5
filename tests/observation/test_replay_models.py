"""Architectures: recording changes nothing, and the replay gives the same loss to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

Step = Callable[[], list[Tensor]]
Case = Step | tuple[Any, ...]  # a step, or what is trained and its loss (see the fixture)


def mlp() -> Case:
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
    return (model, lambda: functional.cross_entropy(model(torch.randn(9, 6)), torch.randint(0, 3, (9,))))


def convolution_with_batch_norm_and_dropout() -> Case:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.4),
        nn.Flatten(),
        nn.Linear(36, 3),
    )
    return (
        model,
        lambda: functional.cross_entropy(model(torch.randn(8, 1, 8, 8)), torch.randint(0, 3, (8,))),
    )


def recurrent(kind: type[nn.RNNBase]) -> Case:
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
    return (net, lambda: net(torch.randn(6, 4, 5)).square().mean())


def lstm_with_dropout_and_carried_state() -> Case:
    return recurrent(nn.LSTM)


def gru_with_dropout_and_carried_state() -> Case:
    return recurrent(nn.GRU)


def packed_sequence() -> Case:
    core = nn.LSTM(4, 5, batch_first=True)
    embed = nn.Embedding(11, 4, padding_idx=0)
    model = nn.ModuleList([core, embed])

    def loss() -> Tensor:
        tokens = torch.randint(1, 11, (3, 6))
        packed = nn.utils.rnn.pack_padded_sequence(embed(tokens), torch.tensor([6, 4, 2]), batch_first=True)
        out, _ = nn.utils.rnn.pad_packed_sequence(core(packed)[0], batch_first=True)
        return out.square().mean()

    return (model, loss)


def variational_autoencoder() -> Case:
    encoder, decoder = nn.Linear(6, 8), nn.Linear(4, 6)
    model = nn.ModuleList([encoder, decoder])

    def loss() -> Tensor:
        x = torch.rand(5, 6)
        mean, log_variance = encoder(x).chunk(2, dim=1)
        first = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        second = torch.distributions.Normal(mean, (0.5 * log_variance).exp()).rsample()
        fit = functional.binary_cross_entropy_with_logits(decoder(0.5 * (first + second)), x)
        return fit - 0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1).mean()

    return (model, loss)


def transformer_encoder() -> Case:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True)
    model = nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(8, 3))
    mask = nn.Transformer.generate_square_subsequent_mask(5)

    def loss() -> Tensor:
        out = model[1](model[0](torch.randn(4, 5, 8), mask=mask, is_causal=True))
        return functional.cross_entropy(out.reshape(-1, 3), torch.randint(0, 3, (20,)))

    return (model, loss)


def frozen_attention_in_evaluation() -> Case:
    frozen = (
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1)
        .eval()
        .requires_grad_(False)
    )
    head = nn.Linear(8, 2)
    return (head, lambda: head(frozen(torch.randn(3, 4, 8))).square().mean())


def adversarial_step_with_two_losses() -> Case:
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


def teacher_and_average() -> Case:
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


def tied_weights() -> Case:
    embed, head = nn.Embedding(9, 5), nn.Linear(5, 9, bias=False)
    head.weight = embed.weight
    model = nn.Sequential(embed, head)
    return (
        model,
        lambda: functional.cross_entropy(model(torch.randint(0, 9, (12,))), torch.randint(0, 9, (12,))),
    )


def penalised_loss() -> Case:
    layer = nn.Linear(4, 2)
    return (
        layer,
        lambda: layer(torch.randn(3, 4)).mean() + 1e-2 * sum(p.pow(2).sum() for p in layer.parameters()),
    )


@pytest.mark.parametrize(
    "build",
    [
        mlp,
        convolution_with_batch_norm_and_dropout,
        lstm_with_dropout_and_carried_state,
        gru_with_dropout_and_carried_state,
        packed_sequence,
        variational_autoencoder,
        transformer_encoder,
        frozen_attention_in_evaluation,
        adversarial_step_with_two_losses,
        teacher_and_average,
        tied_weights,
        penalised_loss,
    ],
)
def test_the_step_is_undisturbed_and_its_replay_is_exact(
    build: Callable[[], Case], exact: Callable[[Callable[[], Case]], None]
) -> None:
    exact(build)
