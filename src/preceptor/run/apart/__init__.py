"""Runs without a network that predicts targets: clusters, components, learners of rewards."""
