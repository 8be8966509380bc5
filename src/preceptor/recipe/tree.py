"""The recipe as a decision tree: from the errors of a training to what is to be done next.

                     is the loss a number? ── no ─► lower the rate
                              │
               better than a constant answer? ── no ─► check the program
                              │
      is the training error high? ── yes ─► train longer · another rate or optimizer · restrain it less ·
                              │               a bigger model · another architecture
              validation better than training? ── yes ─► look at the split
                              │
    is the validation error high? ── yes ─► match the data · regularise · more data · another architecture
                              │
             is the test error high? ── yes ─► more validation data
                              │
                             done

High is what lies above the goal. Without a goal, it is a twentieth above what would be perfect, or above the
training error. Of several actions the first that suits and was not tried is next: one change at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from preceptor.recipe.position import Position

__all__ = ["ACTIONS", "TREE", "Action", "Advice", "Question", "next_step"]

_SLACK = 0.05
_NOTHING = 0.95  # of a constant answer's error: what is above has learnt nothing
_NG = "Ng, Machine Learning Yearning, 2018"
_GOODFELLOW = "Goodfellow, Bengio and Courville, Deep Learning, 2016, chapter 11"


@dataclass(frozen=True)
class Action:
    """What to do next.

    Attributes:
        name: of the action.
        text: what it is, in a sentence.
        causes: ids of causes whose remedies come to it, so that it can be tried; none: a person's to do.
        source: where it is described.
    """

    name: str
    text: str
    causes: tuple[str, ...] = ()
    source: str = _NG


ACTIONS: Mapping[str, Action] = {
    action.name: action
    for action in (
        Action(
            "lower-rate",
            "lower the learning rate, or clip the gradient",
            ("learning-rate-too-high", "missing-gradient-clipping", "numeric-instability"),
            _GOODFELLOW,
        ),
        Action(
            "check",
            "check network, loss and data before anything else (preceptor check); then another rate",
            ("learning-rate-too-high", "learning-rate-too-low", "unscaled-inputs", "bad-initialization"),
        ),
        Action("train-longer", "train longer", ("too-few-epochs",)),
        Action(
            "other-optimizer",
            "another learning rate or optimizer",
            ("learning-rate-too-high", "learning-rate-too-low", "unsuitable-optimizer"),
        ),
        Action(
            "restrain-less",
            "less weight decay, less dropout",
            ("weight-decay-too-strong", "dropout-too-strong"),
            _GOODFELLOW,
        ),
        Action("bigger-model", "a bigger model", ("capacity-too-low",)),
        Action(
            "other-architecture",
            "another architecture, better features, cleaner labels; or is this as well as it can be known?",
        ),
        Action(
            "look-at-split",
            "look at the split: is validation easier than training, or part of it? is dropout or augmenting "
            "on in training alone?",
            (),
            _GOODFELLOW,
        ),
        Action(
            "match-data",
            "training data like those of validation: collect some, or make the ones like the others",
        ),
        Action(
            "regularise",
            "regularise: stop early, weight decay, dropout, augmentation, fewer parameters",
            ("overfitting",),
        ),
        Action("more-data", "more data, or augmentation that makes more of them"),
        Action(
            "more-validation",
            "more validation examples: what was chosen suits these few by chance",
        ),
        Action("done", "nothing: the errors are as low as was asked for"),
    )
}
"""Every action, by name."""


@dataclass(frozen=True)
class Question:
    """A fork.

    Attributes:
        text: the question.
        holds: whether the answer is yes.
        why: the numbers that it is answered by.
        yes, no: where to go on.
    """

    text: str
    holds: Callable[[Position], bool]
    why: Callable[[Position], str]
    yes: Node
    no: Node


@dataclass(frozen=True)
class Choice:
    """Actions of which the first that suits, and was not tried, is next; the last one always suits.

    Attributes:
        actions: names with the condition under which each suits.
    """

    actions: tuple[tuple[str, Callable[[Position], bool]], ...]

    def chosen(self, position: Position) -> Action:
        """Return what is next."""
        suiting = [name for name, suits in self.actions if suits(position)]
        return ACTIONS[next((name for name in suiting if name not in position.tried), suiting[-1])]


Node: TypeAlias = "Question | Choice"


def _always(position: Position) -> bool:
    return True


def _only(name: str) -> Choice:
    return Choice(((name, _always),))


def _has(*names: str) -> Callable[[Position], bool]:
    return lambda position: not position.curves.isdisjoint(names)


def _high_in_training(p: Position) -> bool:
    return p.train > (_SLACK if p.goal is None else p.goal)


def _high_in_validation(p: Position) -> bool:
    if p.val is None:
        return False
    return p.gap > max(_SLACK, p.noise) if p.goal is None else p.val > p.goal


def _elsewhere(p: Position) -> bool:
    """Whether most of the gap lies between examples of the two kinds, not between seen and unseen ones."""
    if p.like_training is None or p.val is None:
        return False
    return p.val - p.like_training > max(p.noise, p.like_training - p.train)


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{100 * value:.3g} %"


def _against_goal(p: Position) -> str:
    return "" if p.goal is None else f", goal {_percent(p.goal)}"


TREE: Node = Question(
    "Is the loss a number to the end?",
    lambda p: p.finite,
    lambda p: "it is" if p.finite else "NaN or infinite",
    no=_only("lower-rate"),
    yes=Question(
        "Does it do better on training examples than a constant answer?",
        lambda p: p.train < _NOTHING * p.chance and not _has("no progress")(p),
        lambda p: f"training error {_percent(p.train)}, a constant answer has {_percent(p.chance)}",
        no=_only("check"),
        yes=Question(
            "Is the training error high?",
            _high_in_training,
            lambda p: f"training error {_percent(p.train)}{_against_goal(p)}",
            yes=Choice(
                (
                    ("train-longer", _has("still learning", "too short to tell", "rate too low")),
                    ("other-optimizer", _has("rate too high", "rate too low", "oscillating", "late start")),
                    ("restrain-less", lambda p: p.restrained),
                    ("bigger-model", _always),
                    ("train-longer", _always),
                    ("other-optimizer", _always),
                    ("other-architecture", _always),
                )
            ),
            no=Question(
                "Is validation better than training?",
                lambda p: p.gap < -max(p.noise, 1e-9),
                lambda p: f"validation error {_percent(p.val)}, training error {_percent(p.train)}",
                yes=_only("look-at-split"),
                no=Question(
                    "Is the validation error high?",
                    _high_in_validation,
                    lambda p: (
                        f"validation error {_percent(p.val)}, {_percent(p.gap)} more than in training"
                        f"{_against_goal(p)}"
                    ),
                    yes=Choice(
                        (
                            ("match-data", _elsewhere),
                            ("regularise", _always),
                            ("more-data", _always),
                            ("other-architecture", _always),
                        )
                    ),
                    no=Question(
                        "Is the test error higher than the validation error?",
                        lambda p: (
                            p.test is not None and p.val is not None and p.test - p.val > max(p.noise, _SLACK)
                        ),
                        lambda p: f"test error {_percent(p.test)}",
                        yes=_only("more-validation"),
                        no=_only("done"),
                    ),
                ),
            ),
        ),
    ),
)
"""The tree, from its root."""


@dataclass(frozen=True)
class Advice:
    """What is next, and how the tree comes to it.

    Attributes:
        action: what to do.
        path: question, answer and the numbers behind it, from the root on.
        position: where the training stands.
    """

    action: Action
    path: tuple[tuple[str, bool, str], ...]
    position: Position

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.action.name == "done"

    def __str__(self) -> str:
        p = self.position
        errors = f"training error {_percent(p.train)}"
        errors += "" if p.val is None else f" · validation error {_percent(p.val)}"
        return f"{errors}{_against_goal(p)}: {self.action.text}"

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        path = [{"question": text, "answer": yes, "because": why} for text, yes, why in self.path]
        return {
            "action": self.action.name,
            "text": self.action.text,
            "path": path,
            "position": self.position.to_plain(),
        }


def next_step(position: Position) -> Advice:
    """Walk the tree, and return what is to be done next.

    Example:
        >>> print(next_step(Position(train=0.002, val=0.1, noise=0.02)))
        training error 0.2 % · validation error 10 %: regularise: stop early, weight decay, dropout, ...
        >>> next_step(Position(train=0.2, val=0.22, curves=frozenset({"still learning"}))).action.name
        'train-longer'
        >>> next_step(Position(train=0.2, val=0.22).after("bigger-model")).action.name
        'train-longer'
    """
    node, path = TREE, []
    while isinstance(node, Question):
        yes = node.holds(position)
        path.append((node.text, yes, node.why(position)))
        node = node.yes if yes else node.no
    return Advice(node.chosen(position), tuple(path), position)
