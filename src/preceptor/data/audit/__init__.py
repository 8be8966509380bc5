"""The audit of data: what is wrong with a data set or its split, before anything is learnt from it."""

from preceptor.data.audit._audit import CHECKS, Audit, examine
from preceptor.data.audit._remark import Check, Remark
from preceptor.data.audit.images import difference_hash, perceptual_hash

__all__ = ["CHECKS", "Audit", "Check", "Remark", "difference_hash", "examine", "perceptual_hash"]
