"""The words of the field: what they mean, how books write them, and where they are met here.

Reports explain their words from here, ``preceptor catalogue glossary`` looks one up, and the pages of the
documentation are written from here by ``python -m preceptor.report.glossary.pages docs``.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace

from preceptor.errors import UnknownName
from preceptor.observation.signals import SIGNALS
from preceptor.report.glossary import (
    _data,
    _measures,
    _networks,
    _optimization,
    _probability,
    _regularization,
    _watching,
)
from preceptor.report.glossary._term import Term

__all__ = ["FAMILIES", "TERMS", "Term", "explained", "spoken", "symbols", "term"]

_LISTS: dict[str, tuple[Term, ...]] = {
    "data and learning": _data.TERMS,
    "probability and language": _probability.TERMS,
    "networks": _networks.TERMS,
    "losses, gradients, optimisation": _optimization.TERMS,
    "regularisation": _regularization.TERMS,
    "measures": _measures.TERMS,
    "here": _watching.TERMS,
}
FAMILIES: tuple[str, ...] = tuple(_LISTS)
_FORMULAS = {name: signal.formula for name, signal in SIGNALS.items()}

TERMS: dict[str, Term] = {
    each.name: replace(each, family=family, text=each.text.format_map(_FORMULAS))
    for family, terms in _LISTS.items()
    for each in terms
}


def _normal(name: str) -> str:
    return name.strip().lower().replace("_", " ").replace("-", " ")


_BY_NAME = {_normal(name): each for each in TERMS.values() for name in (*each.aliases, each.name)}


def term(name: str) -> Term | None:
    """Return the term of that name or alias, or None.

    Example:
        >>> term("mini-batch").name
        'batch size'
    """
    return _BY_NAME.get(_normal(name))


def spoken(symbol: str) -> str:
    """Return how a Greek letter is called; a symbol without one as it is.

    Example:
        >>> spoken("α"), spoken("lr")
        ('alpha', 'lr')
    """
    name = unicodedata.name(symbol, "") if len(symbol) == 1 else ""
    is_greek = name.startswith("GREEK")
    return name.rpartition(" ")[2].lower().replace("lamda", "lambda") if is_greek else symbol


def symbols() -> dict[str, list[Term]]:
    """Return every symbol with what it stands for: in one book this, in another that.

    Example:
        >>> [each.name for each in symbols()["ε"]]
        ['learning rate', 'division guard', 'label smoothing']
    """
    found: dict[str, list[Term]] = {}
    for each in TERMS.values():
        for symbol in each.symbols:
            found.setdefault(symbol, []).append(each)
    return found


def explained(name: str) -> list[Term]:
    """Return what a name, another name, or a symbol means; a symbol may mean several things.

    Raises:
        UnknownName: neither a term nor a symbol; the message suggests the nearest ones.

    Example:
        >>> [each.name for each in explained("kappa")]
        ['condition number']
    """
    wanted = name.strip()
    by_symbol = [each for symbol, meant in symbols().items() if _reads(symbol, wanted) for each in meant]
    alone = term(wanted)
    found = [*([alone] if alone else []), *by_symbol]
    if found:
        return list(dict.fromkeys(found))
    raise UnknownName("term", name, [n for each in TERMS.values() for n in (each.name, *each.aliases)])


def _reads(symbol: str, wanted: str) -> bool:
    """Say whether a symbol is written or called so; of Ω(θ) the first letter will do."""
    letter = symbol.partition("(")[0]
    return wanted in (symbol, letter) or (len(wanted) > 1 and wanted.lower() == spoken(letter))
