"""How recurrent networks are taught: clipped gradients, short sequences first, true symbols given."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.data.memory_tasks import adding_problem, copy_task
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, exact, lab, more, told
from preceptor.labs.chapters.sequences._fitting import fit

_T = 50
_STEPS = 250


@lab(
    "sequences",
    {
        "gradient-clipping": Claim(
            "Clipping the norm of gradients keeps a recurrent network with explosive weights trainable at a "
            "rate at which its loss blows up otherwise.",
            source="Pascanu, Mikolov and Bengio, On the Difficulty of Training Recurrent Neural Networks, "
            "2013",
        ),
    },
    data="the adding problem of 20 steps, rectified units whose recurrent matrix starts as 1.1 times the "
    "identity, 250 steps of SGD at 0.04, with and without clipping at norm 1",
    rule="(3, 4) becomes (0.6, 0.8); of five seeds more than half blow up without clipping (a loss that is "
    "not finite or above 100, at some step) and none with it; every one with clipping ends below 0.4",
)
def clipped_gradients(setup: Setup) -> Evidence:
    """Train at a high rate with and without clipping."""
    seeds = setup.seeds(5, 20)
    plain, clipped = ([_descent(seed, clip) for seed in seeds] for clip in (None, 1.0))
    ends = [sum(row[-50:]) / 50 for row in clipped]
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    nn.utils.clip_grad_norm_([weight], 1.0)
    blown = sum(map(_blown, plain))
    checks = [
        exact(
            "(3, 4) clipped beside (0.6, 0.8)",
            float((weight.grad - torch.tensor([0.6, 0.8])).abs().max()),
            1e-6,
        ),
        Check(f"not clipped: {blown} of {len(seeds)} blow up", 2 * blown > len(seeds)),
        exact("clipped: trainings that blow up", sum(map(_blown, clipped))),
        Check(f"clipped: largest loss at the end {max(ends):.3g}, below 0.4", max(ends) < 0.4),
    ]
    curves = {"not clipped": plain, "clipped": clipped}
    shown = {
        name: [[min(v, 1e6) if math.isfinite(v) else 1e6 for v in row] for row in rows]
        for name, rows in curves.items()
    }
    figure = Figure(
        "Loss with and without clipping",
        "steps",
        "loss (at most 1e6 is shown)",
        shown,
        list(range(1, _STEPS + 1)),
        log="y",
    )
    note = "Some that blow up end with units that are never on again, and a loss that stays where it is."
    return Evidence({"gradient-clipping": checks}, figure, note=note)


def _blown(losses: list[float]) -> bool:
    return any(not math.isfinite(loss) or loss > 100 for loss in losses)


def _descent(seed: int, clip: float | None) -> list[float]:
    torch.manual_seed(seed)
    model = get("irnn", (20, 2), 1, kind="architecture", hidden=32, scale=1.1)
    optimizer = get("sgd", model.parameters(), kind="optimizer", lr=0.04)
    losses = []
    for step in range(_STEPS):
        x, y = adding_problem(32, 20, seed=(seed + step) % 2**31)
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


@lab(
    "sequences",
    {
        "short-first": Claim(
            "Short sequences first: dependencies over 50 steps are found in fewer steps where those over "
            "ten were learned before.",
            source="Bengio, Louradour, Collobert and Weston, Curriculum Learning, 2009",
        ),
    },
    data="the adding problem, an LSTM of 32 units, Adam at 0.01 with batches of 32; lengths of 50 "
    "throughout, and from 10 to 50 over the first 300 steps; at most 900 steps",
    rule="over three seeds, the steps until the error on 300 sequences of 50 is below 0.03 (900 where it "
    "never is) are fewer with short sequences first",
)
def growing_sequences(setup: Setup) -> Evidence:
    """Train on sequences of full length, and on sequences that grow."""
    found = {
        name: [_until(seed, growing=growing) for seed in setup.seeds(3, 10)]
        for name, growing in (("full length", False), ("growing", True))
    }
    checks = [more("steps to an error of 0.03 at 50 steps", found["full length"], found["growing"])]
    table = [
        {"lengths": name, "seed": i, "steps": n} for name, rows in found.items() for i, n in enumerate(rows)
    ]
    figure = Figure(
        "Steps until sequences of 50 are mastered",
        "",
        "steps",
        {"": [list(pair) for pair in zip(*found.values(), strict=True)]},
        list(found),
        kind="bars",
    )
    return Evidence({"short-first": checks}, figure, table)


def _until(seed: int, *, growing: bool) -> int:
    torch.manual_seed(seed)
    model = get("lstm", (_T, 2), 1, kind="architecture", hidden=32)
    optimizer = get("adam", model.parameters(), kind="optimizer", lr=1e-2)
    x, y = adding_problem(300, _T, seed=(seed + 10**6) % 2**31)
    for step in range(900):
        length = get("length-schedule", step, total=300, first=10, last=_T, share=1.0) if growing else _T
        optimizer.zero_grad()
        given, wanted = adding_problem(32, length, seed=(seed + step) % 2**31)
        nn.functional.mse_loss(model(given), wanted).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 49:
            with torch.no_grad():
                if float(nn.functional.mse_loss(model(x), y)) < 0.03:
                    return step + 1
    return 900


@lab(
    "sequences",
    {
        "teacher-forcing": Claim(
            "Given the true symbols a network makes fewer errors in training after as many steps; what it "
            "then writes by itself is not better for it.",
            source="Williams and Zipser, A Learning Algorithm for Continually Running Fully Recurrent "
            "Neural Networks, 1989",
            instead_of="Teacher forcing speeds training.",
        ),
        "exposure-bias": Claim(
            "What was learned from true symbols errs more once it reads its own: mistakes lead to further "
            "mistakes, the longer the text the more.",
            source="Bengio et al., Scheduled Sampling for Sequence Prediction with Recurrent Neural "
            "Networks, 2015",
        ),
    },
    data="the copy task, 8 of 8 symbols; an encoder and a decoder of 48 units, 250 steps of Adam at 0.005 "
    "with batches of 64, given the true symbols or the network's own draws",
    rule="over three seeds, on 500 other sequences: the error in the way of its own training is lower with "
    "true symbols; what is written without them is right more often by at most 0.05; the error of the "
    "network taught with true symbols over the last three places is larger when it reads its own symbols "
    "than when it reads the true ones, and larger than over the first three",
)
def true_or_own_symbols(setup: Setup) -> Evidence:
    """Teach with true symbols and with the network's own, and let both write."""
    own: dict[str, list[list[float]]] = {"taught with true symbols": [], "taught with its own": []}
    true: list[list[float]] = []
    for seed in setup.seeds(3, 10):
        for name, forcing in zip(own, (1.0, 0.0), strict=True):
            model, source, target = _taught(seed, forcing, setup.size(250, 800))
            own[name].append(_wrong(model, source, target, given=False))
            if forcing:
                true.append(_wrong(model, source, target, given=True))
    first, last = "taught with true symbols", "taught with its own"
    rows = own[first]
    checks = {
        "teacher-forcing": [
            more(
                "error in the way of training, own and true symbols",
                [sum(r) / 8 for r in own[last]],
                [sum(r) / 8 for r in true],
            ),
            more(
                "right symbols by itself, taught with its own and with true ones",
                [1 - sum(r) / 8 for r in own[last]],
                [1 - sum(r) / 8 for r in own[first]],
                by=-0.05,
            ),
        ],
        "exposure-bias": [
            more(
                "error at the last three places, own symbols and true ones",
                [sum(r[-3:]) / 3 for r in rows],
                [sum(r[-3:]) / 3 for r in true],
            ),
            more(
                "error with own symbols, last three places and first three",
                [sum(r[-3:]) / 3 for r in rows],
                [sum(r[:3]) / 3 for r in rows],
            ),
            told("error with true symbols over all places", sum(map(sum, true)) / (8 * len(true))),
        ],
    }
    figure = Figure(
        "Errors by place",
        "place",
        "share of wrong symbols",
        {**own, "reading true symbols": true},
        list(range(1, 9)),
    )
    return Evidence(checks, figure)


def _taught(seed: int, forcing: float, steps: int) -> tuple[Any, Tensor, Tensor]:
    torch.manual_seed(seed)
    model: Any = get("seq2seq", (8,), 9, hidden=48, dropout=0.0)
    model.forcing = forcing

    def drawn(examples: int, draw: int) -> tuple[Tensor, Tensor]:
        x, y = copy_task(examples, 8, seed=draw % 2**31)
        return x[:, :8], y[:, -8:]

    def loss(step: int) -> Tensor:
        source, target = drawn(64, seed + step)
        return nn.functional.cross_entropy(model((source, _before(target))).mT, target)

    fit(model, loss, steps, 5e-3)
    return model.eval(), *drawn(500, seed + 10**6)


def _before(target: Tensor) -> Tensor:
    return nn.functional.pad(target[:, :-1], (1, 0))


@torch.no_grad()
def _wrong(model: Any, source: Tensor, target: Tensor, *, given: bool) -> list[float]:
    """Return the share of wrong symbols at each place, with the true symbols given or the network's own."""
    memory, state = model.begin(source)
    symbols, wrong = torch.zeros(len(source), dtype=torch.int64), []
    for place in range(target.shape[1]):
        logits, state = model.step(symbols, memory, state)
        written = logits.argmax(-1)
        wrong.append(float((written != target[:, place]).float().mean()))
        symbols = target[:, place] if given else written
    return wrong
