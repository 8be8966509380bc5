"""What is predicted: each task with its outputs, loss, metrics, and what raw outputs mean."""

from preceptor.tasks._make import make
from preceptor.tasks._task import Task
from preceptor.tasks.classification import Classification
from preceptor.tasks.interval import bootstrap, wilson
from preceptor.tasks.regression import Regression

__all__ = ["Classification", "Regression", "Task", "bootstrap", "make", "wilson"]
