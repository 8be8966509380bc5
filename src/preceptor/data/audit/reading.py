"""What was seen while the examples of a data set of one's own were read."""

from __future__ import annotations

from collections.abc import Iterator

from preceptor.data.audit._remark import Check, Remark
from preceptor.data.audit._subject import Subject

__all__ = ["CHECKS"]


def as_read(subject: Subject) -> Iterator[Remark]:
    """Examples that could not be read, are of another form, or hold no numbers."""
    yield from subject.reading or ()


class _Read(Check):
    """A check of examples that a data set of one's own yields."""

    def suits(self, subject: Subject) -> bool:
        """Whether there is such a data set."""
        return subject.reading is not None


CHECKS = (_Read("reading", "every example that was read is of one form, and finite", as_read),)
