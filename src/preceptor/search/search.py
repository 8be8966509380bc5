"""`Search`: many trainings of one experiment, each with other hyperparameters, judged on validation."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any

from preceptor.errors import CheckpointError, ConfigError, StorageError
from preceptor.files import write_json, write_text
from preceptor.seals import sealed, unsealed
from preceptor.search._work import Given, Work
from preceptor.search.advice import advice, finer
from preceptor.search.budget import Budget
from preceptor.search.changes import changes_between, parent_of
from preceptor.search.decide import Verdict, decide, finalists
from preceptor.search.executors import Executor, executor_for
from preceptor.search.importance import Importances, importance
from preceptor.search.journal import Journal, Result, Trial, best_of
from preceptor.search.methods import Further, Proposal, Repeats
from preceptor.search.plan import Plan, Stage
from preceptor.search.space import Point, Space
from preceptor.training.experiment import Experiment
from preceptor.training.folder import take_number
from preceptor.untrusted import understood

__all__ = ["Search"]

_REPEATED = "seeds"
_MANUAL = "manual"
_FEW_EXAMPLES = 100
_HOPELESS = 3  # trials that fail one after another from the first on: it is not the hyperparameters
Tell = Callable[[Trial], None]


class Search:
    """A search in its folder: the plan, the journal, a run folder for each trial.

    Everything is written before it is done and after it was done. A search that was killed goes on where it
    was: the trial that was running is resumed from its last checkpoint, and the next proposals are those that
    would have come. Test examples are sealed: no trial can read them.

    Arguments:
        folder: of an existing search.
        given: blocks and data that were given in code.

    Raises:
        CheckpointError: there is no search in that folder.
    """

    def __init__(self, folder: Path | str, given: Given | None = None) -> None:
        self.folder, self.given = Path(folder), given or Given()
        if not (self.folder / "search.json").is_file():
            raise CheckpointError(
                f"no search in {self.folder}",
                expected="a folder with a search.json",
                received="a folder without one" if self.folder.is_dir() else "no such folder",
            )
        self.plan = Plan.from_plain(_json(self.folder / "search.json"))
        self.journal = Journal(self.folder / "journal.jsonl")

    @classmethod
    def create(cls, plan: Plan, given: Given | None = None, *, out: Path | str | None = None) -> Search:
        """Make a search's folder: ``out``, or the next free ``searches/<name>-<n>``.

        Raises:
            ConfigError: ``out`` already holds something.
            StorageError: the folder cannot be made.
        """
        target = Path(out) if out is not None else None
        if target is not None and target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ConfigError(
                f"{target} is not empty", expected="a new or empty folder", received="a full one"
            )
        parent = target.parent if target else Path("searches")
        hidden = parent / f".{plan.name}.{secrets.token_hex(4)}.tmp"
        try:
            hidden.mkdir(parents=True)
            write_json(hidden / "search.json", sealed(plan.to_plain()))
            write_text(hidden / "experiment.toml", Experiment.of(plan.chosen).to_toml())
            folder = hidden.rename(target) if target else take_number(hidden, parent, plan.name)
        except OSError as error:
            shutil.rmtree(hidden, ignore_errors=True)
            raise StorageError(f"cannot make a folder in {parent}", received=str(error)) from error
        return cls(folder, given)

    # What is known

    @property
    def trials(self) -> list[Trial]:
        """All of them, repetitions included, in the order in which they were begun."""
        return self.journal.trials

    @property
    def tried(self) -> list[Trial]:
        """Those that compete: of the last stage, and by hand; no repetitions."""
        return [t for t in self.trials if t.stage in (self._last_stage, _MANUAL)]

    @property
    def best(self) -> Trial | None:
        """The trial that wins: by further seeds where there are any, else by its value."""
        verdict = self.verdict
        return None if verdict is None else self.trials[verdict.winner]

    @property
    def verdict(self) -> Verdict | None:
        """Which trial wins and how sure that is; None while none has a value."""
        repeated = [trial for trial in self.trials if trial.stage == _REPEATED]
        return decide(self.tried, repeated, self.plan.mode)

    @property
    def space(self) -> Space:
        """What is searched, in the last stage where there are several; empty for trials by hand."""
        return self._stages[-1].space if self._stages else self.plan.whole

    def importance(self) -> Importances | None:
        """Return how much each hyperparameter mattered; None for fewer than eight trials."""
        return importance(self.space, self._drawn, self.plan.mode, seed=self.plan.seed)

    def advice(self) -> list[str]:
        """Return what is worth doing next, a sentence each."""
        grid, examples = self.plan.method == "grid", self.plan.examples
        said = advice(self.space, self._drawn, self.plan.mode, self.importance(), grid=grid)
        if 0 < examples < _FEW_EXAMPLES:
            said.append(
                f"{examples} validation examples decide, each of them {1 / examples:.1%} of an accuracy: "
                "preceptor cross-validate says more of the best"
            )
        return said

    def finer(self) -> Space | None:
        """Return a smaller space around the best trials; None where there is no clear one."""
        return finer(self.space, self._drawn, self.plan.mode) if self.space else None

    def experiment(self, trial: Trial) -> Experiment:
        """Return the settings of a trial, as `preceptor.train` takes them."""
        return Experiment.of(self._settings(trial))

    # What is done

    def run(
        self, *, workers: int = 1, on: str = "local", together: int = 0, tell: Tell | None = None
    ) -> Search:
        """Train what is still to be trained, as far as the budget goes; return the search.

        Arguments:
            workers: trials at a time.
            on: ``"local"`` or the address of a Ray cluster.
            together: how many trials are trained in one process, in common steps where they share an
                architecture; 0: each by itself.
            tell: hears of each trial that has ended.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed; the search can be gone on with.
            ConfigError: the first trials have all failed.
            StorageError: another process searches in this folder.
        """
        with self.journal, executor_for(on, workers, self.given, together) as executor:
            self._drive(executor, tell)
            self._conclude()
        return self

    def extend(self, *, trials: int | None = None, budget: str | None = None) -> None:
        """Give the search another budget, which counts from its beginning.

        Raises:
            ConfigError: a grid or successive halving, which have their number of trials.
        """
        amount = Budget.of(budget, trials)
        if amount is not None:
            self.plan = self.plan.going_on(replace(self.plan, budget=amount))
            self.__dict__.pop("_stages", None)

    def add(
        self, settings: Point, *, parent: int | None = None, note: str = "", tell: Tell | None = None
    ) -> Trial:
        """Train one trial by hand, and write down what was changed and why.

        Arguments:
            settings: what is changed, by dotted key; none: the experiment as it is.
            parent: the trial that it is changed from; default: the best so far.
            note: why.
            tell: hears of it when it has ended.

        Raises:
            ConfigError: there is no such parent, or the training failed.
        """
        if parent is not None and not 0 <= parent < len(self.trials):
            raise ConfigError(
                f"there is no trial {parent}", expected=f"0 … {len(self.trials) - 1}", received=str(parent)
            )
        with self.journal, executor_for("local", 1, self.given) as executor:
            self._drive(executor, tell, finish=True)
            origin = self.trials[parent] if parent is not None else best_of(self.trials, self.plan.mode)
            whole = {**(origin.settings if origin else {}), **settings}
            trial = self._begin(_MANUAL, Proposal(whole), origin, note)
            self._drive(executor, tell, finish=True)
            if trial.result is not None and trial.result.status == "failed":
                raise ConfigError(
                    f"trial {trial.number} failed", expected="settings that go together",
                    received=trial.result.error,
                )  # fmt: skip
            self._conclude()
        return trial

    def report(self, path: Path | str | None = None) -> Path:
        """Write the report as one HTML file; default: ``report.html`` in the search's folder."""
        from preceptor.report.search import write
        from preceptor.search._page import page_of

        return write(page_of(self), Path(path) if path is not None else self.folder / "report.html")

    def _drive(self, executor: Executor, tell: Tell | None, *, finish: bool = False) -> None:
        """Hand out trials and write down what comes of them; ``finish``: only those that are begun."""
        begun, before = monotonic(), self.journal.elapsed
        running: set[int] = set()
        while True:
            elapsed = before + monotonic() - begun
            while executor.free and (trial := self._next(running, elapsed, finish)) is not None:
                running.add(trial.number)
                executor.submit(trial.number, self._work(trial, None if finish else elapsed))
            if not running:
                return
            for number, outcome in executor.ended():
                running.discard(number)
                outcome["notes"] = tuple(outcome.get("notes", ()))
                self.journal.end(number, Result(**outcome), elapsed=before + monotonic() - begun)
                self._heard(self.trials[number], tell)

    def _heard(self, trial: Trial, tell: Tell | None) -> None:
        for stage in self._stages:
            if stage.name == trial.stage:
                stage.method.tell(trial)
        if tell is not None:
            tell(trial)
        ended = [trial.result for trial in self.trials if trial.result]
        if len(ended) >= _HOPELESS and all(result.status == "failed" for result in ended):
            raise ConfigError(
                f"the first {len(ended)} trials failed",
                expected="settings under which a training can be made",
                received=ended[0].error,
            )

    def _next(self, running: set[int], elapsed: float, finish: bool) -> Trial | None:
        """Return what is to be trained next: first what was begun before; None: nothing, or not yet."""
        used = self.plan.budget.share(elapsed, self._steps)
        if used >= 1 and not finish:
            return None
        left = next((t for t in self.trials if t.open and t.number not in running), None)
        if left is not None or finish:
            return left
        fixed: Point = {}
        for stage in self._stages:
            own = [trial for trial in self.trials if trial.stage == stage.name]
            move = stage.method.next(own, self.plan.mode) if used < stage.until else None
            if isinstance(move, Further):
                self.journal.go_on(move.number, move.epochs)
                return self.trials[move.number]
            if move is not None:
                return self._begin(stage.name, move, fixed=fixed)
            best = best_of(own, self.plan.mode)
            if best is None or any(trial.open for trial in own):
                return None
            fixed = {**fixed, **{key: best.settings[key] for key in stage.space.keys}}
        return self._repetition()

    def _repetition(self) -> Trial | None:
        """Begin the next repetition of one of the best trials."""
        best = finalists(self.tried, self.plan.finalists, self.plan.mode)
        if len(best) < 2 or not self._stages:
            return None
        seed = int(self.plan.decided.get("seed", 0))
        seeds = [(seed + i) % 2**32 for i in range(1, self.plan.repeats + 1)]
        repeated = [trial for trial in self.trials if trial.stage == _REPEATED]
        move = Repeats(best, seeds).next(repeated, self.plan.mode)
        return None if move is None else self._begin(_REPEATED, move)

    def _begin(
        self,
        stage: str,
        move: Proposal,
        origin: Trial | None = None,
        note: str = "",
        fixed: Point | None = None,
    ) -> Trial:
        settings = {**(fixed or {}), **move.settings}
        parent = origin or parent_of(settings, self.trials, self.plan.decided)
        if move.repeats is not None:
            parent = self.trials[move.repeats]
        trial = Trial(
            len(self.trials),
            stage,
            settings,
            None if parent is None else parent.number,
            changes_between(parent.settings if parent else {}, settings, self.plan.decided),
            int(self.plan.decided.get("seed", 0)) if move.seed is None else move.seed,
            move.repeats,
            note,
            move.epochs,
            move.token,
        )
        self.journal.begin(trial)
        return trial

    def _work(self, trial: Trial, elapsed: float | None) -> Work:
        """Return what a trial is to do, in what is left after ``elapsed`` seconds; None: without a limit."""
        budget = Budget() if elapsed is None else self.plan.budget
        return Work(
            self._settings(trial),
            str(self.folder / "trials" / f"{trial.number:04d}"),
            self.plan.objective,
            until=trial.epochs,
            seconds=None if budget.seconds is None else budget.seconds - (elapsed or 0.0),
            steps=None if budget.steps is None else budget.steps - self._steps,
        )

    def _settings(self, trial: Trial) -> dict[str, Any]:
        """Return what is chosen for a trial; another block's name drops the options of the one before."""
        new = tuple(
            f"{key.removesuffix('.name')}."
            for key, value in trial.settings.items()
            if key.endswith(".name") and value != self.plan.decided.get(key)
        )
        kept = {key: value for key, value in self.plan.chosen.items() if not (new and key.startswith(new))}
        return {"training.watch": False, **kept, **trial.settings, "seed": trial.seed}

    def _conclude(self) -> None:
        """Write down who wins, and the settings to train with."""
        verdict = self.verdict
        if verdict is None:
            return
        self.journal.say("verdict", **verdict.to_plain())
        winner = self.trials[verdict.winner]
        settings = {**self._settings(winner), "training.watch": self.plan.chosen.get("training.watch", True)}
        write_text(self.folder / "best.toml", Experiment.of(settings).to_toml())

    @cached_property
    def _stages(self) -> Sequence[Stage]:
        return self.plan.parts()

    @property
    def _last_stage(self) -> str:
        return self._stages[-1].name if self._stages else _MANUAL

    @property
    def _drawn(self) -> list[Trial]:
        """The trials of the last stage: by hand anything may have been tried, outside of the space too."""
        return [t for t in self.trials if t.stage == self._last_stage]

    @property
    def _steps(self) -> int:
        return sum(trial.result.steps for trial in self.trials if trial.result)


def _json(path: Path) -> Any:
    import json

    with understood(path, "JSON, as a search writes it", CheckpointError):
        return unsealed(dict(json.loads(path.read_text(encoding="utf-8"))))
