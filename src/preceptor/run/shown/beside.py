"""What simple methods give on the same held-out examples, beside a network."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from preceptor.data import Part
from preceptor.report._format import count, number
from preceptor.report._table import Table

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["beside_density", "beside_imputation", "gaussian_log_density", "kernel_log_density"]

Numbers = NDArray[np.float64]

_LEARNED = 2000  # training examples that the simple methods look at
_WIDE = 100  # features beyond which chained regressions take too long for a report


def gaussian_log_density(train: Numbers, x: Numbers) -> Numbers:
    """Return log N(x; mean, covariance) by the training examples' moments, (N,).

    Example:
        >>> gaussian_log_density(np.array([[-1.0], [1.0]]), np.array([[0.0]])).round(4).tolist()
        [-0.9189]
    """
    mean, width = train.mean(0), train.shape[1]
    covariance = np.cov(train.T, bias=True).reshape(width, width) + 1e-6 * np.eye(width)
    factor = np.linalg.cholesky(covariance)
    z = np.linalg.solve(factor, (x - mean).T)
    constant = width * np.log(2 * np.pi) / 2 + np.log(np.diag(factor)).sum()
    result: Numbers = -np.square(z).sum(0) / 2 - constant
    return result


def kernel_log_density(train: Numbers, x: Numbers) -> Numbers:
    """Return the log-density by a Gaussian kernel on each training example, as wide as Scott's rule says.

    Example:
        >>> kernel_log_density(np.zeros((1, 1)), np.array([[0.0]])).round(4).tolist()
        [-0.9189]
    """
    from sklearn.neighbors import KernelDensity

    width = len(train) ** (-1 / (train.shape[1] + 4))
    result: Numbers = KernelDensity(bandwidth=width).fit(train).score_samples(x)
    return result


def beside_density(run: Run, own: Numbers, where: str) -> Table:
    """Return the mean log-density of a network, of one Gaussian, and of a kernel estimate."""
    train, held = run.part("train"), run.part("val") or run.part("train")
    assert train is not None and held is not None and run.preprocessor is not None  # noqa: S101, PT018 - for the type checker: asked for before
    known, x = _numbers(train)[:_LEARNED], _numbers(held)
    volume = run.preprocessor.log_volume
    found = {run.experiment.model.name: own}
    found["one Gaussian"] = gaussian_log_density(known, x) - volume
    found["kernel density"] = kernel_log_density(known, x) - volume
    rows = tuple(
        (name, number(values.mean()), number(values.std() / np.sqrt(len(values))))
        for name, values in found.items()
    )
    note = "The same scaled examples; constant features have the width that each method gives them."
    return Table(f"Log-density, nats an example, {where}", ("density", "mean", "standard error"), rows, note)


def beside_imputation(run: Run, part: Part, output: Tensor, target: Tensor, where: str) -> Table:
    """Return the root mean squared error of a network, of the mean, and of chained regressions."""
    train = run.part("train")
    assert train is not None  # noqa: S101 - there was something to learn from
    asked = ~target.isnan()
    true = target[asked].double().numpy()
    given, known = _numbers(part), _numbers(train)[:_LEARNED]
    hidden = asked.flatten(1).numpy()
    found = {
        run.experiment.model.name: output[asked].double().numpy(),
        "the mean": np.broadcast_to(np.nanmean(known, 0), given.shape)[hidden],
    }
    note = "In standard deviations of the training examples, on the values that were hidden."
    if known.shape[1] <= _WIDE:
        found["chained ridge regressions"] = _chained(known, given)[hidden]
    else:
        note += f" Chained regressions are left out beyond {count(_WIDE)} features."
    rows = tuple(
        (name, number(float(np.sqrt(np.square(np.nan_to_num(made) - true).mean()))))
        for name, made in found.items()
    )
    return Table(f"Error of imputation, {where}", ("by", "RMSE"), rows, note)


def _chained(known: Numbers, given: Numbers) -> Numbers:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes the next import possible
    from sklearn.impute import IterativeImputer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rounds that end before they settle
        imputer = IterativeImputer(max_iter=5, random_state=0, keep_empty_features=True).fit(known)
        made: Numbers = imputer.transform(given)
    return made


def _numbers(part: Part) -> Numbers:
    x: Any = part.x if isinstance(part.x, Tensor) else part.x[:]
    values: Numbers = x.flatten(1).cpu().double().numpy()
    return values
