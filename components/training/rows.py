"""Marks in the index of a Features artifact."""

MADE = -1
"""``clip`` and ``view`` of a row that Transform made of other clips or of noise."""
