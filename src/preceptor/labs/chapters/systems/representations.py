"""Features that arise whatever the signal is that a network learns from."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, lab, more
from preceptor.labs.chapters._digits import digits

_WAYS = ("random", "supervised", "unsupervised", "reinforcement")


@lab(
    "systems",
    {
        "features-from-any-signal": Claim(
            "Useful features arise in supervised, unsupervised and reinforcement learning alike.",
            source="Bengio, Courville and Vincent, Representation Learning, 2013",
        ),
    },
    data="digits through one layer of 12 rectified units, random, or trained for 400 steps with labels, to "
    "reconstruct its inputs, or by a reward for naming the right digit (REINFORCE); a logistic regression "
    "on its standardised outputs",
    rule="over four seeds the probe's accuracy on 597 other images is higher than that of the random layer "
    "by more than 0.02 for each of the three",
)
def probing_what_was_learned(setup: Setup) -> Evidence:
    """Probe a layer that learned from labels, from inputs, or from rewards."""
    found = {way: [_probed(way, seed, setup.size(400, 3000)) for seed in setup.seeds(4, 10)] for way in _WAYS}
    checks = [
        more(f"accuracy of the probe, {way} and random", found[way], found["random"], by=0.02)
        for way in _WAYS[1:]
    ]
    figure = Figure(
        "Linear probes of twelve units",
        "",
        "accuracy",
        {"": np.array(list(found.values())).T.tolist()},
        list(found),
        kind="bars",
    )
    return Evidence({"features-from-any-signal": checks}, figure)


def _probed(way: str, seed: int, steps: int) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    torch.manual_seed(seed)
    x, y = digits()
    order = torch.randperm(len(x))
    rows, other = order[:1200], order[1200:]
    encoder = nn.Sequential(nn.Linear(64, 12), nn.ReLU())
    head = nn.Linear(12, 64 if way == "unsupervised" else 10)
    optimizer = get("adam", [*encoder.parameters(), *head.parameters()], kind="optimizer", lr=5e-3)
    for _ in range(0 if way == "random" else steps):
        r = rows[torch.randint(len(rows), (64,))]
        optimizer.zero_grad()
        _loss(way, head(encoder(x[r])), x[r], y[r]).backward()
        optimizer.step()
    with torch.no_grad():
        codes = encoder(x).numpy()
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(codes[rows], y[rows])
    return float(probe.score(codes[other], y[other]))


def _loss(way: str, outputs: Tensor, x: Tensor, y: Tensor) -> Tensor:
    if way == "unsupervised":
        return nn.functional.mse_loss(outputs, x)
    if way == "supervised":
        return nn.functional.cross_entropy(outputs, y)
    chances = torch.distributions.Categorical(logits=outputs)
    named = chances.sample()
    reward = (named == y).float()
    cost: Tensor = -((reward - reward.mean()) * chances.log_prob(named)).mean()
    return cost
