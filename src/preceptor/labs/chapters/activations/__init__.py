"""Initialisation and activations."""
