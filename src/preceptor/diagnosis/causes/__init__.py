"""Every cause that a diagnosis may name, one family a file."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from preceptor.diagnosis.cause import Cause
from preceptor.diagnosis.causes import data, model, outputs, procedure, resources, training

__all__ = ["CAUSES"]

CAUSES: Mapping[str, Cause] = MappingProxyType(
    {
        cause.id: cause
        for family in (training, outputs, data, model, procedure, resources)
        for cause in family.CAUSES
    }
)
"""Every cause by its id."""
