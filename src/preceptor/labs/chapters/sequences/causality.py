"""What a causal model sees: nothing of what comes, and little at first."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, above, exact, lab, more, rising

_T = 12


@lab(
    "sequences",
    {
        "no-leak-from-the-future": Claim(
            "A causal model's output at a step does not depend on later inputs: that part of its Jacobian "
            "is exactly zero.",
            source="Van den Oord et al., WaveNet: A Generative Model for Raw Audio, 2016",
        ),
        "masks-at-every-update": Claim(
            "Weights towards the future that are set to zero once stay so only until the next update: a "
            "mask has to be applied again after every step, or in every pass.",
            source="Van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks, 2016",
            instead_of="A convolution is made causal by setting its weights on future inputs to zero.",
        ),
    },
    data="random inputs of 12 steps; a causal convolution, a tcn, a causal transformer, a GRU, and beside "
    "them a plain convolution and a bidirectional GRU; a convolution with zeroed weights, updated ten times "
    "by Adam",
    rule="derivatives with respect to later inputs are exactly 0 for each causal model, and above 1e-6 for "
    "the two others; after the updates they are exactly 0 with the mask in every pass and above 1e-6 without",
    quick=True,
)
def causal_models(setup: Setup) -> Evidence:
    """Differentiate every output with respect to every input."""
    torch.manual_seed(setup.seed)
    x = torch.randn(1, _T, 3)
    causal, others = _models()
    leaks = {name: _leak(f, x) for name, f in (causal | others).items()}
    once, always = _updated(masked=False), _updated(masked=True)
    checks = {
        "no-leak-from-the-future": [
            *(exact(f"{name}: derivatives towards the future", leaks[name]) for name in causal),
            *(_open(f"{name}: derivatives towards the future", leaks[name]) for name in others),
        ],
        "masks-at-every-update": [
            exact("masked in every pass, after ten updates", always[-1]),
            exact("zeroed once, before any update", once[0]),
            _open("zeroed once, after ten updates", once[-1]),
        ],
    }
    figure = Figure(
        "A leak that opens with the first update",
        "updates",
        "largest derivative towards the future",
        {"zeroed once": once, "masked in every pass": always},
        range(len(once)),
    )
    return Evidence(checks, figure, [{"model": name, "leak": leak} for name, leak in leaks.items()])


def _models() -> tuple[dict[str, Callable[[Tensor], Tensor]], dict[str, Callable[[Tensor], Tensor]]]:
    convolution, centred = get("causal-convolution", 3, 4, kernel=3), nn.Conv1d(3, 4, 3, padding=1)
    several = {"hidden": 8, "per_step": True}
    causal: dict[str, Callable[[Tensor], Tensor]] = {
        "causal-convolution": lambda x: convolution(x.mT).mT,
        **{
            name: get(name, (_T, 3), 4, kind="architecture", **several).eval()
            for name in ("tcn", "transformer", "gru")
        },
    }
    others: dict[str, Callable[[Tensor], Tensor]] = {
        "convolution": lambda x: centred(x.mT).mT,
        "bidirectional gru": get("gru", (_T, 3), 4, kind="architecture", bidirectional=True, **several),
    }
    return causal, others


def _leak(f: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """Return the largest derivative of an output with respect to a later input."""
    slopes = torch.autograd.functional.jacobian(f, x)[0, :, :, 0]  # (T, outputs, T, D)
    later = torch.ones(_T, _T, dtype=torch.bool).triu(1)
    return float(slopes.abs().amax((1, 3))[later].max())


def _open(what: str, leak: float) -> Check:
    return Check(f"{what}: {leak:.2g}, above 1e-6", leak > 1e-6)


def _updated(*, masked: bool, updates: int = 10) -> list[float]:
    """Return the leak of a convolution with zeroed weights before and after each update."""
    layer = nn.Conv1d(1, 1, 3, padding=1)
    mask = torch.tensor([[[1.0, 1.0, 0.0]]])
    with torch.no_grad():
        layer.weight *= mask
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)

    def run(x: Tensor) -> Tensor:
        weight = layer.weight * mask if masked else layer.weight
        return nn.functional.conv1d(x.mT, weight, layer.bias, padding=1).mT

    x = torch.randn(32, _T, 1)
    leaks = [_leak(run, x[:1])]
    for _ in range(updates):
        optimizer.zero_grad()
        nn.functional.mse_loss(run(x), x.roll(-1, 1)).backward()
        optimizer.step()
        leaks.append(_leak(run, x[:1]))
    return leaks


@lab(
    "sequences",
    {
        "early-steps": Claim(
            "The early steps of a causal model are the worst: they have the least context to go by.",
            source="Dai et al., Transformer-XL: Attentive Language Models beyond a Fixed-Length Context, "
            "2019",
        ),
    },
    data="random texts of 24 symbols, each from a Markov chain of its own over 4 symbols; a GRU of 32 units "
    "learns to predict the next symbol over 400 batches of 64 new texts",
    rule="over three seeds the loss on 2,000 new texts at the second place exceeds that at the last by more "
    "than 0.1 nats, and it falls with the place: rank correlation at most −0.9",
)
def loss_by_position(setup: Setup) -> Evidence:
    """Measure the loss at every place of a text."""
    curves = [_curve(seed, setup.size(400, 1500)) for seed in setup.seeds(3, 5)]
    places = list(range(1, len(curves[0]) + 1))
    checks = [
        more(
            "loss at the second place and at the last",
            [c[0] for c in curves],
            [c[-1] for c in curves],
            by=0.1,
        ),
        rising("loss along the text", places, curves, falling=True),
        above("uniform guessing less the loss at the end", [1.3863 - c[-1] for c in curves], 0.1),
    ]
    figure = Figure(
        "Loss by position",
        "symbols read",
        "loss (nats)",
        {"gru": curves},
        places,
        levels={"guessing": 1.3863},
    )
    return Evidence({"early-steps": checks}, figure)


def _curve(seed: int, steps: int) -> list[float]:
    torch.manual_seed(seed)
    model = get("gru", (24,), 4, kind="architecture", vocabulary=4, per_step=True, hidden=32)
    optimizer = get("adam", model.parameters(), kind="optimizer", lr=1e-2)
    numbers = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        _losses(model, _texts(64, numbers)).mean().backward()
        optimizer.step()
    with torch.no_grad():
        found: list[float] = _losses(model, _texts(2000, numbers)).mean(0).tolist()
    return found


def _losses(model: nn.Module, text: Tensor) -> Tensor:
    logits = model(text[:, :-1])
    return nn.functional.cross_entropy(logits.mT, text[:, 1:], reduction="none")


def _texts(examples: int, numbers: torch.Generator) -> Tensor:
    """Draw texts, each from transition probabilities of its own, which only its own symbols tell."""
    chances = (2 * torch.randn(examples, 4, 4, generator=numbers)).softmax(-1)
    text = [torch.randint(4, (examples,), generator=numbers)]
    rows = torch.arange(examples)
    for _ in range(24):
        text.append(torch.multinomial(chances[rows, text[-1]], 1, generator=numbers)[:, 0])
    return torch.stack(text, 1)
