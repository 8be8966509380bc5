"""What distributed representations share, and what they survive."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, more, told
from preceptor.labs.chapters.sequences._fitting import fit
from preceptor.run import train

_KINDS, _EACH, _SEEN = 4, 20, 6  # kinds of animals and of what they do
_END = 2 * _KINDS * _EACH


@lab(
    "sequences",
    {
        "shared-between-words": Claim(
            "A neural model of language knows that cats sit because dogs do: it gives combinations that it "
            "never saw the probability of like ones, which models that count cannot.",
            source="Bengio et al., A Neural Probabilistic Language Model, 2003",
        ),
    },
    data="2,000 sentences of a noun and a verb: 4 kinds of nouns, each with 20 nouns and 20 verbs of its "
    "own; every noun is seen with 6 of the 20 verbs of its kind; a network of 4-number word vectors learns "
    "until a tenth of the pairs, held out, is no longer predicted better; n-grams count the same sentences",
    rule="over five seeds, the mean probability of the verbs of its kind that a noun was never seen with: "
    "the network's is more than twice that of Kneser–Ney and of interpolation",
)
def words_never_seen_together(setup: Setup) -> Evidence:
    """Ask for pairs of noun and verb that training left out."""
    found: dict[str, list[float]] = {"network": [], "kneser-ney": [], "linear-interpolation": []}
    size = _END + 1
    for seed in setup.seeds(5, 20):
        text, fresh, held = _sentences(seed)
        found["network"].append(_asked(_learned(text, fresh, seed), held))
        ids = text.flatten().numpy()
        models: dict[str, Any] = {
            "kneser-ney": get("kneser-ney", ids, size, order=3, end=_END),
            "linear-interpolation": get(
                "linear-interpolation", ids, size, fresh.flatten().numpy(), order=3, end=_END
            ),
        }
        for name, model in models.items():
            found[name].append(float(np.mean([model.distribution([n])[v] for n, v in held])))
    twice = {name: [2 * p for p in values] for name, values in found.items()}
    checks = [
        more(f"network, and twice {name}", found["network"], twice[name])
        for name in ("kneser-ney", "linear-interpolation")
    ]
    checks.append(told("what a verb of the right kind has", 1 / _EACH))
    figure = Figure(
        "Pairs that were never seen",
        "",
        "mean probability",
        {"": np.array(list(found.values())).T.tolist()},
        list(found),
        kind="bars",
        levels={"1/20": 1 / _EACH},
    )
    return Evidence({"shared-between-words": checks}, figure)


def _sentences(seed: int) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
    """Return sentences (N, 3) of noun, verb and end to learn from and to stop by, and unseen pairs."""
    draw = np.random.default_rng(seed)
    seen, held = [], []
    for noun in range(_KINDS * _EACH):
        verbs = (_KINDS + noun // _EACH) * _EACH + draw.permutation(_EACH)
        seen += [(noun, int(v)) for v in verbs[:_SEEN]]
        held += [(noun, int(v)) for v in verbs[_SEEN:]]
    draw.shuffle(held)
    fresh, held = held[: len(held) // 10], held[len(held) // 10 :]
    drawn = draw.integers(len(seen), size=2000)
    return (
        torch.tensor([(*seen[i], _END) for i in drawn]),
        torch.tensor([(*pair, _END) for pair in fresh]),
        held,
    )


def _learned(text: Tensor, fresh: Tensor, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    options = {"vocabulary": _END + 1, "embedding": 4, "context": 1, "hidden": 16, "per_step": True}
    model: nn.Module = get("neural-language-model", (1,), _END + 1, kind="architecture", **options)

    def loss(rows: Tensor) -> Tensor:
        return nn.functional.cross_entropy(model(rows[:, :1])[:, 0], rows[:, 1])

    best, kept = float("inf"), dict[str, Tensor]()
    for _ in range(30):
        fit(model, lambda _: loss(text[torch.randint(len(text), (128,))]), 10, 1e-2)
        with torch.no_grad():
            found = float(loss(fresh))
        if found < best:
            best, kept = found, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)
    return model


def _asked(model: nn.Module, held: list[tuple[int, int]]) -> float:
    nouns, verbs = torch.tensor(held).T
    with torch.no_grad():
        chances = model(nouns[:, None])[:, 0].softmax(-1)
    return float(chances.gather(1, verbs[:, None]).mean())


@lab(
    "sequences",
    {
        "graceful-degradation": Claim(
            "A distributed code degrades gracefully: half of its units can be lost with most of what it "
            "knows kept, where a code of one unit for each case loses a case with each unit.",
            source="Hinton, McClelland and Rumelhart, Distributed Representations, 1986",
        ),
    },
    data="digits: the 64 hidden units of a trained mlp, and 64 clusters of the training images, of which "
    "one is on; random units are silenced, 20 draws at each share, and outputs refitted for neither",
    rule="over three seeds, of the accuracy that each had: with half of the units the distributed code "
    "keeps more than the other by over 0.1, and with a tenth silenced it keeps above 0.95",
)
def lost_units(setup: Setup) -> Evidence:
    """Silence units of a distributed code and of one with a unit for each case."""
    shares = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    curves: dict[str, list[list[float]]] = {"distributed": [], "one unit each": []}
    for seed in setup.seeds(3, 10):
        for name, (code, weight, bias, y) in _codes(seed).items():
            curves[name].append([_kept(code, weight, bias, y, share, seed) for share in shares])
    kept = {name: [[v / c[0] for v in c] for c in rows] for name, rows in curves.items()}
    half = shares.index(0.5)
    checks = [
        more(
            "kept of the accuracy with half of the units",
            [c[half] for c in kept["distributed"]],
            [c[half] for c in kept["one unit each"]],
            by=0.1,
        ),
        above("kept by the distributed code without a tenth", [c[1] for c in kept["distributed"]], 0.95),
        told(
            "accuracy of the whole codes",
            ", ".join(f"{n} {np.mean([c[0] for c in r]):.3f}" for n, r in curves.items()),
        ),
    ]
    figure = Figure("Accuracy as units are lost", "share of units lost", "accuracy", curves, shares)
    return Evidence({"graceful-degradation": checks}, figure)


def _codes(seed: int) -> dict[str, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Return of both codes values, the read-out's weights and bias, and the true classes."""
    from sklearn.cluster import KMeans

    run = train(
        "mlp",
        "digits",
        epochs=15,
        seed=seed,
        out=False,
        settings={"model.hidden": [64], "training.watch": False},
    )
    parts = [run.part("train"), run.part("val")]
    (x, y), (new, truth) = [
        (torch.as_tensor(part.x).flatten(1), part.y) for part in parts if part is not None
    ]
    linear = [layer for layer in run.model.modules() if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        hidden = linear[0](new).relu()
    clusters = KMeans(64, n_init=1, random_state=seed).fit(x.numpy())
    on, new_on = (
        nn.functional.one_hot(torch.from_numpy(clusters.predict(v.numpy())).long(), 64) for v in (x, new)
    )
    counts = on.float().T @ nn.functional.one_hot(y, 10).float()
    weight, bias = linear[-1].weight.detach(), linear[-1].bias.detach()
    return {
        "distributed": (hidden, weight, bias, truth),
        "one unit each": (new_on.float(), counts.T / counts.sum(1), torch.zeros(10), truth),
    }


def _kept(code: Tensor, weight: Tensor, bias: Tensor, y: Tensor, share: float, seed: int) -> float:
    numbers = torch.Generator().manual_seed(seed)
    hits = []
    for _ in range(20):
        alive = torch.ones(code.shape[1])
        alive[torch.randperm(len(alive), generator=numbers)[: round(share * len(alive))]] = 0
        hits.append(float(((code * alive @ weight.T + bias).argmax(1) == y).float().mean()))
    return float(np.mean(hits))
