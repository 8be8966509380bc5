"""How well the checks before training tell faulty programs from sound ones.

    python benchmarks/checks.py                         # every program, one seed; half an hour on one core
    python benchmarks/checks.py --family mlp --seeds 3
    python benchmarks/checks.py --json figures.jsonl    # goes on where an earlier call ended
    python benchmarks/checks.py --corpus FOLDER         # programs as others wrote them, beside those planted

Faulty programs are sound ones with one fault of network, loss or data planted (`_planted_checks.py`): caught
where a check that is there for it fails; only those, and what they build on, are run. Sound ones are told
well where no check fails. Faults of the loop are not asked for: checks are given network, loss and examples
alone. Of a corpus, folders with `healthy.py`, or `faulty.py` and `fixed.py` and causes in `case.json`,
network, loss and examples are taken out while the program runs (`_programs.py`). Intervals are Wilson's, of
95 %.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from _planted_checks import BAD, EXPECTED, GOOD
from _planted_problem import Problem, Run
from _programs import Unsuited, taken_apart
from preceptor.errors import PreceptorError
from preceptor.recipe import Result, Subject, _learning, gathering, run_checks, subject
from preceptor.recipe.gathering import of_program
from preceptor.tasks.interval import wilson

NEEDED = ("one-batch",)  # others build on it; it does not count unless it is there for the fault


def checked(
    problem: Problem | Path, seed: int, seconds: float, only: tuple[str, ...] | None = None
) -> list[Result]:
    """Return what the checks say of a program as it stands before its loop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return run_checks(_subject(problem, seed, seconds), only=only)
        except PreceptorError as error:
            return [Result("refused", "failed", str(error).partition("\n")[0])]


def _subject(problem: Problem | Path, seed: int, seconds: float) -> Subject:
    if isinstance(problem, Path):
        parts = taken_apart(problem)
        return of_program(parts.model, parts.loss, (parts.x, parts.y), seed=seed, seconds=seconds)
    run = Run(problem, seed)
    problem.prepare(run)
    s = run.split
    return Subject(
        run.model, run.loss, s.x, s.y, held_out=(s.val_x, s.val_y), batch_size=problem.batch_size,
        seed=seed, seconds=seconds,
    )  # fmt: skip


def row(name: str, cause: str, problem: Problem | Path, seed: int, seconds: float) -> dict[str, Any]:
    """Check one program."""
    started = time.process_time()
    found: dict[str, Any] = {"program": name, "cause": cause, "seed": seed}
    try:
        results = checked(problem, seed, seconds, (*wanted(cause), *NEEDED) if cause else None)
    except (Unsuited, SystemExit) as error:
        return {**found, "left out": str(error)}
    return {
        **found,
        "failed": {r.check: r.text for r in results if r.status == "failed"},
        "skipped": {r.check: r.text for r in results if r.status == "skipped"},
        "seconds": round(time.process_time() - started, 2),
    }


def wanted(cause: str) -> tuple[str, ...]:
    """Return the checks that are there for a cause."""
    return EXPECTED.get(cause, (cause,))


def caught(one: dict[str, Any]) -> bool:
    """Whether a check that is there for the fault failed."""
    return any(check in one["failed"] for check in (*wanted(one["cause"]), "refused"))


def share(right: int, count: int) -> str:
    low, high = wilson(right, count) if count else (0.0, 1.0)
    return f"{right}/{count} = {right / max(count, 1):.3f} ({low:.3f} … {high:.3f})"


def show(good: list[dict[str, Any]], bad: list[dict[str, Any]]) -> None:
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


def by_own_time() -> None:
    """Let checks count the seconds of their own process: what else runs here must not decide."""
    for module in (_learning, gathering, subject):
        module.monotonic = time.process_time


Program = tuple[str, str, Problem | Path, int]


def planted(family: str, only: str, seeds: int) -> Iterator[Program]:
    """Yield name, cause, program and seed; the cause of sound ones is empty."""
    for seed in range(seeds):
        for host in GOOD:
            if host.name.startswith(family) and only in ("", "sound"):
                yield host.name, "", host, seed
        for plant in BAD:
            if plant.host.name.startswith(family) and only in ("", plant.cause):
                yield f"{plant.host.name}, {plant.what}", plant.cause, plant.problem, seed


def of_corpus(folder: Path, family: str, only: str) -> Iterator[Program]:
    """Yield the same of a corpus: of faulty programs those with a cause that a check can see."""
    for case in sorted(folder.glob("*/case.json")):
        told = json.loads(case.read_text(encoding="utf-8"))
        if not str(told["family"]).startswith(family):
            continue
        for part in ("healthy", "fixed"):
            if (case.parent / f"{part}.py").exists() and only in ("", "sound"):
                yield f"{case.parent.name}/{part}", "", case.parent / f"{part}.py", 0
        causes = [cause for cause in told.get("causes", ()) if cause in EXPECTED]
        if causes and only in ("", causes[0]):
            yield f"{case.parent.name}/faulty", causes[0], case.parent / "faulty.py", 0


def apart(name: str, cause: str, problem: Problem | Path, seed: int, seconds: float) -> dict[str, Any]:
    """Check one program in a process of its own, which the next one does not inherit from."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        found: dict[str, Any] = {"program": name, "cause": cause, "seed": seed}
        try:
            found = row(name, cause, problem, seed, seconds)
        except BaseException as error:  # noqa: BLE001 - said, and the next one is checked
            found["left out"] = f"{type(error).__name__}: {error}"[:200]
        finally:
            os.write(writing, json.dumps(found).encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    found = json.loads(text) if text else {"program": name, "cause": cause, "seed": seed, "left out": "ended"}
    return dict(found)


def told(one: dict[str, Any]) -> None:
    """Print what is not as it should be."""
    name = f"{one['program']}, seed {one['seed']}"
    if "left out" in one:
        print(f"  left out {name}: {one['left out']}", flush=True)
    elif one["cause"] and not caught(one):
        print(f"  missed  {one['cause']}: {name}: {one['skipped']}", flush=True)
    elif not one["cause"]:
        for check, said in one["failed"].items():
            print(f"  alarm   {name}: {check}: {said}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="", help="only programs whose name begins so")
    parser.add_argument("--only", default="", help="only this cause; 'sound' for sound programs")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="programs of this folder, in place of those planted")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="CPU time that one program's checks may take"
    )
    parser.add_argument("--json", type=Path, help="a line for each program; those it has already are not run")
    options = parser.parse_args()
    torch.set_num_threads(1)
    by_own_time()
    known = {}
    if options.json is not None and options.json.exists():
        rows = map(json.loads, options.json.read_text(encoding="utf-8").splitlines())
        known = {(one["program"], one["seed"]): one for one in rows}
    if options.corpus is not None:
        programs = of_corpus(options.corpus.resolve(), options.family, options.only)
    else:
        programs = planted(options.family, options.only, options.seeds)
    done = []
    for name, cause, problem, seed in programs:
        one = known.get((name, seed)) or apart(name, cause, problem, seed, options.seconds)
        if options.json is not None and (name, seed) not in known:
            with options.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps(one) + "\n")
        told(one)
        done.append(one)
    whole = [one for one in done if "left out" not in one]
    show([one for one in whole if not one["cause"]], [one for one in whole if one["cause"]])
    if len(whole) < len(done):
        print(f"left out       {len(done) - len(whole)} of {len(done)}")


if __name__ == "__main__":
    main()
