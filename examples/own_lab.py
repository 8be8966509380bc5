"""A claim as an experiment: data, rule, checks and a verdict."""

import numpy as np

from preceptor.labs import Claim, Evidence, Figure, Setup, find, lab, more, perform


@lab(
    "likelihood",
    {"means-beat-medians-here": Claim("Of normal numbers the mean is a better guess than the median.")},
    data="25 normal numbers around 0",
    rule="the squared error of the median is larger, by its interval over 200 draws",
)
def own_mean_or_median(setup: Setup) -> Evidence:
    """Guess the centre of normal numbers in two ways."""
    draws = [np.random.default_rng(seed).normal(size=25) for seed in setup.seeds(200)]
    errors = {way.__name__: [way(each) ** 2 for each in draws] for way in (np.median, np.mean)}
    checks = [more("squared error", errors["median"], errors["mean"])]
    means = [np.mean(each) for each in errors.values()]
    figure = Figure("Error", "guess", "squared error", {"": means}, list(errors), kind="bars")
    return Evidence({"means-beat-medians-here": checks}, figure)


result = perform(find("means-beat-medians-here"))
print(result.verdicts)
