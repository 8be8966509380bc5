"""How well the checks before training tell faulty programs from sound ones.

    python benchmarks/checks.py                         # every program, one seed; some minutes on one core
    python benchmarks/checks.py --family mlp --seeds 3
    python benchmarks/checks.py --json figures.json

Faulty programs are sound ones with one fault of network, loss or data planted (`_planted_checks.py`): caught
where a check that is there for it fails. Sound ones are told well where no check fails. Faults of the loop
are not asked for: checks are given network, loss and examples alone. Intervals are Wilson's, of 95 %.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import torch

from _planted_checks import BAD, EXPECTED, GOOD
from _planted_problem import Problem, Run
from preceptor.errors import PreceptorError
from preceptor.recipe import Result, Subject, run_checks
from preceptor.tasks.interval import wilson


def checked(problem: Problem, seed: int, seconds: float) -> list[Result]:
    """Return what the checks say of a program as it stands before its loop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = Run(problem, seed)
        problem.prepare(run)
        s = run.split
        try:
            subject = Subject(
                run.model, run.loss, s.x, s.y, held_out=(s.val_x, s.val_y), batch_size=problem.batch_size,
                seed=seed, seconds=seconds,
            )  # fmt: skip
            return run_checks(subject)
        except PreceptorError as error:
            return [Result("refused", "failed", str(error).partition("\n")[0])]


def row(name: str, cause: str, problem: Problem, seed: int, seconds: float) -> dict[str, Any]:
    """Check one program."""
    started = time.process_time()
    results = checked(problem, seed, seconds)
    return {
        "program": name,
        "cause": cause,
        "seed": seed,
        "failed": {r.check: r.text for r in results if r.status == "failed"},
        "skipped": {r.check: r.text for r in results if r.status == "skipped"},
        "seconds": round(time.process_time() - started, 2),
    }


def caught(one: dict[str, Any]) -> bool:
    """Whether a check that is there for the fault failed."""
    wanted = EXPECTED.get(one["cause"], (one["cause"],))
    return any(check in one["failed"] for check in (*wanted, "refused"))


def share(right: int, count: int) -> str:
    low, high = wilson(right, count) if count else (0.0, 1.0)
    return f"{right}/{count} = {right / max(count, 1):.3f} ({low:.3f} … {high:.3f})"


def show(good: list[dict[str, Any]], bad: list[dict[str, Any]]) -> dict[str, Any]:
    """Print the tables."""
    by_cause: dict[str, list[bool]] = defaultdict(list)
    for one in bad:
        by_cause[one["cause"]].append(caught(one))
    for cause, found in sorted(by_cause.items()):
        print(f"  {cause:<34}{sum(found):>4} of {len(found)}")
    alarms = Counter(check for one in good for check in one["failed"])
    sound = sum(not one["failed"] for one in good)
    print(f"caught         {share(sum(map(caught, bad)), len(bad))}")
    print(f"sound, quiet   {share(sound, len(good))}")
    print(f"false alarms by check: {dict(alarms) or 'none'}")
    seconds = [one["seconds"] for one in good]
    if seconds:
        print(f"CPU seconds a sound program: mean {sum(seconds) / len(seconds):.1f}, most {max(seconds):.1f}")
    return {"caught": sum(map(caught, bad)), "bad": len(bad), "quiet": sound, "good": len(good)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="", help="only programs whose name begins so")
    parser.add_argument("--only", default="", help="only this cause; 'sound' for sound programs")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="wall time that one program's checks may take"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    good, bad = [], []
    for seed in range(options.seeds):
        for host in GOOD if options.only in ("", "sound") else ():
            if host.name.startswith(options.family):
                good.append(row(host.name, "", host, seed, options.seconds))
                for check, said in good[-1]["failed"].items():
                    print(f"  alarm   {host.name}, seed {seed}: {check}: {said}", flush=True)
        for plant in BAD if options.only != "sound" else ():
            if plant.host.name.startswith(options.family) and options.only in ("", plant.cause):
                name = f"{plant.host.name}, {plant.what}"
                bad.append(row(name, plant.cause, plant.problem, seed, options.seconds))
                if not caught(bad[-1]):
                    print(
                        f"  missed  {plant.cause}: {name}: {bad[-1]['failed']} {bad[-1]['skipped']}",
                        flush=True,
                    )
    figures = show(good, bad)
    if options.json:
        options.json.write_text(json.dumps({**figures, "good": good, "bad": bad}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
