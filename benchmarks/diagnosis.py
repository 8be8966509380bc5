"""How well the diagnosis finds faults that were planted, and how quiet it is about healthy programs.

    python benchmarks/diagnosis.py                    # everything, three seeds; half an hour on one core
    python benchmarks/diagnosis.py --only missing-zero-grad --family mlp --seeds 1
    python benchmarks/diagnosis.py --keep seen        # runs are kept: the next time they are only judged
    python benchmarks/diagnosis.py --json figures.json

The programs are those of `_planted.py`. Each runs on one thread under a watch of the level `standard`; then
the diagnosis is asked. Severity "info" is no alarm.

Columns: runs; detected, the share with an alarm of any kind; named, the share with an alarm that names the
planted cause (or another true name of the fault); first, the share where it is the first one; noted, where
it is named at any severity; rank, the median of its places among the alarms; worse, the median of what is
lost of the healthy program's accuracy or explained variance, ✓ where the fault is there by construction.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from _planted import HEALTHY, NOT_PLANTED, PLANTS
from _planted_plant import Plant
from _planted_problem import Problem, quality, run
from preceptor.diagnosis.causes import CAUSES
from preceptor.diagnosis.diagnose import diagnose
from preceptor.observation.observed import Observed

CLEARLY = 0.03  # of accuracy or explained variance: more than what seeds differ by


def observed(
    name: str, problem: Problem, clean: Problem, seed: int, keep: Path | None
) -> tuple[Observed, float]:
    """Run a program, or read what was kept of its run; with how good it is on clean data."""
    folder = keep / "".join(c if c.isalnum() else "-" for c in name) / str(seed) if keep else None
    if folder is not None and (folder / "quality.json").exists():
        return Observed.load(folder), json.loads((folder / "quality.json").read_text(encoding="utf-8"))
    seen, trained = run(problem, seed)
    assert seen is not None
    good = quality(trained, clean.data(seed))
    if folder is not None:
        seen.save(folder)
        (folder / "quality.json").write_text(json.dumps(good), encoding="utf-8")
    return seen, good


def judged(seen: Observed) -> tuple[list[str], list[str]]:
    """Return the causes of alarms, best guess first, and those that are only worth knowing."""
    found = diagnose(seen, complain=lambda text: print(f"    {text}", file=sys.stderr))
    alarms = [finding.cause for finding in found if finding.severity != "info"]
    return alarms, [finding.cause for finding in found if finding.severity == "info"]


def healthy_rows(hosts: list[Problem], seeds: list[int], keep: Path | None) -> list[dict[str, Any]]:
    rows = []
    for host in hosts:
        for seed in seeds:
            start = time.perf_counter()
            seen, good = observed(f"healthy {host.name}", host, host, seed, keep)
            alarms, notes = judged(seen)
            seconds = round(time.perf_counter() - start, 2)
            rows.append(
                {
                    "program": host.name,
                    "seed": seed,
                    "quality": good,
                    "alarms": alarms,
                    "info": notes,
                    "seconds": seconds,
                }
            )
            if alarms:
                print(f"  false alarm  {host.name}, seed {seed}: {', '.join(alarms)}", flush=True)
    return rows


def planted_row(
    plant: Plant, seed: int, healthy: dict[tuple[str, int], float], keep: Path | None
) -> dict[str, Any]:
    problem = plant.problem
    start = time.perf_counter()
    name = f"{plant.cause} {plant.host.name} {plant.what}"
    seen, good = observed(name, problem, problem if plant.own_data else plant.host, seed, keep)
    alarms, notes = judged(seen)
    places = [place for place, cause in enumerate(alarms, 1) if cause in (plant.cause, *plant.also)]
    return {
        "cause": plant.cause,
        "family": plant.family,
        "program": plant.host.name,
        "what": plant.what,
        "seed": seed,
        "exact": plant.exact,
        "worse": healthy[plant.host.name, seed] - good if (plant.host.name, seed) in healthy else None,
        "rank": places[0] if places else None,
        "noted": plant.cause in notes,
        "alarms": alarms,
        "info": notes,
        "seconds": round(time.perf_counter() - start, 2),
    }


def show_misses(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        program = f"    {row['program']}, {row['what']}, seed {row['seed']}"
        if row["rank"] != 1:
            said = ", ".join(row["alarms"]) or "nothing"
            said += f" (info: {', '.join(row['info'])})" if row["info"] else ""
            print(f"{program}: {said}", flush=True)
        if not row["exact"] and row["worse"] is not None and row["worse"] < CLEARLY:
            print(f"{program}: does not hurt ({row['worse']:+.3f})")


def summed_up(rows: list[dict[str, Any]]) -> dict[str, Any]:
    ranks = [row["rank"] for row in rows if row["rank"]]
    worse = [row["worse"] for row in rows if row["worse"] is not None]
    return {
        "runs": len(rows),
        "families": len({row["family"] for row in rows}),
        "detected": sum(bool(row["alarms"]) for row in rows) / len(rows),
        "named": len(ranks) / len(rows),
        "noted": sum(bool(row["rank"] or row["noted"]) for row in rows) / len(rows),
        "first": ranks.count(1) / len(rows),
        "rank": statistics.median(ranks) if ranks else None,
        "worse": statistics.median(worse) if worse else None,
        "exact": all(row["exact"] for row in rows),
    }


def line(name: str, total: dict[str, Any]) -> str:
    worse = "–" if total["worse"] is None else f"{total['worse']:.2f}"
    rank = "–" if total["rank"] is None else f"{total['rank']:g}"
    cells = [f"{total[key]:>9.2f}" for key in COLUMNS]
    mark = " ✓" if total["exact"] else ""
    return f"{name:<30}{total['families']:>9}{total['runs']:>6}{''.join(cells)}{rank:>6}{worse:>7}{mark}"


COLUMNS = ("detected", "named", "first", "noted")
HEAD = f"{'cause':<30}{'families':>9}{'runs':>6}{''.join(f'{c:>9}' for c in COLUMNS)}{'rank':>6}{'worse':>7}"


def planted_rows(
    plants: list[Plant], seeds: list[int], healthy: dict[tuple[str, int], float], keep: Path | None
) -> list[dict[str, Any]]:
    rows = []
    print(f"\n{HEAD}", flush=True)
    for cause in dict.fromkeys(plant.cause for plant in plants):
        own = [
            planted_row(plant, seed, healthy, keep)
            for plant in plants
            if plant.cause == cause
            for seed in seeds
        ]
        print(line(cause, summed_up(own)), flush=True)
        show_misses(own)
        rows += own
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--only", action="append", choices=[*CAUSES, "healthy"], help="repeatable; all by default"
    )
    parser.add_argument("--family", action="append", help="repeatable: mlp, cnn, rnn, …; all by default")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each program (3)")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep runs there, and read those that are"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run there")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    seeds = list(range(arguments.seeds))
    only, families = arguments.only or [*CAUSES, "healthy"], arguments.family
    plants = [p for p in PLANTS if p.cause in only and (not families or p.family in families)]
    hosts = HEALTHY if "healthy" in only else list({p.host.name: p.host for p in plants}.values())
    hosts = [h for h in hosts if not families or h.name.partition(",")[0] in families]
    print(f"torch {torch.__version__}, 1 thread, {len(hosts)} healthy programs, {len(plants)} faulty")
    healthy = healthy_rows(hosts, seeds, arguments.keep)
    loud = [row for row in healthy if row["alarms"]]
    print(f"healthy: {len(healthy)} runs, {len(loud)} with an alarm ({len(loud) / max(1, len(healthy)):.3f})")
    print(dict(Counter(cause for row in healthy for cause in row["alarms"])))
    rows = planted_rows(
        plants, seeds, {(r["program"], r["seed"]): r["quality"] for r in healthy}, arguments.keep
    )
    if rows:
        print(line("all", summed_up(rows)))
        per_cause = [summed_up([r for r in rows if r["cause"] == c]) for c in {r["cause"]: 0 for r in rows}]
        print(
            "mean over causes: "
            + ", ".join(f"{k} {statistics.mean(t[k] for t in per_cause):.3f}" for k in COLUMNS)
        )
    for cause, reason in NOT_PLANTED.items():
        if cause in only:
            print(f"{cause}: not planted: {reason}")
    if arguments.json:
        document = {"healthy": healthy, "planted": rows, "not planted": NOT_PLANTED}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
