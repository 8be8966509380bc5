"""An ensemble from its folder."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preceptor.data import Preprocessor
from preceptor.errors import CheckpointError
from preceptor.run.many.ensemble import COMBINED, Ensemble, combine
from preceptor.run.many.members import Members
from preceptor.run.many.snapshots import TRAINING
from preceptor.training.folder import RunFolder
from preceptor.training.own_code import is_own_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from preceptor.run._run import Run

__all__ = ["load_ensemble", "members_of"]


def members_of(folder: RunFolder) -> Members | None:
    """Return how the ensemble in a folder is made; None where the folder holds a single run."""
    manifest = folder.manifest
    return Members(**manifest["members"]) if manifest["signature"].get("kind") == "ensemble" else None


def load_ensemble(folder: RunFolder, model: Any, load: Callable[[Path, Any], Run]) -> Ensemble:
    """Load the ensemble in a folder, with the weights of its members.

    Arguments:
        folder: the ensemble's.
        model: what makes the members' model, where it is a user's own code.
        load: loads a member from its folder and that.

    Raises:
        CheckpointError: it has not ended, or something of it is gone.
    """
    how = members_of(folder)
    assert how is not None  # noqa: S101 - asked for only then
    facts = _combined(folder)
    names, rule, shares = facts["members"], facts["rule"], facts["shares"]
    preprocessor = None
    if (folder.path / "preprocessing.json").exists():
        preprocessor = Preprocessor.from_state(folder.preprocessing)
    ensemble = combine(
        [load(folder.path / name, _own_model(folder.path / name, model)) for name in names],
        how,
        shares,
        experiment=folder.experiment,
        folder=folder,
        chosen=set(folder.manifest["chosen"]),
        preprocessor=preprocessor,
        ended=str(folder.manifest["status"]),
        training=load(folder.path / TRAINING, _own_model(folder.path / TRAINING, model))
        if how.snapshots
        else None,
    )
    ensemble.together.rule = rule
    return ensemble


def _combined(folder: RunFolder) -> dict[str, Any]:
    path = folder.path / COMBINED
    try:
        facts: dict[str, Any] = dict(json.loads(folder.text(COMBINED)))
        alike = len(facts["members"]) == len(facts["shares"]) > 0 and isinstance(facts["rule"], str)
        alike = alike and all(
            Path(name).name == name for name in facts["members"]
        )  # no way out of the folder
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"no combined members in {folder.path}",
            expected="an ensemble that has ended",
            received=f"{type(error).__name__}: {error}",
            hint=f"finish it first: preceptor train --resume {folder.path}",
        ) from error
    if not alike:
        raise CheckpointError(
            f"{path} is damaged", expected="a weight for each member", received=str(facts)[:120]
        )
    return facts


def _own_model(member: Path, model: Any) -> Any:
    """Return what a member's model is made from: nothing where it has a name, a copy of a module."""
    named = not is_own_code(RunFolder(member).experiment.model.name)
    return None if named else copy.deepcopy(model)
