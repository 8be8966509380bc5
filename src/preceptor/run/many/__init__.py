"""Several trainings as one: ensembles, snapshots, populations, tests of learning rates."""
