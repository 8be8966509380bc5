"""What is measured at looks: small objects that the watch tells of every event of a looked step."""

from preceptor.observation.look import Probe
from preceptor.observation.probes.activations import Activations
from preceptor.observation.probes.batches import Batches
from preceptor.observation.probes.finite import Finite, offender
from preceptor.observation.probes.losses import Losses
from preceptor.observation.probes.modes import Modes
from preceptor.observation.probes.parts import Parts
from preceptor.observation.probes.updates import Updates

__all__ = [
    "Activations",
    "Batches",
    "Finite",
    "Losses",
    "Modes",
    "Parts",
    "Updates",
    "economy",
    "full",
    "offender",
    "standard",
]


def standard() -> list[Probe]:
    """Return one of each probe: what a watch uses unless told otherwise."""
    return [Updates(), Activations(), Batches(), Losses(), Finite(), Modes(), Parts()]


def economy() -> list[Probe]:
    """Return the cheapest: norms, batches without fingerprints, loss calls, modes, parts; no activations."""
    return [Updates(shares=False), Batches(hashes=False), Losses(), Finite(), Modes(), Parts()]


def full() -> list[Probe]:
    """Return one of each with larger samples."""
    larger = [Updates(sample=1 << 15), Activations(128, positions=64)]
    return [*larger, Batches(), Losses(), Finite(), Modes(), Parts()]
