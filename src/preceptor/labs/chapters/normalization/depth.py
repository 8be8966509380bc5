"""Deep networks with and without batch normalisation: rates, starts, gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

import preceptor
from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, more, near

_IOFFE = "Ioffe and Szegedy, Batch Normalization, 2015"
_NORMS = ("none", "batch-norm")
_RATES = (0.01, 0.1, 1.0)
_STARTS: dict[str, Any] = {
    "torch's own": None,
    "normal, 0.01": {"name": "normal", "std": 0.01},
    "normal, 1": {"name": "normal", "std": 1.0},
}
_DEPTHS = (5, 10, 20, 30)


def _accuracy(setup: Setup, changes: Sequence[Mapping[str, Any]], epochs: int) -> Any:
    """Return training accuracies at the end, (changes, seeds)."""
    seeds = setup.seeds(5, full=10)
    population = preceptor.train_population(
        "mlp", "digits", members=changes, seeds=seeds, optimizer="sgd", epochs=epochs, batch_size=64,
        settings={"training.patience": "none"}, engine="vmapped",
    )  # fmt: skip
    # One that diverged in its first epoch has no history: it is at chance.
    ends = [m.history[-1, "train_accuracy"] if len(m.history) else 0.1 for m in population]
    return np.array(ends).reshape(len(changes), len(seeds))


def _changes(depth: int, lr: float, start: Any = None) -> list[dict[str, Any]]:
    made = [{"hidden": [64] * depth, "lr": lr, **({"init": start} if start else {})} for _ in _NORMS]
    made[1]["normalization"] = "batch-norm"
    return made


@lab(
    "normalization",
    {
        "bn-allows-higher-rates": Claim(
            "With batch normalisation a deep network learns at rates at which it learns nothing without.",
            source=_IOFFE,
        ),
        "bn-forgives-the-start": Claim(
            "With batch normalisation it learns from starts from which it learns nothing without.",
            source=_IOFFE,
        ),
    },
    data="digits, an MLP of 10 layers of 64 ReLU units, 10 epochs of SGD in batches of 64; torch's start at "
    "rates 0.01, 0.1 and 1, and at 0.1 two others",
    rule="over 5 seeds, accuracy on training examples: with batch normalisation above 0.5 at every rate and "
    "from every start; without, more than 0.3 lower at rates 0.1 and 1, and from normal weights of 0.01 "
    "and of 1",
)
def deep_networks(setup: Setup) -> Evidence:
    """Train a deep network at three rates and from three starts, with and without batch normalisation."""
    changes = [change for lr in _RATES for change in _changes(10, lr)]
    changes += [change for start in _STARTS.values() if start for change in _changes(10, 0.1, start)]
    found = _accuracy(setup, changes, 10)
    plain, normed = found[0::2], found[1::2]
    rates = dict(zip(_RATES, range(3), strict=True))
    starts = dict(zip(_STARTS, (1, 3, 4), strict=True))  # torch's own start at 0.1 is among the rates
    checks = {
        "bn-allows-higher-rates": [
            *(above(f"accuracy with, at {lr:g}", normed[i], 0.5) for lr, i in rates.items()),
            *(
                more(f"accuracy with against without, at {lr:g}", normed[rates[lr]], plain[rates[lr]], by=0.3)
                for lr in (0.1, 1.0)
            ),
        ],
        "bn-forgives-the-start": [
            *(above(f"accuracy with, {name}", normed[i], 0.5) for name, i in starts.items()),
            *(
                more(
                    f"accuracy with against without, {name}",
                    normed[starts[name]],
                    plain[starts[name]],
                    by=0.5,
                )
                for name in ("normal, 0.01", "normal, 1")
            ),
        ],
    }
    names = [f"rate {lr:g}" for lr in _RATES] + [name for name, start in _STARTS.items() if start]
    figure = Figure(
        "Ten layers after ten epochs",
        "",
        "training accuracy",
        {"without": plain.T.tolist(), "batch normalisation": normed.T.tolist()},
        names,
        kind="bars",
        levels={"chance": 0.1},
    )
    return Evidence(checks, figure)


@lab(
    "normalization",
    {
        "bn-gradients-do-not-vanish": Claim(
            "In deep ReLU networks gradients vanish towards the input from torch's start; with batch "
            "normalisation they do not, but grow, by about 1.2 a layer.",
            source="Yang et al., A Mean Field Theory of Batch Normalization, 2019",
            reference="√(π/(π − 1)) = 1.21 a layer, without bound, for ReLU and large batches",
            instead_of="With batch normalisation the gradients of very deep networks are stable.",
        ),
        "bn-trains-very-deep": Claim(
            "A network of 30 layers that learns nothing otherwise is trained with batch normalisation.",
            source=_IOFFE,
        ),
    },
    data="digits, MLPs of 5 to 30 layers of 64 ReLU units; gradient norm of the first layer's weights over "
    "that of the last hidden one's, at the start; 30 layers after 10 epochs of SGD at 0.1",
    rule="over 5 starts at 30 layers, the ratio without is below 1e-6, and with batch normalisation its 29th "
    "root is 1.21 ± 0.05; the training accuracy with it is more than 0.3 higher",
)
def deep_gradients(setup: Setup) -> Evidence:
    """Compare the gradients of first and last layers, and train the deepest network."""
    x, y = _digits()
    ratios = np.array(
        [[[_ratio(depth, norm, x, y, seed) for depth in _DEPTHS] for seed in setup.seeds(5, full=20)]
         for norm in (None, "batch-norm")]
    )  # fmt: skip
    plain, normed = ratios
    reached = _accuracy(setup, _changes(30, 0.1), 10)
    checks = {
        "bn-gradients-do-not-vanish": [
            more("log₁₀ of the ratio without, −6 against it",
                 np.full(len(plain), -6.0), np.log10(plain[:, -1])),
            near("growth a layer with batch normalisation", normed[:, -1] ** (1 / 29), 1.21, within=0.05),
        ],
        "bn-trains-very-deep": [more("training accuracy of 30 layers", reached[1], reached[0], by=0.3)],
    }  # fmt: skip
    figure = Figure(
        "Gradient of the first layer over that of the last",
        "hidden layers",
        "ratio of norms",
        {"without": plain.tolist(), "batch normalisation": normed.tolist()},
        list(_DEPTHS),
        log="y",
        levels={"alike": 1.0},
    )
    return Evidence(checks, figure)


def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    from preceptor.data import load, prepare

    part = prepare(load("digits")).train
    return torch.as_tensor(part.x)[:256], part.y[:256]


def _ratio(depth: int, norm: str | None, x: torch.Tensor, y: torch.Tensor, seed: int) -> float:
    torch.manual_seed(seed)
    net = get("mlp", (1, 8, 8), 10, hidden=(64,) * depth, normalization=norm)
    nn.functional.cross_entropy(net(x), y).backward()
    weights = [f"{name}.weight" for name, m in net.named_modules() if isinstance(m, nn.Linear)]
    norms = get("gradient-norms", net)["norms"]
    return float(norms[weights[0]] / norms[weights[-2]])
