"""Whole systems, transfer and common mistakes."""
