"""A watch over our own training, and the verdict on it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection

from preceptor.diagnosis.diagnose import diagnose
from preceptor.diagnosis.finding import Finding
from preceptor.observation.watch import Watch
from preceptor.training.callbacks import Callback
from preceptor.training.state import State

__all__ = ["Diagnosis", "warn", "warn_of"]

_FIRST = 120  # steps that are watched from the beginning: all that is exact shows within two
_BURST = 12  # steps that are watched at the beginning of a later epoch
_EVALUATION = "evaluation:validation"


class Diagnosis(Callback):
    """Watches the first steps and short stretches of later epochs, and judges the run at its end.

    Of steps between the stretches only the loss is noted; losses of evaluations are those of the history.

    Arguments:
        tell: hears of a critical finding when it is made, once; by default it becomes a warning.
        ignore: causes that are not named.
    """

    order = 40

    def __init__(self, tell: Callable[[Finding], None] | None = None, ignore: Collection[str] = ()) -> None:
        self.tell, self.ignore = tell or warn, tuple(ignore)
        self.watch = Watch()
        self.findings: list[Finding] = []
        self.told: set[str] = set()
        self._until, self._next = 0, 1

    def on_epoch_begin(self, state: State) -> None:
        """Look on, if it is time."""
        if state.epoch == 0 or state.step < _FIRST:
            self._until = max(self._until, _FIRST)
        elif state.epoch >= self._next:
            self._next = 2 * state.epoch
            self._until = state.step + _BURST
        else:
            return
        if Watch.current() is None:
            self.watch.start()

    def on_batch_end(self, state: State) -> None:
        """Look away where a stretch ends, and before the model is evaluated."""
        if not self.watch.running:
            if state.loss is not None:
                self.watch.saw(state.loss)
        elif state.step >= self._until or state.batch >= len(state.problem.train):
            self.watch.pause()

    def on_epoch_end(self, state: State) -> None:
        """Note the epoch's losses; tell of what is critical already."""
        loss = state.history[-1].get("val_loss")
        if loss is not None:
            self.watch.record.add("loss", state.step - 1, loss, _EVALUATION)
        self.watch.steps.epochs = state.epoch
        if state.epoch & (state.epoch - 1) == 0:
            self._judge(over=False)

    def on_train_end(self, state: State) -> None:
        """Judge the whole run."""
        self.watch.stop()
        self._judge(over=state.stop != "interrupted")

    def on_exception(self, state: State) -> None:
        """Look away: the program goes on without us."""
        self.watch.stop()

    def _judge(self, *, over: bool) -> None:
        found = diagnose(self.watch.observed, ignore=self.ignore, over=over)
        self.findings = [_placed(finding) for finding in found]
        for finding in self.findings:
            if not over and finding.severity == "critical" and finding.cause not in self.told:
                self.told.add(finding.cause)
                self.tell(finding)


def _placed(finding: Finding) -> Finding:
    """Return it without a line where that is our own command's: the user wrote none."""
    ours = finding.where.rpartition(":")[0] in ("preceptor", "__main__.py", "preceptor.exe")
    return finding.but(where="") if ours else finding


def warn(finding: Finding) -> None:
    """Tell of a finding by a Python warning."""
    warnings.warn(f"{finding.cause}: {finding.title.rstrip('.')}; {finding.remedy}", stacklevel=2)


def warn_of(text: str) -> None:
    """Tell of something by a Python warning."""
    warnings.warn(text, stacklevel=3)
