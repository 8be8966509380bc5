"""Trying remedies on what was seen of a program: changed and unchanged twins, in pairs, in limited time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

from preceptor.diagnosis.finding import Finding
from preceptor.errors import ModelError, PreceptorError
from preceptor.observation.kept import Kept
from preceptor.observation.observed import Observed
from preceptor.trials.change import Change
from preceptor.trials.edits import apply
from preceptor.trials.remedies import RIVALS, remedies
from preceptor.trials.setup import Setup, captured, quiet
from preceptor.trials.trial import Trial
from preceptor.trials.twin import Twin, seconds_per_step
from preceptor.trials.yardstick import Yardstick

__all__ = ["Bench", "Outcome", "try_remedies"]

PAIRS, _FEW_PAIRS = 5, 3
STEPS = 300
_FEWEST_STEPS = 5
_EXPECTED = 4  # trials that are made room for: most are over after two pairs
_AGAIN = 3  # candidates of a cause that are tried once more beside another cause's remedy
_SECONDS, _SHARE = 10.0, 0.2
_ALARMS = ("critical", "warning")
# What is seen in the curve of the loss is judged by it: classes may stay right while certainty goes wrong.
_BY_LOSS = ("overfitting", "evaluation-mode-in-training", "too-few-epochs")


@dataclass
class Outcome:
    """What trying showed.

    Attributes:
        findings: with what was tried under ``verification``; those whose remedy helped come first among
            equals.
        trials: every trial, in order.
        notes: why something was not tried.
        seconds: what it took.
        made: training steps of all twins together.
    """

    findings: list[Finding]
    trials: list[Trial] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    made: int = 0


class Bench:
    """Twins of one training, compared pair by pair; the unchanged one is trained once for all changes.

    Arguments:
        setup: the training as it was.
        seconds: how long all trials together may take.

    Attributes:
        steps: how many steps each twin makes.
        made: how many steps have been made in all.

    Raises:
        ModelError: its steps cannot be run.
    """

    def __init__(self, setup: Setup, seconds: float) -> None:
        self.setup, self.seconds = setup, seconds
        self.until = perf_counter() + seconds
        self.per_step = seconds_per_step(setup)
        self.made = 0
        self.steps = max(_FEWEST_STEPS, min(STEPS, setup.steps or STEPS))
        self._baseline: dict[tuple[tuple[Change, ...], int, int, Yardstick], float] = {}

    def plan(self, trials: int) -> None:
        """Shorten the trainings until so many trials fit."""
        room = max(0.0, self.until - perf_counter()) / max(1, trials + 1) / _FEW_PAIRS
        self.steps = max(_FEWEST_STEPS, min(self.steps, int(room / max(self.per_step, 1e-6))))

    @property
    def fits(self) -> bool:
        """Whether the fewest steps that show an effect take no more than the time that there is."""
        return self.steps * self.per_step * _FEW_PAIRS * 2 <= self.seconds * 2

    def try_out(
        self, change: Change, given: tuple[Change, ...] = (), *, by_loss: bool = False, supposed: bool = False
    ) -> Trial:
        """Train pairs of twins that differ by one change, and compare them.

        Arguments:
            change: what one twin has and the other has not.
            given: what both have.
            by_loss: whether the loss is what is compared, where there is another measure too.
            supposed: whether it is not known that what is given helps.

        Raises:
            ModelError: there is nothing that a change could be made to, or it does not fit.
        """
        unchanged = self._with(given)
        changed = apply(change, unchanged)
        base, steps = self._lengths(change, changed)
        judged = (Yardstick("loss"),) * 2 if by_loss else (unchanged.yardstick, changed.yardstick)
        before, after = [], []
        for seed in range(PAIRS):
            if seed >= _FEW_PAIRS and perf_counter() > self.until:
                break
            before.append(self._value(unchanged, given, seed, base, judged[0]))
            after.append(self._trained(changed, seed, steps, judged[1]))
            if seed == 1 and not _promising(before, after, judged[0].measure):
                break
        on = self._judged_on()
        trial = Trial((change,), judged[0].measure, tuple(before), tuple(after), base, on, given)
        if supposed and given and trial.improved:
            return replace(trial, original=self._own(trial, judged[0] == unchanged.yardstick))
        return trial

    def _own(self, trial: Trial, by_task: bool) -> tuple[float, ...]:
        """The values of the program as it is; NaN where another loss or measure forbids to compare."""
        by = self.setup.yardstick if by_task else Yardstick("loss")
        losses = trial.measure == "loss" and any(change.kind == "loss" for change in trial.given)
        if losses or by.measure != trial.measure:
            return (math.nan,) * trial.pairs
        return tuple(self._value(self.setup, (), seed, trial.steps, by) for seed in range(trial.pairs))

    def _with(self, changes: tuple[Change, ...]) -> Setup:
        setup = self.setup
        for change in changes:
            setup = apply(change, setup)
        return setup

    def _lengths(self, change: Change, changed: Setup) -> tuple[int, int]:
        """How many steps the unchanged twin makes, and how many the changed one.

        Where the length itself is changed, the first is as long as the program. Batches of another size are
        compared after as many examples.
        """
        if change.kind == "epochs":
            longer = float(change.after / change.before) if change.before else 1.0
            steps = self.setup.steps
            if steps * (1 + longer) * _FEW_PAIRS * self.per_step > self.until - perf_counter():
                raise ModelError("a training of that length takes too long to try")
            return steps, round(steps * longer)
        if change.kind == "batch_size":
            return self._examples(int(change.after), changed)
        if not self.fits:
            raise ModelError(f"a step takes {self.per_step:.2g} s, too long for trials")
        return self.steps, self.steps

    def _examples(self, size: int, changed: Setup) -> tuple[int, int]:
        rows = self.setup.rows
        ratio = min(rows.size, rows.count) / size
        both = self.per_step + ratio * seconds_per_step(changed)
        room = max(0.0, self.until - perf_counter()) / _FEW_PAIRS
        steps = min(self.steps, int(room / both))
        if not steps:  # one step on a large batch can be held against many on small ones
            raise ModelError(f"a step takes {self.per_step:.2g} s, too long for trials")
        return steps, max(1, round(steps * ratio))

    def _value(self, setup: Setup, given: tuple[Change, ...], seed: int, steps: int, by: Yardstick) -> float:
        key = given, seed, steps, by
        if key not in self._baseline:
            self._baseline[key] = self._trained(setup, seed, steps, by)
        return self._baseline[key]

    def _trained(self, setup: Setup, seed: int, steps: int, by: Yardstick) -> float:
        twin = Twin(setup, seed)
        self.made += twin.train(steps)
        return twin.judge(by)

    def _judged_on(self) -> str:
        rows = self.setup.rows
        if not rows.cells:
            return "recorded batches" if rows.splits else "the recorded batch"
        return "examples held out" if rows.splits else "the recorded examples"


def _promising(before: list[float], after: list[float], measure: str) -> bool:
    """Whether further pairs could show an improvement: not where one of the first two was worse."""
    trial = Trial((Change("lr"),), measure, tuple(before), tuple(after), 1)
    return all(difference > 0 for difference in trial.differences)


def try_remedies(
    findings: Sequence[Finding], kept: Kept | None, seen: Observed, *, run_seconds: float = 0.0
) -> Outcome:
    """Try what would remove each alarm's cause, and say what helped by how much.

    Arguments:
        findings: what the diagnosis named.
        kept: the steps that the watch kept.
        seen: all that it observed.
        run_seconds: what the program took; trials take a fifth of that, and at least 10 seconds.

    Returns:
        The findings with their verification. A program that cannot be run anew gets a note.
    """
    began = perf_counter()
    outcome = Outcome(list(findings))
    alarms = [finding for finding in findings if finding.severity in _ALARMS]
    if not alarms:
        return outcome
    if kept is None or not kept.graphs:
        outcome.notes.append("nothing was tried: no step could be kept")
        return outcome
    try:
        setup = captured(kept, seen)
        causes = {finding.cause for finding in alarms}
        if "data-not-shuffled" in causes:
            setup = setup.but(rows=setup.rows.but(recorded=True))
        if "evaluation-mode-in-training" in causes:  # the steps that were kept may be from before the switch
            setup = setup.edited(quiet(setup.rerun))
        bench = Bench(setup, max(_SECONDS, _SHARE * run_seconds))
        try:
            _try_all(bench, alarms, outcome)
        finally:
            outcome.made = bench.made
    except PreceptorError as error:
        outcome.notes.append(f"nothing was tried: {error.args[0].partition(chr(10))[0]}")
    except Exception as error:  # noqa: BLE001 the program's own operators, run anew: whatever they raise
        outcome.notes.append(f"trials ended early: {type(error).__name__}: {error}")
    outcome.seconds = perf_counter() - began
    return outcome


def _try_all(bench: Bench, alarms: list[Finding], outcome: Outcome) -> None:
    wanted = {finding.cause: remedies(finding, bench.setup) for finding in alarms}
    count = sum(len(changes) for changes in wanted.values())
    if not count:
        outcome.notes.append("nothing was tried: no remedy of these causes can be tried on recorded steps")
        return
    bench.plan(min(count, _EXPECTED))
    tried = {cause: _first_that_helps(bench, cause, changes, outcome) for cause, changes in wanted.items()}
    if sum(bool(changes) for changes in wanted.values()) > 1:
        _together(bench, wanted, tried, outcome)
    if not outcome.trials and not bench.fits:
        outcome.notes.append(f"nothing was tried: a step takes {bench.per_step:.2g} s, too long for trials")
    told_apart = [_rival(bench, finding, tried, outcome) for finding in alarms]
    outcome.findings = _ranked([*outcome.findings, *filter(None, told_apart)], tried)


def _first_that_helps(bench: Bench, cause: str, changes: list[Change], outcome: Outcome) -> list[Trial]:
    trials: list[Trial] = []
    for change in changes:
        if perf_counter() > bench.until:
            outcome.notes.append("time for trials ran out")
            break
        trial = _tried(bench, cause, change, (), outcome)
        if trial is not None:
            trials.append(trial)
            if trial.improved:
                break
    return trials


def _tried(
    bench: Bench,
    cause: str,
    change: Change,
    given: tuple[Change, ...],
    outcome: Outcome,
    *,
    supposed: bool = False,
) -> Trial | None:
    by_loss = cause in _BY_LOSS or bench.setup.yardstick.measure == "loss"
    wanted = ((change,), given, by_loss)
    for trial in outcome.trials:
        if (trial.changes, trial.given, trial.measure == "loss") == wanted:
            return trial
    try:
        trial = bench.try_out(change, given, by_loss=by_loss, supposed=supposed)
    except PreceptorError:
        return None
    except Exception as error:  # noqa: BLE001 an operator that does not take what the change makes of it
        outcome.notes.append(f"{change} does not fit the recorded step: {type(error).__name__}")
        return None
    outcome.trials.append(trial)
    return trial


def _together(
    bench: Bench, wanted: dict[str, list[Change]], tried: dict[str, list[Trial]], outcome: Outcome
) -> None:
    """Where faults hide one another: what did not help alone is tried again, given what did."""
    for cause in [cause for cause, trials in tried.items() if not _helped(trials)]:
        proven = _remedy(tried)
        given = proven or _others(wanted, cause)
        for change in wanted[cause][:_AGAIN]:
            if perf_counter() > bench.until:
                return
            # How long both twins train is the bench's affair: a length is nothing that both can be given.
            beside = tuple(other for other in given if other.kind not in (change.kind, "epochs"))
            trial = _tried(bench, cause, change, beside, outcome, supposed=not proven)
            if trial is not None:
                tried[cause].append(trial)
                if trial.improved:
                    break


def _rival(bench: Bench, finding: Finding, tried: dict[str, list[Trial]], outcome: Outcome) -> Finding | None:
    """Where no remedy of a statistical finding helps: a cause that looks the same and one of whose does."""
    if finding.exact or not tried.get(finding.cause) or _helped(tried[finding.cause]):
        return None
    if any(_helped(trials) for trials in tried.values()):  # what goes wrong is explained
        return None
    for cause in RIVALS.get(finding.cause, ()):
        if cause in tried or perf_counter() > bench.until:
            continue
        rival = Finding(cause, finding.severity, f"What looks like {finding.cause} goes away otherwise.")
        tried[cause] = _first_that_helps(bench, cause, remedies(rival, bench.setup)[:_AGAIN], outcome)
        if _helped(tried[cause]):
            return rival.but(
                confidence=finding.confidence,
                where=finding.where,
                against=(f"the signs are those of {finding.cause}, whose remedies had no effect",),
            )
    return None


def _helped(trials: list[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.improved]


def _remedy(tried: dict[str, list[Trial]]) -> tuple[Change, ...]:
    """The best change that helped, after those that it was given."""
    helped = [trial for trials in tried.values() for trial in _helped(trials)]
    best = max(helped, key=lambda trial: (len(trial.given), trial.effect), default=None)
    return (*best.given, *best.changes) if best is not None else ()


def _others(wanted: dict[str, list[Change]], cause: str) -> tuple[Change, ...]:
    """The first candidate of every other cause, one of a kind."""
    found: dict[str, Change] = {}
    for other, changes in wanted.items():
        if other != cause and changes:
            found.setdefault(changes[0].kind, changes[0])
    return tuple(found.values())


def _ranked(findings: list[Finding], tried: dict[str, list[Trial]]) -> list[Finding]:
    """Write what was tried into the findings; where a remedy helped comes before where none did."""
    verified = [_verified(finding, tried.get(finding.cause, [])) for finding in findings]
    better = {f.cause for f in verified if f.verification and f.verification["improved"]}
    said = [_ruled_out(finding, better) for finding in verified]
    order = {"critical": 0, "warning": 1, "info": 2}
    return sorted(
        said,
        key=lambda f: (order[f.severity], not f.exact, bool(tried.get(f.cause)) and f.cause not in better),
    )


def _verified(finding: Finding, trials: list[Trial]) -> Finding:
    if not trials:
        return finding
    best = max(trials, key=lambda trial: (trial.improved, trial.effect))
    others = [trial.to_plain() for trial in trials if trial is not best]
    return finding.but(verification={**best.to_plain(), "others": others})


def _ruled_out(finding: Finding, better: set[str]) -> Finding:
    rivals = [cause for cause in RIVALS.get(finding.cause, ()) if cause in better]
    if finding.cause in better or not rivals or not finding.verification:
        return finding
    return finding.but(
        against=(*finding.against, f"its remedy had no clear effect, that of {rivals[0]} had"),
    )
