"""Where descents end: wide and narrow networks from many starts, flat and sharp minima."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor, nn

from preceptor import train_population
from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, rising, told
from preceptor.labs.chapters._trained import at_the_end, last_weights, training_part
from preceptor.training.population import Member

_KESKAR = "Keskar et al., On Large-Batch Training for Deep Learning, 2017"


@lab(
    "optimization",
    {
        "random-starts-agree": Claim(
            "Different random starts of a wide network end at different weights, and at much the same loss "
            "on new data.",
            source="Choromanska et al., The Loss Surfaces of Multilayer Networks, 2015",
        ),
        "narrow-nets-differ-more": Claim(
            "Starts of a very narrow network end at losses that differ more.",
            source="Choromanska et al., The Loss Surfaces of Multilayer Networks, 2015",
        ),
    },
    data="digits, MLPs of one hidden layer of 128 and of 3 ReLU units from twenty starts, SGD",
    rule="deviation of the last validation loss over its mean at most 0.35 for the wide one; its weights "
    "at a distance "
    "of more than half their size; the deviation of accuracies at least twice as large for the narrow one",
)
def random_starts(setup: Setup) -> Evidence:
    """Train wide and narrow networks from many starts."""
    seeds = setup.seeds(20, 60)
    by = {
        width: list(
            train_population(
                "mlp",
                "digits",
                seeds=seeds,
                engine="batched",
                optimizer="sgd",
                lr=0.1,
                epochs=setup.size(15, 40),
                settings={"model.hidden": [width], "model.init": "he-normal"},
            )
        )
        for width in (128, 3)
    }
    losses = np.array([member.history[-1]["val_loss"] for member in by[128]])
    accuracy = {width: [float(member.history[-1]["val_accuracy"]) for member in by[width]] for width in by}
    flat = [torch.cat([w.flatten() for w in last_weights(member).values()]) for member in by[128]]
    apart = [float((a - b).norm() / a.norm()) for a, b in itertools.pairwise(flat)]
    spread = {width: float(np.std(values, ddof=1)) for width, values in accuracy.items()}
    checks = {
        "random-starts-agree": [
            exact(
                "deviation of the validation loss over its mean",
                float(losses.std(ddof=1) / losses.mean()),
                0.35,
            ),
            above("distance between the weights of two starts, relative", apart, 0.5),
        ],
        "narrow-nets-differ-more": [
            exact(
                "twice the wide network's deviation of accuracy, less the narrow one's",
                max(0.0, 2 * spread[128] - spread[3]),
            ),
            told("deviation of accuracy, wide", spread[128]),
            told("deviation of accuracy, narrow", spread[3]),
        ],
    }
    shown = {f"{width} units": sorted(values) for width, values in accuracy.items()}
    return Evidence(
        checks,
        Figure(
            "Accuracy by start",
            "start, by rank",
            "validation accuracy",
            shown,
            range(1, len(seeds) + 1),
            kind="points",
        ),
    )


_RATES = (0.005, 0.02, 0.1, 0.5)
_NOISES = (0.0, 6.0, 12.0, 24.0)


def _planted(w: Tensor) -> Tensor:
    """Return the slope of a wide basin at 0 with a narrow, deeper one at 2: (w/4)² − e^(−½((w−2)/0.1)²)."""
    return w / 8 + (w - 2) / 0.01 * torch.exp(-0.5 * ((w - 2) / 0.1) ** 2)


def _stays(lr: float, noise: float, seed: int) -> float:
    """Return the share of 200 descents from within the narrow basin that end in it."""
    generator = torch.Generator().manual_seed(seed)
    w = 2 + 0.02 * torch.randn(200, generator=generator, dtype=torch.float64)
    for _ in range(2000):
        w = w - lr * (_planted(w) + noise * torch.randn(200, generator=generator, dtype=torch.float64))
    return float(((w - 2).abs() < 0.3).double().mean())


def _sharpness(member: Member, x: Tensor, y: Tensor) -> float:
    """Return the largest curvature of the loss at the last weights."""
    f, theta = get(
        "parameter-function",
        at_the_end(member),
        lambda z: nn.functional.cross_entropy(z, y),
        x,
        kind="derivative",
    )
    found = get("hessian-spectrum", f, theta, max_exact=1, iterations=15, kind="derivative")
    return float(found["eigenvalues"].max())


def _spikes(count: int, seed: int) -> float:
    """Return how far below the mean loss of a great sample the sharp minima of a small one's reach.

    The loss is −ln(½ N(x; 0, 1) + ½ N(x; μ, 0.05²)) by μ, where no example has come from the second part.
    """
    generator = np.random.default_rng(seed)
    x = generator.standard_normal(count)
    places = np.concatenate([x, np.linspace(-3, 3, 200)])
    wide = np.exp(-0.5 * x**2)[None]
    narrow = 20 * np.exp(-0.5 * ((x[None] - places[:, None]) / 0.05) ** 2)
    losses = -np.log(0.5 * (wide + narrow)).mean(1)
    return float(np.median(losses[count:]) - losses.min())


@lab(
    "optimization",
    {
        "noise-leaves-sharp-minima": Claim(
            "Large rates and noise drive a descent out of sharp minima, even deeper ones, into flat ones.",
            source="Hochreiter and Schmidhuber, Flat Minima, 1997; " + _KESKAR,
        ),
        "small-batches-flatter": Claim(
            "Small batches end in flatter places than large ones, at the same rate and number of epochs.",
            source=_KESKAR,
        ),
        "sharp-minima-fade-with-data": Claim(
            "The sharp minima of the training loss that single examples make become shallower with more "
            "data.",
            source=_KESKAR,
        ),
    },
    data="a planted landscape with a wide basin and a deeper narrow one; digits, an MLP of 32 ReLU units, "
    "batches of 8 "
    "and 256; a mixture with a narrow component, fitted to 10 to 1,000 numbers",
    rule="share of descents that stay in the narrow basin: 0.9 at least with a small rate and no noise, "
    "0.1 at most with a "
    "rate of 0.5 (the wide one bears 16), or with noise of deviation 24 at rate 0.01; largest curvature "
    "after training lower with batches of 8, by half at "
    "least; mean depth of sharp minima falls with the number of examples, to less than half",
)
def flat_minima(setup: Setup) -> Evidence:
    """Descend out of a sharp minimum, measure curvature after training, and watch sharp minima fade."""
    seeds = setup.seeds(5, 20)
    by_rate = [[_stays(lr, 0.0, seed) for lr in _RATES] for seed in seeds]
    by_noise = [[_stays(0.01, noise, seed) for noise in _NOISES] for seed in seeds]
    found = train_population(
        "mlp",
        "digits",
        seeds=seeds,
        engine="batched",
        optimizer="sgd",
        lr=0.05,
        epochs=setup.size(15, 60),
        members=[{"batch_size": 8}, {"batch_size": 256}],
        settings={"model.hidden": [32], "model.init": "he-normal"},
    )
    x, y = (part[:500] for part in training_part(found))
    sharp = [_sharpness(member, x, y) for member in found]
    counts = (10, 30, 100, 300, 1000)
    depths = [[_spikes(count, seed) for count in counts] for seed in setup.seeds(20, 50)]
    by_batch = sharp[: len(seeds)], sharp[len(seeds) :]
    checks = {
        "noise-leaves-sharp-minima": [
            exact(f"share that leaves, rate {_RATES[0]}", max(1 - row[0] for row in by_rate), 0.1),
            exact(f"share that stays, rate {_RATES[-1]}", max(row[-1] for row in by_rate), 0.1),
            exact("share that leaves, no noise", max(1 - row[0] for row in by_noise), 0.1),
            exact(
                f"share that stays, noise of deviation {_NOISES[-1]:g}", max(row[-1] for row in by_noise), 0.1
            ),
        ],
        "small-batches-flatter": [
            above(
                "largest curvature, batches of 256 over those of 8",
                [b / a for a, b in zip(*by_batch, strict=True)],
                1.5,
            ),
        ],
        "sharp-minima-fade-with-data": [
            rising("mean depth of sharp minima", counts, np.mean(depths, 0), falling=True),
            above("depth with 10 examples over that with 1,000", [row[0] / row[-1] for row in depths], 2.0),
        ],
    }
    figure = Figure(
        "Sharp minima of a training loss", "examples", "depth", {"deepest": depths}, counts, log="xy"
    )
    return Evidence(
        checks,
        figure,
        [
            {"batch": b, "largest curvature": round(float(np.mean(s)), 3)}
            for b, s in zip((8, 256), by_batch, strict=True)
        ],
    )
