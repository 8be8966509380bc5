"""What is other in a trial than in the one that it came from: changes of the kind that trials try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from preceptor.catalogue.procedures import manual_search
from preceptor.search.journal import Trial
from preceptor.trials.change import KINDS, Change

__all__ = ["changes_between", "parent_of"]

_KIND = {made.setting: kind for kind, made in KINDS.items() if made.setting}


def changes_between(
    before: Mapping[str, Any], after: Mapping[str, Any], decided: Mapping[str, Any]
) -> tuple[Change, ...]:
    """Return the changes from one point to another; what a point does not say is as in the experiment.

    Example:
        >>> found = changes_between({}, {"optimizer.lr": 0.01, "model.hidden": 64}, {"optimizer.lr": 0.001})
        >>> [str(change) for change in found]
        ['lr 0.001 → 0.01', 'hidden units none → 64']
    """
    keys = dict.fromkeys([*before, *after])
    whole = ({key: _plain(point.get(key, decided.get(key))) for key in keys} for point in (before, after))
    return tuple(
        Change(_KIND.get(key.removesuffix(".name"), key), old, new)
        for key, (old, new) in manual_search()(*whole).items()
    )


def parent_of(
    settings: Mapping[str, Any], trials: Sequence[Trial], decided: Mapping[str, Any]
) -> Trial | None:
    """Return the latest trial that one change leads from; None where there is none.

    Example:
        >>> tried = [Trial(0, "grid", {"a.b": 1, "c.d": 1}), Trial(1, "grid", {"a.b": 1, "c.d": 2})]
        >>> parent_of({"a.b": 2, "c.d": 2}, tried, {}).number
        1
    """
    for trial in reversed(trials):
        if trial.repeats is None and len(changes_between(trial.settings, settings, decided)) == 1:
            return trial
    return None


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
