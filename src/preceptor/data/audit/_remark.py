"""What a check says of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from preceptor.data.audit._texts import TEXTS

if TYPE_CHECKING:
    from preceptor.data.audit._subject import Subject

__all__ = ["EVERY", "Check", "Level", "Remark", "listed", "plural", "share"]

Level: TypeAlias = Literal["warning", "info", "skipped"]
_ROWS_KEPT = 200
EVERY = ("images", "table", "vectors", "tensors", *TEXTS)
"""All kinds of inputs."""


@dataclass(frozen=True)
class Remark:
    """One thing that was noticed.

    Attributes:
        level: ``"warning"``: a flaw; ``"info"``: worth knowing; ``"skipped"``: could not be judged, and why.
        text: one sentence, with the figures that it rests on.
        remedy: what to do about it.
        rows: which rows of the source it is about, from 0, the worst first; at most 200 of them.
        columns: which columns.
        evidence: figures by name.
    """

    level: Level
    text: str
    remedy: str = ""
    rows: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(int(row) for row in self.rows[:_ROWS_KEPT]))

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        evidence = {key: np.asarray(value).tolist() for key, value in self.evidence.items()}
        return {**vars(self), "rows": list(self.rows), "columns": list(self.columns), "evidence": evidence}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Remark:
        """Build again what `to_plain` returned."""
        return cls(**{**plain, "rows": tuple(plain["rows"]), "columns": tuple(plain["columns"])})


@dataclass(frozen=True)
class Check:
    """A check by name.

    Attributes:
        name: such as ``"exact-duplicates"``.
        clean: what is said where nothing was found.
        look: yields what it finds.
        quick: whether it is so cheap that every training makes it.
        kinds: of inputs that it is about; none: of all but texts.
        targets: the kind of targets that it is about; "": all.
    """

    name: str
    clean: str
    look: Callable[[Subject], Iterator[Remark]]
    quick: bool = True
    kinds: tuple[str, ...] = ()
    targets: str = ""

    def suits(self, subject: Subject) -> bool:
        """Whether it has anything to say of such data."""
        dataset = subject.dataset
        about = dataset.kind in self.kinds if self.kinds else dataset.kind not in TEXTS
        return about and self.targets in ("", dataset.target_kind)


def share(part: float) -> str:
    """Return a fraction as text.

    Example:
        >>> share(0.0314), share(0.0004)
        ('3.1 %', '0.04 %')
    """
    return f"{100 * part:.1f} %" if part >= 0.01 or part == 0 else f"{100 * part:.2g} %"


def plural(n: int, noun: str) -> str:
    """Return a count with its noun.

    Example:
        >>> plural(1, "row"), plural(2000, "row")
        ('1 row', '2,000 rows')
    """
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def listed(names: list[str] | tuple[str, ...], limit: int = 6) -> str:
    """Return names with commas, shortened where they are many.

    Example:
        >>> listed(["a", "b", "c"], limit=2)
        'a, b, … (3 in all)'
    """
    return ", ".join(names[:limit]) + (f", … ({len(names)} in all)" if len(names) > limit else "")
