"""Sound programs of many kinds: the rules about losses, outputs, layers and numerics keep silent."""

from __future__ import annotations

import pytest

from ._loss_runs import Program, alarms
from ._losses_sound import SOUND


@pytest.mark.slow
@pytest.mark.parametrize("program", SOUND, ids=[program.__name__ for program in SOUND])
def test_nothing_is_said_of_a_sound_program(program: Program) -> None:
    assert alarms(program) == set()
