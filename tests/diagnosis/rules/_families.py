"""Every family of rules about calls, modes, coverage and schedules: what is sound must be sound to all."""

from __future__ import annotations

from preceptor.diagnosis.rules import (
    coverage,
    explosions,
    modes,
    protocol,
    restoring,
    schedules,
    strengths,
    wiring,
)

ALL = (coverage, explosions, modes, protocol, restoring, schedules, strengths, wiring)
