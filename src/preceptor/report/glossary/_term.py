"""The record of one term."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Term"]


@dataclass(frozen=True)
class Term:
    """A word of the field: what it means, how it is written in formulas, and where it is met here.

    Attributes:
        name: the field's usual word, lower case.
        text: what it means.
        symbols: how it is written in formulas; books differ, and use one letter for several things.
        aliases: other words for it.
        here: where it is met here: settings, arguments, commands.
        see: what of the catalogue it is, as ``"kind:name"``.
        page: the page of the documentation that tells more.
        family: the part of the field; filled in by the list that holds it.
    """

    name: str
    text: str
    symbols: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    here: str = ""
    see: tuple[str, ...] = ()
    page: str = ""
    family: str = ""
