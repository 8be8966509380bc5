"""How far back recurrent networks learn from: the adding problem, and a text that is said again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.data.memory_tasks import adding_problem, copy_task
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, more, near
from preceptor.labs.chapters.sequences._fitting import fit

_RATES = {"rnn": 1e-3, "irnn": 1e-3, "gru": 1e-2, "lstm": 1e-2}
_LENGTH, _BATCH, _ALWAYS_ONE = 50, 32, 1 / 6
_COPIED = 20


@lab(
    "sequences",
    {
        "identity-rnn": Claim(
            "Rectified units that start by copying their state learn dependencies over 50 steps that "
            "Elman's network does not find.",
            source="Le, Jaitly and Hinton, A Simple Way to Initialize Recurrent Networks of Rectified "
            "Linear Units, 2015",
            reference="97 % on MNIST read pixel by pixel",
        ),
        "gated-memory": Claim(
            "The gates of an LSTM and of a GRU keep gradients from vanishing: both learn to remember over "
            "50 steps.",
            source="Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; Cho et al., Learning Phrase "
            "Representations using RNN Encoder–Decoder, 2014",
        ),
    },
    data="the adding problem of 50 steps, new sequences in every batch of 32; 64 units, Adam at 0.001 (rnn, "
    "irnn) and 0.01 (gru, lstm), at most 1,200 steps, fewer where the error is below 0.004",
    rule="over seeds, the mean squared error on 2,000 other sequences: rnn 0.167 ± 0.02, which is what "
    "always saying 1 has; irnn less than rnn by more than 0.05; gru and lstm below 1/6 by more than 0.1",
)
def adding_two_numbers(setup: Setup) -> Evidence:
    """Train four recurrent networks to add two marked numbers among fifty."""
    seeds, steps = setup.seeds(3, 5), setup.size(1200, 3000)
    errors, curves = {}, {}
    for name in _RATES:
        runs = [_adding(name, seed, steps) for seed in seeds]
        errors[name], curves[name] = [run[0] for run in runs], runs[0][1]
    checks = {
        "identity-rnn": [
            near("error of the rnn", errors["rnn"], _ALWAYS_ONE, 0.02),
            more("error of the rnn and of the irnn", errors["rnn"], errors["irnn"], by=0.05),
        ],
        "gated-memory": [
            above(f"error that the {name} takes off 0.167", [_ALWAYS_ONE - e for e in errors[name]], 0.1)
            for name in ("gru", "lstm")
        ],
    }
    table = [
        {"network": name, "seed": i, "error": error}
        for name in errors
        for i, error in enumerate(errors[name])
    ]
    figure = Figure(
        "The adding problem while it is learned",
        "steps",
        "mean squared error",
        _spread(curves, steps),
        list(range(50, steps + 1, 50)),
        log="y",
        levels={"always 1": _ALWAYS_ONE},
    )
    return Evidence(checks, figure, table, "A network that stopped early stays where it was in the figure.")


def _adding(name: str, seed: int, steps: int) -> tuple[float, list[float]]:
    torch.manual_seed(seed)
    model = get(name, (_LENGTH, 2), 1, kind="architecture", hidden=64)

    def loss(step: int) -> Tensor:
        x, y = adding_problem(_BATCH, _LENGTH, seed=(seed + step) % 2**31)
        return nn.functional.mse_loss(model(x), y)

    losses = fit(model, loss, steps, _RATES[name], enough=0.004)
    x, y = adding_problem(2000, _LENGTH, seed=(seed + 10**6) % 2**31)
    with torch.no_grad():
        return float(nn.functional.mse_loss(model(x), y)), losses


def _spread(curves: dict[str, list[float]], steps: int) -> dict[str, list[float]]:
    """Return means of 50 steps, the last of them until the end."""
    found = {}
    for name, losses in curves.items():
        means = [sum(losses[i : i + 50]) / 50 for i in range(0, len(losses) - 49, 50)]
        found[name] = means + means[-1:] * (steps // 50 - len(means))
    return found


@lab(
    "sequences",
    {
        "reversed-source": Claim(
            "Reading a sequence backwards before it is said again helps a recurrent network: the first "
            "symbols are then near to where they are needed.",
            source="Sutskever, Vinyals and Le, Sequence to Sequence Learning with Neural Networks, 2014",
            reference="BLEU 25.9 without, 30.6 with reversed sources, English to French",
        ),
        "attention-reaches-everywhere": Claim(
            "Attention has a path of one step from every output to every input: it repeats long sequences "
            "where a state that is handed on does not.",
            source="Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly Learning to Align and "
            "Translate, 2015",
        ),
    },
    data="the copy task, 20 of 8 symbols, new sequences in every batch of 64: an LSTM of 64 units with its "
    "input forwards and backwards, 400 steps of Adam at 0.003; an encoder and decoder of 32 units with "
    "additive attention, 300 steps at 0.005",
    rule="over seeds, the share of right symbols on 500 other sequences: reversed above plain by more than "
    "0.2, attention above reversed by more than 0.1 and above 0.9",
)
def copying_a_sequence(setup: Setup) -> Evidence:
    """Train networks to repeat twenty symbols, with the input forwards, backwards, and with attention."""
    seeds = setup.seeds(3, 5)
    hits = {
        form: [_copying(form, seed, setup) for seed in seeds] for form in ("plain", "reversed", "attention")
    }
    shares = {form: [float(torch.tensor(places).mean()) for places in rows] for form, rows in hits.items()}
    checks = {
        "reversed-source": [more("right symbols, reversed", shares["reversed"], shares["plain"], by=0.2)],
        "attention-reaches-everywhere": [
            more("right symbols, attention and reversed", shares["attention"], shares["reversed"], by=0.1),
            above("right symbols, attention", shares["attention"], 0.9),
        ],
    }
    table = [{"network": form, "seed": i, "share": s} for form in shares for i, s in enumerate(shares[form])]
    figure = Figure(
        "Right symbols by their place",
        "place",
        "share of right symbols",
        hits,
        list(range(1, _COPIED + 1)),
        levels={"chance": 1 / 8},
    )
    return Evidence(checks, figure, table)


def _copying(form: str, seed: int, setup: Setup) -> list[float]:
    """Return the share of right symbols at each place."""
    torch.manual_seed(seed)
    attention = form == "attention"
    model: Any = (
        get("seq2seq-attention", (_COPIED,), 9, hidden=32, attention=64, dropout=0.0)
        if attention
        else get("lstm", (2 * _COPIED + 1,), 9, kind="architecture", vocabulary=10, per_step=True, hidden=64)
    )

    def answered(examples: int, draw: int) -> tuple[Tensor, Tensor]:
        x, y = copy_task(examples, _COPIED, reverse=form == "reversed", seed=draw % 2**31)
        target = y[:, -_COPIED:]
        if not attention:
            return model(x)[:, -_COPIED:], target
        return model((x[:, :_COPIED], nn.functional.pad(target[:, :-1], (1, 0)))), target

    def loss(step: int) -> Tensor:
        logits, target = answered(64, seed + step)
        return nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())

    steps = setup.size(300, 600) if attention else setup.size(400, 1000)
    fit(model, loss, steps, 5e-3 if attention else 3e-3)
    with torch.no_grad():
        logits, target = answered(500, seed + 10**6)
    found: list[float] = (logits.argmax(-1) == target).float().mean(0).tolist()
    return found
