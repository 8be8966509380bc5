"""Generalisation and regularisation."""
