"""Trainings as scikit-learn estimators: `PreceptorClassifier` and `PreceptorRegressor`.

They take their place in pipelines, in ``cross_val_score`` and in ``GridSearchCV``. What they have learned is
in ``run_``, a `preceptor.Run`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from preceptor.data import Preprocessor
from preceptor.errors import DataError
from preceptor.run import Run, train
from preceptor.run._load import predictor_from
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Signature
from preceptor.training.history import History
from preceptor.training.objects import Objects

__all__ = ["PreceptorClassifier", "PreceptorRegressor"]

Array = NDArray[Any]
_FEWEST = 100  # examples, below which none are held out to decide when to stop
_HELD_OUT = 0.15


class _Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both share: every argument is one of `preceptor.train`, None leaves it at its default."""

    _task: str

    def __init__(
        self,
        model: Any = "mlp",
        *,
        activation: str | None = None,
        loss: Any = None,
        optimizer: Any = None,
        lr: float | None = None,
        weight_decay: float | None = None,
        schedule: Any = None,
        regularizers: Any = None,
        epochs: int = 100,
        batch_size: int | str | None = None,
        val: float | None = None,
        patience: int | None = 10,
        settings: Mapping[str, Any] | None = None,
        device: str | None = None,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.activation = activation
        self.loss = loss
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.regularizers = regularizers
        self.epochs = epochs
        self.batch_size = batch_size
        self.val = val
        self.patience = patience
        self.settings = settings
        self.device = device
        self.random_state = random_state

    def _fit(self, x: Array, y: Array) -> None:
        """Train on arrays that have been checked."""
        val = self.val if self.val is not None else _HELD_OUT if len(x) >= _FEWEST else 0.0
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        model = copy.deepcopy(self.model) if isinstance(self.model, torch.nn.Module) else self.model
        self.run_: Run = train(
            model,
            (x, y),
            task=self._task,
            activation=self.activation,
            loss=self.loss,
            optimizer=self.optimizer,
            lr=self.lr,
            weight_decay=self.weight_decay,
            schedule=self.schedule,
            regularizers=self.regularizers,
            epochs=self.epochs,
            batch_size=self.batch_size,
            val=val,
            test=0.0,
            seed=seed,
            device=self.device,
            out=False,
            settings={
                "training.watch": False,
                "training.patience": self.patience,
                **(self.settings or {}),
            },
        )
        self.n_iter_ = len(self.run_.history)

    def _checked(self, x: Any) -> Array:
        check_is_fitted(self, "run_")
        checked: Array = validate_data(self, x, reset=False, allow_nd=True)
        return checked

    def __getstate__(self) -> dict[str, Any]:
        """Return plain data and arrays in place of the run, and the model itself where it is the user's."""
        state: dict[str, Any] = dict(super().__getstate__())
        run = state.pop("run_", None)
        if run is not None:
            state["_trained"] = _stored(run, self.model)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the run again."""
        trained = state.pop("_trained", None)
        super().__setstate__(state)
        if trained is not None:
            self.run_ = _restored(trained, self.device or "cpu")


class PreceptorClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]  # scikit-learn has no types
    """A network that tells classes apart.

    Arguments:
        model: as in `preceptor.train`; a module is copied at each fit, and itself left as it is.
        activation, loss, optimizer, lr, weight_decay, schedule, regularizers, epochs, batch_size, device: as
            there; None leaves them at their defaults.
        val: share of the examples that decides when to stop; default: 0.15 from 100 examples on, else 0.
        patience: epochs without improvement before stopping; None: never.
        settings: further settings by dotted key, such as ``{"model.hidden": [64, 64]}``.
        random_state: of weights, order of examples and dropout; None: drawn from NumPy's generator.

    Attributes:
        run_: the training, with ``history``, ``model``, ``report(path)``.
        classes_: the labels, sorted.
        n_iter_: epochs that were run.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> x, y = load_iris(return_X_y=True)
        >>> net = PreceptorClassifier(lr=0.02, epochs=20, random_state=0).fit(x, y)
        >>> net.score(x, y) > 0.9, net.predict_proba(x).shape
        (True, (150, 3))
    """

    _task = "classification"

    def fit(self, X: Any, y: Any) -> PreceptorClassifier:
        """Train on inputs (N, D), or images (N, C, H, W), and their labels (N,).

        Raises:
            ValueError: they do not fit together, or there is one class alone.
        """
        x, labels = validate_data(self, X, y, allow_nd=True, ensure_min_samples=2)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                "there is only one class",
                expected="two or more to tell apart",
                received=str(self.classes_[0]),
            )
        self._fit(x, codes.astype(np.int64))
        return self

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each row, (N,)."""
        best = self.predict_proba(X).argmax(axis=1)
        predicted: Array = self.classes_[best]
        return predicted

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, (N, K)."""
        x = self._checked(X)
        return self.run_.predict_proba(x).astype(np.float64)


class PreceptorRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]  # scikit-learn has no types
    """A network that predicts one number for each row, or several; arguments as of `PreceptorClassifier`.

    Targets are standardised by those that it is trained on; predictions are in their own units.

    Attributes:
        run_: the training.
        n_iter_: epochs that were run.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 60)[:, None]
        >>> net = PreceptorRegressor(lr=0.02, epochs=60, random_state=0).fit(x, 3 * x[:, 0] + 1)
        >>> net.score(x, 3 * x[:, 0] + 1) > 0.9
        True
    """

    _task = "regression"

    def fit(self, X: Any, y: Any) -> PreceptorRegressor:
        """Train on inputs (N, D), or images (N, C, H, W), and numbers (N,) or (N, T).

        Raises:
            ValueError: they do not fit together.
        """
        x, target = validate_data(
            self, X, y, allow_nd=True, ensure_min_samples=2, multi_output=True, y_numeric=True
        )
        self._shape = target.shape[1:]
        self._fit(x, target.astype(np.float64))
        return self

    def predict(self, X: Any) -> Array:
        """Return the number of each row, (N,), or its numbers, (N, T)."""
        x = self._checked(X)
        return self.run_.predict(x).astype(np.float64).reshape(len(x), *self._shape)

    def __sklearn_tags__(self) -> Any:
        """Say that several numbers may be predicted at once."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _stored(run: Run, given: Any) -> dict[str, Any]:
    assert run.feeds is not None  # noqa: S101 - it was trained here
    assert run.preprocessor is not None  # noqa: S101 - on arrays
    weights = {key: value.detach().cpu().numpy().copy() for key, value in run.model.state_dict().items()}
    return {
        "experiment": run.experiment.to_toml(),
        "signature": vars(run.feeds.signature),
        "preprocessing": run.preprocessor.to_state(),
        "history": run.history.rows,
        "weights": weights,
        "model": None if isinstance(given, str) else run.model,
        "loss": None,
    }


def _restored(stored: Mapping[str, Any], device: str) -> Run:
    experiment = Experiment.from_toml(stored["experiment"])
    preprocessor = Preprocessor.from_state(stored["preprocessing"])
    signature = Signature(**stored["signature"])
    predictor = predictor_from(
        experiment, signature, preprocessor, Objects(model=stored["model"]), torch.device(device)
    )
    weights = {key: torch.from_numpy(np.array(value)) for key, value in stored["weights"].items()}
    predictor.model.load_state_dict(weights)
    return Run(
        experiment=experiment,
        predictor=predictor,
        preprocessor=preprocessor,
        recorded=History(stored["history"]),
    )
