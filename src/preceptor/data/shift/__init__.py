"""Whether inputs in use are distributed as those trained on, from statistics that a run keeps of these."""

from preceptor.data.shift._causes import Cause
from preceptor.data.shift._compare import Moved, Shift, compare
from preceptor.data.shift._reference import Reference

__all__ = ["Cause", "Moved", "Reference", "Shift", "compare"]
