"""Convolution and architectures."""
