"""`assert_learns` and `assert_healthy`: what a project's own tests say of its training."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from preceptor import catalogue
from preceptor.diagnosis.finding import SEVERITIES, Finding, Findings
from preceptor.diagnosis.show import as_text, counts
from preceptor.errors import ConfigError, UnknownName
from preceptor.observation.observed import Observed
from preceptor.observation.watch import Watch
from preceptor.recipe import Checks, Result
from preceptor.run._run import Run
from preceptor.run.examined.check import check
from preceptor.run.examined.diagnose import diagnose

__all__ = ["LEARNS", "assert_healthy", "assert_learns"]

LEARNS = ("gradients", "outputs-suit-loss", "shapes", "one-sample", "one-batch", "inputs-matter")
"""The checks that `assert_learns` does by default."""


def assert_learns(
    model: Any,
    batch: Any,
    loss: Callable[[Any, Any], Tensor] | str | None = None,
    *,
    checks: Sequence[str] | str = LEARNS,
    seed: int = 0,
    seconds: float = 25.0,
) -> Checks:
    """Assert that a network can learn a batch by heart, and needs its inputs for it.

    Only copies are trained; the model, its mode and all random generators are left as they were.

    Arguments:
        model: an ``nn.Module``, or what makes one.
        batch: ``(x, y)``, a DataLoader, a Dataset, or what yields such pairs; 8 to 64 examples are enough.
        loss: a callable of (outputs, targets) that gives their mean loss, or a name of the catalogue;
            default: cross entropy for whole-numbered targets, the mean squared error for others.
        checks: which checks of `preceptor.recipe.CHECKS` are done.
        seed: of everything that is drawn.
        seconds: what the checks may take together.

    Returns:
        What was checked, where nothing failed.

    Raises:
        AssertionError: a check failed, or ``one-batch`` could not be decided in time.
        UnknownName: there is no such check, or loss.
        ModelError: the model cannot take the inputs.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
        >>> x = torch.randn(16, 4)
        >>> assert_learns(net, (x, x[:, :3].argmax(1)))["one-batch"].status
        'passed'

    Source: Karpathy, A Recipe for Training Neural Networks, 2019.
    """
    __tracebackhide__ = True
    found = check(model, _loss(loss), batch, only=checks, seed=seed, seconds=seconds)
    wrong = [one for one in found if one.status == "failed" or _undecided(one)]
    if wrong:
        raise AssertionError("\n".join(["the network does not learn this batch", *map(str, wrong)]))
    return found


def _undecided(result: Result) -> bool:
    return result.check == "one-batch" and result.status == "skipped"


def _loss(given: Any) -> Callable[[Any, Any], Tensor]:
    if isinstance(given, str):
        made: Callable[[Any, Any], Tensor] = catalogue.get(given, kind="loss")
        return made
    return _usual if given is None else given


def _usual(outputs: Any, targets: Any) -> Tensor:
    """Return cross entropy for whole-numbered targets, the mean squared error for others."""
    if not (isinstance(outputs, Tensor) and isinstance(targets, Tensor)):
        raise ConfigError(
            "the loss is not known",
            expected="one tensor of outputs and one of targets, or a loss",
            received=f"outputs {type(outputs).__name__}, targets {type(targets).__name__}",
            hint="assert_learns(model, batch, loss=lambda outputs, targets: …)",
        )
    if targets.is_floating_point():
        return nn.functional.mse_loss(outputs, targets)
    if outputs.ndim == targets.ndim + 1 and targets.dtype == torch.long:
        return nn.functional.cross_entropy(outputs, targets)
    raise ConfigError(
        "the loss is not known",
        expected="class numbers (int64) with an output for each class, numbers (float), or a loss",
        received=f"outputs {tuple(outputs.shape)}, targets {tuple(targets.shape)} of {targets.dtype}",
        hint="assert_learns(model, batch, loss=torch.nn.functional.binary_cross_entropy_with_logits)",
    )


def assert_healthy(
    run: Run | Watch | Observed | Sequence[Finding] | str | os.PathLike[str],
    *,
    ignore: Collection[str] = (),
    severity: str = "warning",
) -> Findings:
    """Assert that nothing went wrong in a training.

    Arguments:
        run: a `Run`, a watch, findings, or a place that `preceptor.diagnose` reads.
        ignore: ids of causes that are accepted.
        severity: from which on a finding is a failure: ``"info"``, ``"warning"`` or ``"critical"``.

    Returns:
        What was found that is no failure, such as remarks.

    Raises:
        AssertionError: something is as severe, or the run diverged; the message has evidence and remedy.
        UnknownName: no such cause, or severity.
        ConfigError: the run was not watched.
        DataError: there is nothing to judge.

    Example:
        >>> import preceptor
        >>> assert_healthy(preceptor.train(data="iris", epochs=30, lr=1e-2, out=False), severity="critical")
        []
    """
    __tracebackhide__ = True
    if severity not in SEVERITIES:
        raise UnknownName("severity", severity, SEVERITIES)
    found, said = _found(run, ignore)
    bad = [one for one in found if SEVERITIES.index(one.severity) >= SEVERITIES.index(severity)]
    if bad:
        said = [counts(bad), *said, *map(as_text, bad)]
    if said:
        raise AssertionError("\n".join(["the training is not healthy: " + said[0], *said[1:]]))
    return Findings(found)


def _found(run: Any, ignore: Collection[str]) -> tuple[list[Finding], list[str]]:
    """Return the findings, and what else is wrong."""
    if isinstance(run, Run):
        from preceptor.diagnosis.causes import CAUSES

        for cause in ignore:
            if cause not in CAUSES:
                raise UnknownName("cause", cause, CAUSES)
        said = ["it diverged"] if run.status == "diverged" else []
        return [one for one in _of_run(run, said) if one.cause not in ignore], said
    if isinstance(run, Sequence) and not isinstance(run, str):
        return [one for one in run if one.cause not in ignore], []
    return diagnose(run, ignore=ignore), []


def _of_run(run: Run, said: list[str]) -> Findings:
    if run.diagnosis is not None or said:
        return run.findings
    if run.folder is not None and (run.folder.path / "record").is_dir():
        return diagnose(run.folder.path)
    raise ConfigError(
        "the run was not watched",
        expected="a run with training.watch, as it is by default",
        received="one without findings",
        hint="settings={'training.watch': True}, and no other watch around the training",
    )
