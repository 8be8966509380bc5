"""Generators: captured, restored, and fenced off."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch

from preceptor.data import generators
from preceptor.training.storage import load_tree, save_tree


def draws() -> tuple[float, ...]:
    return (
        random.random(),
        random.gauss(0, 1),
        float(np.random.rand()),
        float(np.random.randn()),
        float(torch.rand(())),
        float(torch.randn(())),
    )


def test_restoring_repeats_every_draw_even_from_disk(tmp_path: Path) -> None:
    draws()  # leaves half of a Gaussian pair behind in each generator that makes them in pairs
    state = generators.capture()
    first = draws()
    save_tree(tmp_path / "g", state)
    generators.restore(load_tree(tmp_path / "g"))
    assert draws() == first


def test_seeded_leaves_the_callers_generators_alone() -> None:
    state = generators.capture()
    expected = draws()
    generators.restore(state)
    with generators.seeded(3):
        inside = draws()
    assert draws() == expected
    with generators.seeded(3):
        assert draws() == inside
