"""Misprints: what lecture notes often print wrongly, the right form, and what the wrong one does.

Each has a test that the printed form fails. ``preceptor catalogue errata`` lists them.
"""

from __future__ import annotations

import fnmatch
from dataclasses import replace

from preceptor.catalogue.errata import (
    _convolution,
    _derivatives,
    _initialization,
    _normalization,
    _optimization,
    _practice,
    _probability,
    _regularization,
    _sequences,
    _units,
)
from preceptor.catalogue.errata._erratum import Erratum
from preceptor.errors import UnknownName

__all__ = ["ERRATA", "FAMILIES", "Erratum", "erratum", "find_errata"]

_LISTS: dict[str, tuple[Erratum, ...]] = {
    "probability": _probability.ERRATA,
    "linear models and derivatives": _derivatives.ERRATA,
    "units and losses": _units.ERRATA,
    "initialisation": _initialization.ERRATA,
    "optimisation": _optimization.ERRATA,
    "regularisation": _regularization.ERRATA,
    "normalisation": _normalization.ERRATA,
    "convolution and architectures": _convolution.ERRATA,
    "sequences": _sequences.ERRATA,
    "practice": _practice.ERRATA,
}
FAMILIES: tuple[str, ...] = tuple(_LISTS)
ERRATA: dict[str, Erratum] = {
    each.topic: replace(each, family=family) for family, errata in _LISTS.items() for each in errata
}


def _normal(text: str) -> str:
    return text.strip().lower().replace("_", "-").replace(" ", "-")


def erratum(topic: str) -> Erratum:
    """Return the misprint of that topic.

    Raises:
        UnknownName: there is none; the message suggests the nearest topics.

    Example:
        >>> erratum("glorot-bound").right
        '√(6 / (fan_in + fan_out))'
    """
    found = ERRATA.get(_normal(topic))
    if found is None:
        raise UnknownName("erratum", topic, ERRATA)
    return found


def find_errata(pattern: str = "*") -> list[Erratum]:
    """List the misprints whose topic matches a wildcard pattern, or that concern the entry ``kind:name``.

    Example:
        >>> [e.topic for e in find_errata("adam-*")][:2]
        ['adam-gradient-factor', 'adam-corrected-state']
        >>> [e.topic for e in find_errata("schedule:step")]
        ['step-decay-interval']
    """
    if ":" in pattern:
        return [e for e in ERRATA.values() if pattern in e.entries]
    wanted = _normal(pattern)
    return [e for e in ERRATA.values() if fnmatch.fnmatchcase(e.topic, wanted)]
