"""The recipe as a decision tree: every leaf can be reached, by numbers and by trainings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from preceptor.diagnosis.causes import CAUSES
from preceptor.errors import ConfigError
from preceptor.recipe.position import Position, error_of, position
from preceptor.recipe.tree import ACTIONS, TREE, Choice, Node, Question, next_step
from preceptor.training.experiment import Experiment


def curves(*names: str) -> frozenset[str]:
    return frozenset(names)


REACHED: list[tuple[str, Position]] = [
    ("lower-rate", Position(train=0.9, val=0.9, finite=False)),
    ("check", Position(train=0.89, val=0.9, chance=0.9)),
    ("check", Position(train=0.6, val=0.6, curves=curves("no progress"))),
    ("train-longer", Position(train=0.3, val=0.31, curves=curves("still learning"))),
    ("other-optimizer", Position(train=0.3, val=0.31, curves=curves("oscillating"))),
    ("restrain-less", Position(train=0.3, val=0.31, restrained=True)),
    ("bigger-model", Position(train=0.3, val=0.31)),
    (
        "other-architecture",
        Position(train=0.3, val=0.31, tried=frozenset({"bigger-model", "train-longer", "other-optimizer"})),
    ),
    ("look-at-split", Position(train=0.04, val=0.01, noise=0.01)),
    ("match-data", Position(train=0.01, val=0.2, like_training=0.02, noise=0.01)),
    ("regularise", Position(train=0.01, val=0.2, noise=0.02)),
    ("regularise", Position(train=0.01, val=0.2, like_training=0.19, noise=0.02)),
    ("more-data", Position(train=0.01, val=0.2, tried=frozenset({"regularise"}))),
    ("other-architecture", Position(train=0.01, val=0.2, tried=frozenset({"regularise", "more-data"}))),
    ("more-validation", Position(train=0.01, val=0.02, test=0.15, noise=0.01)),
    ("done", Position(train=0.01, val=0.02, noise=0.01)),
    ("done", Position(train=0.2, val=0.3, goal=0.3)),
    ("bigger-model", Position(train=0.02, val=0.03, goal=0.01)),
    ("regularise", Position(train=0.0, val=0.03, goal=0.01)),
]


@pytest.mark.parametrize(("action", "stands"), REACHED)
def test_a_position_comes_to_its_action(action: str, stands: Position) -> None:
    assert next_step(stands).action.name == action


def leaves(node: Node) -> Iterator[str]:
    if isinstance(node, Choice):
        yield from (name for name, _ in node.actions)
    else:
        assert isinstance(node, Question)
        yield from leaves(node.yes)
        yield from leaves(node.no)


def test_every_leaf_is_reached_and_every_action_is_a_leaf() -> None:
    assert set(leaves(TREE)) == set(ACTIONS) == {action for action, _ in REACHED}


def test_actions_name_causes_that_there_are() -> None:
    assert {cause for action in ACTIONS.values() for cause in action.causes} <= set(CAUSES)


def test_what_was_tried_is_not_said_again_until_nothing_is_left() -> None:
    stands, seen = Position(train=0.3, val=0.31, curves=curves("still learning")), []
    for _ in range(6):
        seen.append(next_step(stands).action.name)
        stands = stands.after(seen[-1])
    assert seen == ["train-longer", "bigger-model", "other-optimizer", *["other-architecture"] * 3]


def test_the_path_tells_why() -> None:
    advice = next_step(Position(train=0.02, val=0.1, noise=0.01))
    assert [yes for _, yes, _ in advice.path] == [True, True, False, False, True]
    assert advice.path[-1][0] == "Is the validation error high?"
    assert advice.path[-1][2] == "validation error 10 %, 8 % more than in training"
    assert str(advice).startswith("training error 2 % · validation error 10 %: regularise")
    assert advice.to_plain()["path"][0]["answer"] is True
    assert not advice.done


def test_without_validation_only_training_counts() -> None:
    assert next_step(Position(train=0.01)).action.name == "done"
    assert next_step(Position(train=0.4)).action.name == "bigger-model"
    with pytest.raises(ConfigError, match="shares of 0 or more"):
        Position(train=-0.1)


def rows(train: float, val: float, epochs: int = 30) -> list[dict[str, Any]]:
    """Curves that fall and come to rest, at these accuracies."""
    return [
        {
            "epoch": e + 1,
            "train_loss": 0.9**e + 0.1, "train_loss_running": 0.9**e + 0.12, "val_loss": 0.9**e + 0.15,
            "train_accuracy": train, "val_accuracy": val,
        }
        for e in range(epochs)
    ]  # fmt: skip


def test_positions_are_read_off_a_history() -> None:
    experiment = Experiment.of(
        {"metrics": ("accuracy",), "training.goal": 0.98, "optimizer.weight_decay": 0.1, "model": "mlp"}
    )
    stands = position(rows(0.99, 0.9), experiment, best=4, examples=100, test=0.85, chance=0.1)
    assert stands is not None
    assert (round(stands.train, 6), round(stands.val or 0, 6), round(stands.goal or 0, 6)) == (
        0.01,
        0.1,
        0.02,
    )
    assert stands.noise == pytest.approx(1.96 * (0.1 * 0.9 / 100) ** 0.5)
    assert (round(stands.test or 0, 6), stands.chance, stands.restrained, stands.finite) == (
        0.15,
        0.9,
        True,
        True,
    )
    assert position([], experiment) is None
    assert position([{"epoch": 1, "val_loss": 1.0}], Experiment()) is None
    short = position(rows(0.5, 0.5, 3), experiment)
    assert short is not None
    assert short.curves == {"too short to tell"}


def test_a_loss_without_a_measure_is_relative_to_the_first() -> None:
    history = [{"train_loss": 4.0, "val_loss": 5.0}, {"train_loss": 1.0, "val_loss": 2.0}]
    stands = position(history, Experiment(metrics=("mae",)))
    assert stands is not None
    assert (stands.train, stands.val) == (0.25, 0.5)
    broken = position([*history, {"train_loss": float("nan"), "val_loss": 1.0}], Experiment(), best=2)
    assert broken is not None
    assert not broken.finite
    assert next_step(broken).action.name == "lower-rate"


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("accuracy", 0.9, 0.1),
        ("r2", -0.5, 1.5),
        ("error", 0.3, 0.3),
        ("macro_f1", 1.0, 0.0),
        ("psnr", 0.5, None),
        ("x", 1.0, None),
    ],
)
def test_errors_of_measures(name: str, value: float, error: float | None) -> None:
    assert error_of(name, value) == (None if error is None else pytest.approx(error))
