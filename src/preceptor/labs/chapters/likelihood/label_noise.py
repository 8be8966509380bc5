"""Wrong labels, and what label smoothing does for them."""

from __future__ import annotations

from typing import Any

import numpy as np

import preceptor
from preceptor.data import load
from preceptor.labs import Claim, Evidence, Figure, Setup, lab, more

_SHARES = (0.0, 0.2, 0.4)
_SMOOTHINGS = (0.0, 0.2)
_SETTINGS = {
    "model.hidden": [64],
    "optimizer.lr": 0.003,
    "training.epochs": 60,
    "training.patience": None,
    "training.monitor": "train_loss",
    "training.restore_best": False,
    "data.val": 0,
    "data.test": 0,
}


@lab(
    "likelihood",
    {
        "wrong-labels-harm-maximum-likelihood": Claim(
            "Wrong labels harm training by maximum likelihood: it believes each of them.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 7.5.1",
        ),
        "smoothing-helps-against-wrong-labels": Claim(
            "Under wrong labels smoothed targets give an accuracy that is at least as good.",
            source="Lukasik et al., Does Label Smoothing Mitigate Label Noise?, 2020",
        ),
        "smoothing-calibrates-under-wrong-labels": Claim(
            "Under wrong labels smoothed targets give a lower calibration error.",
            source="Müller, Kornblith and Hinton, When Does Label Smoothing Help?, 2019",
        ),
    },
    data="digits: 600 to learn from, of which 0, 20 or 40 % get a random other label, 800 others that are "
    "right; an MLP of 64 units, 60 epochs, smoothing 0 or 0.2",
    rule="by intervals over the seeds: 40 % wrong labels cost more than 0.05 accuracy; with smoothing, at 20 "
    "and 40 %, accuracy is above that without less 0.005, and the expected calibration error is lower",
)
def noisy_labels(setup: Setup) -> Evidence:
    """Train on labels of which some are wrong, with and without smoothing, and measure on right ones."""
    seeds = setup.seeds(6, 30)
    data = load("digits")
    accuracy, error, sure = np.zeros((3, len(_SHARES), len(_SMOOTHINGS), len(seeds)))
    for i, share in enumerate(_SHARES):
        for k, seed in enumerate(seeds):
            order = np.random.default_rng(seed).permutation(len(data))
            train, test = order[:600], order[600:1400]
            labels = _spoilt(np.asarray(data.targets)[train], share, seed)
            population = preceptor.train_population(
                "mlp",
                (np.asarray(data.inputs)[train], labels),
                members=[{"label_smoothing": s} for s in _SMOOTHINGS],
                seeds=[seed],
                settings=_SETTINGS,
            )
            for j, run in enumerate(population.runs):
                chances = run.predict_proba(np.asarray(data.inputs)[test])
                accuracy[i, j, k], error[i, j, k], sure[i, j, k] = _measured(
                    chances, np.asarray(data.targets)[test]
                )
    return _evidence(accuracy, error, sure)


def _evidence(accuracy: Any, error: Any, sure: Any) -> Evidence:
    named = ((1, "20 %"), (2, "40 %"))
    return Evidence(
        {
            "wrong-labels-harm-maximum-likelihood": [
                more("accuracy without and with 40 % wrong labels", accuracy[0, 0], accuracy[2, 0], by=0.05)
            ],
            "smoothing-helps-against-wrong-labels": [
                more(f"accuracy with smoothing, {n} wrong labels", accuracy[i, 1], accuracy[i, 0], by=-0.005)
                for i, n in named
            ],
            "smoothing-calibrates-under-wrong-labels": [
                more(f"calibration error without smoothing, {n} wrong labels", error[i, 0], error[i, 1])
                for i, n in named
            ],
        },
        Figure(
            "Accuracy under wrong labels",
            "share of wrong labels",
            "accuracy",
            {"plain": accuracy[:, 0].T, "smoothing 0.2": accuracy[:, 1].T},
            _SHARES,
        ),
        [
            {
                "wrong labels": share,
                "smoothing": s,
                "accuracy": round(float(accuracy[i, j].mean()), 4),
                "calibration error": round(float(error[i, j].mean()), 4),
                "mean confidence": round(float(sure[i, j].mean()), 4),
            }
            for i, share in enumerate(_SHARES)
            for j, s in enumerate(_SMOOTHINGS)
        ],
        note="Smoothing cures networks that are too sure of themselves. Wrong labels have done so here "
        "already: the mean confidence is near the accuracy, and with smoothing far below it.",
    )


def _spoilt(labels: Any, share: float, seed: int) -> Any:
    """Return the labels with that share of them replaced by another one of the ten."""
    draw = np.random.default_rng([seed, 1])
    chosen = draw.permutation(len(labels))[: round(share * len(labels))]
    spoilt = labels.copy()
    spoilt[chosen] = (labels[chosen] + draw.integers(1, 10, len(chosen))) % 10
    return spoilt


def _measured(chances: Any, labels: Any, bins: int = 10) -> tuple[float, float, float]:
    """Return accuracy, expected calibration error Σ n_b/n |accuracy_b − confidence_b|, mean confidence."""
    sure, right = chances.max(1), chances.argmax(1) == labels
    place = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [abs((right[place == b] - sure[place == b]).sum()) for b in range(bins)]
    return float(right.mean()), float(sum(gaps) / len(labels)), float(sure.mean())
