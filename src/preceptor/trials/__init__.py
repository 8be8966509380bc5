"""Trying remedies: a change applied to a copy of what was seen, beside an unchanged twin."""

__all__: list[str] = []
