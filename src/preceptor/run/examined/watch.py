"""Watching a training from outside, and writing down what was seen."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from preceptor.diagnosis.finding import Finding, Findings
from preceptor.errors import ConfigError
from preceptor.files import own_file
from preceptor.observation.watch import Watch as _Watch
from preceptor.run.examined.diagnose import diagnose

__all__ = ["Watch", "watch", "write_report"]


class Watch(_Watch):
    """A watch that says what went wrong, and writes its own report; see `watch`."""

    def findings(self, *, ignore: Collection[str] = ()) -> Findings:
        """Return the causes of what goes wrong, best guess first; empty where all is well.

        While the watch runs, only what can be judged before the end of a training is.

        Arguments:
            ignore: ids of causes that are not to be named.

        Raises:
            UnknownName: no such cause.
        """
        return diagnose(self, ignore=ignore, note=self._note)

    def try_remedies(self, *, ignore: Collection[str] = ()) -> Findings:
        """Return the findings, each with what trying its remedies showed under ``verification``.

        Twins of the training are made of the steps that the watch kept, one with a change and one without,
        several pairs of them: see `preceptor.trials.trial.Trial` for the rule. That takes a fifth of the
        program's time, at least 10 seconds. Nothing of the program is touched. What cannot be tried is said
        in ``notes``.

        Arguments:
            ignore: ids of causes that are not to be named.

        Raises:
            ConfigError: the watch keeps no steps, or it is still running.
            UnknownName: no such cause.
        """
        if self.kept is None or self.running:
            raise ConfigError(
                "remedies cannot be tried",
                expected="a watch that keeps steps and has ended",
                received="one that still runs" if self.running else "one that keeps none",
                hint="with preceptor.watch(trials=True) as watch: …, then watch.try_remedies()",
            )
        from preceptor.trials.counterfactual import try_remedies

        found = self.findings(ignore=ignore)
        outcome = try_remedies(found, self.kept, self.observed, run_seconds=self.seconds)
        for note in outcome.notes:
            self._note(note)
        return Findings(outcome.findings)

    def _repr_html_(self) -> str:
        return self.findings()._repr_html_()

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write what has been seen as one HTML file that needs nothing else, and return its path.

        Raises:
            StorageError: the file cannot be written; one that stood there before is intact.
        """
        return write_report(self, path, title="Watched training", findings=self.findings())


def watch(
    level: str = "standard",
    budget: float | None = None,
    memory: int = 256 << 20,
    *,
    trials: bool = False,
) -> Watch:
    """Watch whatever trains with PyTorch within a ``with`` block, without changing one bit of it.

    Models, optimizers, losses and loaders are found by themselves. Between looks only losses and the order
    of calls are noted; a look measures gradients, updates, activations and batches. Looks come so often that

        Σ time of looks ≤ budget · time of the program.

    Arguments:
        level: "economy" (losses, order of calls, norms now and then), "standard", or "full" (every step).
        budget: share of the time that looking may take; default: the level's.
        memory: bytes that record and graphs may take together.
        trials: whether to keep steps, so that `Watch.try_remedies` can tell what would help.

    Returns:
        A `Watch`: ``findings()`` says what went wrong, ``record`` holds the signals, ``graph()`` the
        computational graph of a step, and ``report(path)`` writes the page.

    Example:
        >>> import preceptor, torch
        >>> layer = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        >>> with preceptor.watch() as watch:
        ...     for _ in range(5):
        ...         optimizer.zero_grad()
        ...         torch.nn.functional.mse_loss(layer(torch.ones(4, 2)), torch.ones(4, 1)).backward()
        ...         optimizer.step()
        >>> watch.steps.train, len(watch.record.signal("loss"))
        (5, 5)
    """
    return Watch(level, budget, memory, trials=trials)


def write_report(
    watch: _Watch,
    path: str | os.PathLike[str],
    *,
    title: str,
    findings: Sequence[Finding] | None = None,
    find: Callable[[str], Path | None] | None = None,
) -> Path:
    """Write the report of a watch to ``path``, whole or not at all, under a title; return its path.

    Lines of the user's files are shown beside findings. ``find`` gives their path by their name; by default
    they are what is loaded from under the working folder.

    Raises:
        StorageError: the file cannot be written.
    """
    from preceptor.report._page import save
    from preceptor.report.watch import watch_html

    page = watch_html(
        watch.summary(),
        watch.record,
        watch.graphs,
        title=title,
        findings=findings,
        find=find or (lambda file: own_file(file, "", Path.cwd())),
    )
    return save(page, path)
