"""The record of one misprint."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Erratum"]


@dataclass(frozen=True)
class Erratum:
    """What is often printed wrongly, and the right form.

    Attributes:
        topic: a short name, lower case with hyphens.
        printed: the formula, code or statement as it is printed.
        right: the form that holds.
        why: what goes wrong with the printed form.
        entries: what of the catalogue has the right form, as ``"kind:name"``.
        family: the part of the field; filled in by the list that holds it.
    """

    topic: str
    printed: str
    right: str
    why: str
    entries: tuple[str, ...] = ()
    family: str = ""
