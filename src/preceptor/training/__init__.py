"""Learning: the problem, the loop, its life-cycle, and the folder that a run leaves behind."""

from preceptor.training.build import Objects, build
from preceptor.training.callbacks import Callback
from preceptor.training.checkpoints import Checkpoints
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder
from preceptor.training.history import History
from preceptor.training.loggers import MLflow, TensorBoard
from preceptor.training.loop import fit
from preceptor.training.problem import Predictor, Problem
from preceptor.training.state import State

__all__ = [
    "Callback",
    "Checkpoints",
    "Experiment",
    "History",
    "MLflow",
    "Objects",
    "Predictor",
    "Problem",
    "RunFolder",
    "State",
    "TensorBoard",
    "build",
    "fit",
]
