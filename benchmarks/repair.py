"""How many faults get a remedy that trials verify, beside random search with as many steps.

    python benchmarks/repair.py                              # planted faults, one seed; about an hour
    python benchmarks/repair.py --family mlp --family cnn --json repair.json
    python benchmarks/repair.py --scripts 'programs/*/faulty.py'

Each program runs under a watch that keeps steps; the diagnosis names causes; trials try their remedies on
those steps. Random search is given as many training steps on the same steps and examples: it draws settings
(rate, optimizer, clipping, decay, batch size, activation, initialisation, dropout, loss), trains one twin of
each, takes the best one, and compares it with the program's own settings in five new pairs. Both are held to
the same rule of *improved* (`preceptor.trials.trial.Trial`).

Then every verified remedy is trained for the program's whole length with three seeds that no trial has used:
*holds* is the share that is still better there.

Healthy programs are given the remedies of causes that a diagnosis might name in error: what is verified there
is an error of the trials.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from _planted import HEALTHY, PLANTS
from _planted_problem import kept
from preceptor.diagnosis.diagnose import diagnose
from preceptor.diagnosis.finding import Finding
from preceptor.errors import PreceptorError
from preceptor.observation.watch import Watch
from preceptor.trials.change import Change
from preceptor.trials.counterfactual import PAIRS, try_remedies
from preceptor.trials.edits import apply
from preceptor.trials.remedies import REMEDIES
from preceptor.trials.setup import Setup, captured
from preceptor.trials.trial import Trial
from preceptor.trials.twin import Twin
from preceptor.trials.yardstick import Yardstick

SUSPECTED = ("learning-rate-too-high", "unscaled-inputs", "bad-initialization", "unsuitable-optimizer")
FRESH = 1000  # seeds from here on are used by no trial


def judge(
    watch: Watch, seconds: float, rng: random.Random, alarms: list[Finding] | None = None
) -> dict[str, Any]:
    """Try remedies, then random search with as many steps; see whether what helped holds."""
    seen = watch.observed
    found = diagnose(seen) if alarms is None else alarms
    start = time.perf_counter()
    outcome = try_remedies(found, watch.kept, seen, run_seconds=seconds)
    row: dict[str, Any] = {
        "alarms": [f.cause for f in found if f.severity != "info"],
        "verified": [f.cause for f in outcome.findings if (f.verification or {}).get("improved")],
        "first": next((f.cause for f in outcome.findings if f.severity != "info"), None),
        "trials": [str(trial) for trial in outcome.trials],
        "notes": outcome.notes,
        "seconds": round(time.perf_counter() - start, 2),
        "run_seconds": round(seconds, 2),
    }
    best = [trial for trial in outcome.trials if trial.improved]
    try:
        setup = captured(watch.kept, seen) if watch.kept else None
    except PreceptorError:
        setup = None
    if setup is None or not outcome.trials:
        return row
    steps = outcome.trials[0].steps
    if alarms is None:
        row["searched"] = searched(setup, steps, outcome.made, rng)
    row["holds"] = [holds(setup, trial) for trial in best]
    return row


def holds(setup: Setup, trial: Trial) -> bool:
    """Whether a verified remedy is still better over the program's whole length."""
    change = trial.changes[0]
    unchanged = _with(setup, trial.given)
    changed = apply(change, unchanged)
    length = setup.steps
    longer = {
        "epochs": lambda: change.after / change.before,
        "batch_size": lambda: change.before / change.after,
    }
    factor = longer[change.kind]() if change.kind in longer else 1
    by = Yardstick("loss") if trial.measure == "loss" else None
    try:
        pairs = [
            (value(unchanged, seed, length, by), value(changed, seed, int(length * factor), by))
            for seed in fresh(3)
        ]
    except Exception:  # noqa: BLE001 an operator that fails over the whole length
        return False
    again = Trial(trial.changes, trial.measure, *zip(*pairs, strict=True), length)
    return again.effect > 0


def fresh(count: int) -> Iterator[int]:
    return iter(range(FRESH, FRESH + count))


def value(setup: Setup, seed: int, steps: int, by: Yardstick | None = None) -> float:
    twin = Twin(setup, seed)
    twin.train(steps)
    return twin.judge(by)


def searched(setup: Setup, steps: int, budget: int, rng: random.Random) -> bool:
    """Whether random search with so many steps finds settings that improve."""
    final = 2 * PAIRS * steps
    tries = max(1, (budget - final) // max(1, steps))
    found: list[tuple[float, tuple[Change, ...]]] = []
    sign = -1.0 if setup.yardstick.measure == "loss" else 1.0
    for number in range(tries):
        changes = drawn(setup, rng)
        with contextlib.suppress(Exception):
            score = sign * value(_with(setup, changes), FRESH + 100 + number, steps)
            if math.isfinite(score):
                found.append((score, changes))
    if not found:
        return False
    _, best = max(found, key=lambda pair: pair[0])
    changed = _with(setup, best)
    pairs = [(value(setup, seed, steps), value(changed, seed, steps)) for seed in fresh(PAIRS)]
    return Trial(best, setup.yardstick.measure, *zip(*pairs, strict=True), steps).improved


def _with(setup: Setup, changes: tuple[Change, ...]) -> Setup:
    for change in changes:
        setup = apply(change, setup)
    return setup


def drawn(setup: Setup, rng: random.Random) -> tuple[Change, ...]:
    """Draw settings: each kind with a chance of its own, only those that the step has."""
    rate = setup.lr if setup.lr > 0 else 1e-2
    space = [
        lambda: Change("optimizer", None, rng.choice(["adam", "adamw", "sgd"])),
        lambda: Change("lr", rate, 10 ** rng.uniform(-5, 0)),
        lambda: Change("max_grad_norm", None, rng.choice([0.5, 1.0, 5.0])),
        lambda: Change("weight_decay", None, 10 ** rng.uniform(-6, -1)),
        lambda: Change("batch_size", None, rng.choice([8, 16, 32, 64, 128])),
        lambda: Change(
            "activation", rng.choice(["relu", "tanh", "sigmoid"]), rng.choice(["relu", "tanh", "elu"])
        ),
        lambda: Change("init", None, "kaiming-uniform"),
        lambda: Change("dropout", None, rng.choice([0.0, 0.2, 0.5])),
        lambda: Change("loss", None, rng.choice(["cross_entropy", "mse_loss"])),
    ]
    chosen: list[Change] = []
    while not chosen:
        trial = setup
        for make in space:
            if rng.random() < 0.35:
                change = make()
                with contextlib.suppress(PreceptorError):
                    trial = apply(change, trial)
                    chosen.append(change)
    return tuple(chosen)


# ---------------------------------------------------------------------------------------- what is judged


def planted(families: list[str] | None, seed: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    rng = random.Random(seed)
    for plant in PLANTS:
        if plant.cause not in REMEDIES or (families and plant.family not in families):
            continue
        start = time.perf_counter()
        watch = kept(plant.problem, seed)
        name = f"{plant.cause}, {plant.host.name}, {plant.what}"
        yield plant.cause, name, judge(watch, time.perf_counter() - start, rng)


def healthy(families: list[str] | None, seed: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    rng = random.Random(seed)
    for host in HEALTHY:
        if families and host.name.partition(",")[0] not in families:
            continue
        start = time.perf_counter()
        watch = kept(host, seed)
        suspected = [Finding(cause, "warning", "suspected in error") for cause in SUSPECTED]
        yield "healthy", host.name, judge(watch, time.perf_counter() - start, rng, suspected)


def scripts(patterns: list[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for pattern in patterns:
        folder = Path(pattern).anchor or "."
        for path in sorted(Path(folder).glob(str(Path(pattern).relative_to(Path(pattern).anchor)))):
            done = subprocess.run(
                [sys.executable, __file__, "--one", str(path.resolve())],
                capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            last = done.stdout.strip().splitlines()[-1:] or ["{}"]
            with contextlib.suppress(json.JSONDecodeError):
                yield "script", str(path), json.loads(last[0])


def one(path: str) -> None:
    from preceptor.observation.script import run_script

    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        outcome = run_script(path, [], lambda: Watch(trials=True))
        row = judge(outcome.watch, time.perf_counter() - start, random.Random(0))
    print(json.dumps(row))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--family", action="append", help="repeatable: mlp, cnn, rnn, …; all by default")
    parser.add_argument("--only", choices=["planted", "healthy"], help="one half; both by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scripts", nargs="*", help="programs of your own in place of the planted ones")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every row there")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.one:
        one(arguments.one)
        return
    rows: list[dict[str, Any]] = []
    halves = {"planted": planted, "healthy": healthy}
    wanted = [arguments.only] if arguments.only else list(halves)
    sources = [halves[half](arguments.family, arguments.seed) for half in wanted]
    if arguments.scripts:
        sources = [scripts(arguments.scripts)]
    for source in sources:
        for kind, name, row in source:
            rows.append({"kind": kind, "name": name, **row})
            mark = "+" if row.get("verified") else " "
            search = {True: "search too", False: "", None: ""}[row.get("searched")]
            print(f"{mark} {name:<70.70} {row.get('verified')} {search} {row.get('notes')}", flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    show(rows)


def show(rows: list[dict[str, Any]]) -> None:
    faulty = [row for row in rows if row["kind"] != "healthy"]
    if faulty:
        verified = sum(bool(row.get("verified")) for row in faulty)
        search = sum(bool(row.get("searched")) for row in faulty)
        print(f"faulty programs {len(faulty)}: a verified remedy {verified}, random search improves {search}")
        held = [h for row in faulty for h in row.get("holds", []) if h is not None]
        if held:
            print(f"verified remedies {len(held)}: better over the whole length {sum(held) / len(held):.3f}")
        ratios = [row["seconds"] / row["run_seconds"] for row in faulty if row.get("run_seconds")]
        if ratios:
            print(f"time of trials relative to the run: median {statistics.median(ratios):.2f}")
    named = [row for row in rows if row["kind"] not in ("script", "healthy") and row["alarms"]]
    if named:
        before = sum(row["alarms"][0] == row["kind"] for row in named) / len(named)
        after = sum(row["first"] == row["kind"] for row in named) / len(named)
        print(f"named first, of {len(named)} planted: without trials {before:.3f}, with trials {after:.3f}")
    sound = [row for row in rows if row["kind"] == "healthy"]
    if sound:
        trials = sum(len(row["trials"]) for row in sound)
        wrong = sum(len(row["verified"]) for row in sound)
        print(f"healthy programs {len(sound)}: {trials} trials, {wrong} verified in error")


if __name__ == "__main__":
    main()
