"""What readers do with damaged and hostile files: refuse them in words, or read them, and nothing else.

    python benchmarks/fuzz.py --cases 2000                  # of each reader, from seed 0
    python benchmarks/fuzz.py --only csv,npz --cases 100000 --from 40000
    python benchmarks/fuzz.py --json fuzz.jsonl             # goes on where an earlier call ended

A case is a sound file, changed in a few places by a generator whose seed is the case's number: bytes set, cut
out, put in or repeated, words of the format, whole values of JSON exchanged, members of archives and arrays
in records changed and their checksums made right again. It is read as a user's call would read it. What may
leave a reader is one of preceptor's own errors. Counted are all others, warnings of Python's that nobody
asked for left out; cases of over ten seconds; and what an audit hook of the interpreter sees: files opened
for writing outside the case's own folder, programs started, connections, objects unpickled. Memory is
limited to what the process has and 3 GB, so that a file that unpacks without end is found too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _fuzz_readers import READERS, Reader
from preceptor.errors import PreceptorError

LIMIT = 10.0  # seconds
MEMORY = 3 << 30
FORBIDDEN = (
    "os.system",
    "subprocess.Popen",
    "os.posix_spawn",
    "os.exec",
    "pickle.find_class",
    "socket.connect",
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class TooLong(BaseException):
    """A case took more than its time."""


class Watch:
    """Sees, through the interpreter's audit hook, what a case does that reading does not need."""

    def __init__(self) -> None:
        self.place = ""
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, given: tuple[Any, ...]) -> None:
        if not self.place:
            return
        if event in FORBIDDEN:
            self.seen.append(f"{event} {given!r:.200}")
        elif event == "open" and isinstance(given[2], int) and given[2] & WRITING:
            path = os.fspath(given[0]) if not isinstance(given[0], int) else ""
            if path and not os.path.realpath(path).startswith(self.place):
                self.seen.append(f"open {path!r:.200}")


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """End what takes more of the processor: how busy the machine is besides does not count."""

    def over(number: int, frame: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def damaged(reader: Reader, seeds: list[bytes], name: str, number: int) -> tuple[str, bytes]:
    """Return where the file of a case lies, and what is in it."""
    rng = random.Random(f"{name} {number}")
    changed: Any = reader.mutate(rng, rng.choice(seeds), seeds)
    return (
        (reader.name, changed)
        if isinstance(changed, bytes)
        else (f"{Path(reader.name).parent}/{changed[0]}", changed[1])
    )


def read(reader: Reader, folder: Path) -> str:
    """Read a damaged file; return what came of it: read, refused, or what should not have been."""
    try:
        with limited(LIMIT):
            reader.read(folder)
    except PreceptorError as error:
        return "refused" if str(error).strip() else "an error without words"
    except TooLong:
        return "too long " + _place(traceback.format_exc())
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return f"{type(error).__name__}: {str(error)[:100]!r} {_place(traceback.format_exc())}"
    return "read"


def _place(trace: str) -> str:
    """Return the last place in the package."""
    lines = [line.strip() for line in trace.splitlines() if "/preceptor/" in line and 'File "' in line]
    return lines[-1].rpartition("/preceptor/")[2].replace('"', "") if lines else "?"


def fuzz(name: str, first: int, cases: int, watch: Watch, keep: Path | None) -> dict[str, Any]:
    """Read so many damaged files; return how many were read, refused, or handled badly, and where."""
    reader, started = READERS[name], time.process_time()
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="preceptor-fuzz-", dir=_memory())))
    seeds = reader.seeds()
    reader.around(folder)
    counts, bad, longest = Counter[str](), dict[str, int](), 0.0
    written: Path | None = None
    try:
        for number in range(first, first + cases):
            place, content = damaged(reader, seeds, name, number)
            if written is not None and written != folder / place:
                written.unlink()
            written = folder / place
            written.write_bytes(content)
            watch.place, before = str(folder), time.process_time()
            outcome = read(reader, folder)
            watch.place, longest = "", max(longest, time.process_time() - before)
            outcome = f"did {watch.seen[0]}" if watch.seen else outcome
            watch.seen.clear()
            counts[outcome if outcome in ("read", "refused") else "bad"] += 1
            if outcome not in ("read", "refused"):
                bad.setdefault(outcome, number)
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{name.replace('/', '-')}-{number}").write_bytes(content)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "reader": name,
        "from": first,
        "cases": cases,
        **{outcome: counts[outcome] for outcome in ("read", "refused", "bad")},
        "longest": round(longest, 3),
        "seconds": round(time.process_time() - started, 1),
        "what": bad,
    }


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(
        resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + MEMORY, resource.RLIM_INFINITY)
    )


def _done(path: Path | None) -> Counter[str]:
    """Return how many cases of each reader a file has already."""
    ends: Counter[str] = Counter()
    if path is not None and path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            ends[row["reader"]] = max(ends[row["reader"]], row["from"] + row["cases"])
    return ends


def show(name: str, row: Mapping[str, Any]) -> None:
    """Print a row of the table."""
    counts = "".join(f"{row[key]:>9,} {key}" for key in ("cases", "read", "refused", "bad"))
    print(f"{name:32}{counts}{row['longest']:>8.3f} s longest{row['seconds']:>8.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="readers, with commas between them")
    parser.add_argument("--cases", type=int, default=1000, help="of each reader; of dear ones fewer")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--json", type=Path, help="add a line for each reader here, and go on behind them")
    parser.add_argument("--keep", type=Path, help="write the files that were handled badly here")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else list(READERS)
    warnings.simplefilter("ignore")
    for name in names:  # what is made once, and the modules that are loaded late, are no part of a case
        fuzz(name, 10**9, 3, Watch(), None)
    watch, done = Watch(), _done(given.json)
    _limit_memory()
    total: Counter[str] = Counter({"longest": 0, "seconds": 0})
    for name in names:
        first = max(given.first, done[name])
        row = fuzz(name, first, max(1, given.cases // READERS[name].cost), watch, given.keep)
        total.update({key: row[key] for key in ("cases", "read", "refused", "bad", "seconds")})
        total["longest"] = max(total["longest"], row["longest"])
        show(name, row)
        for what, number in list(row["what"].items())[:12]:
            print(f"    {number}: {what}", flush=True)
        if given.json is not None:
            with given.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    show("all", total)


if __name__ == "__main__":
    main()
