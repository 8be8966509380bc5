"""What is predicted: each task with its outputs, loss, metrics, and what raw outputs mean."""

from preceptor.tasks._make import KIND_OF_TASK, make
from preceptor.tasks._task import Task
from preceptor.tasks.classification import Classification
from preceptor.tasks.interval import bootstrap, wilson
from preceptor.tasks.reconstruction import Denoising, Reconstruction
from preceptor.tasks.regression import Regression
from preceptor.tasks.segmentation import Segmentation

__all__ = [
    "KIND_OF_TASK",
    "Classification",
    "Denoising",
    "Reconstruction",
    "Regression",
    "Segmentation",
    "Task",
    "bootstrap",
    "make",
    "wilson",
]
