"""What is predicted: each task with its outputs, loss, metrics, and what raw outputs mean."""

from preceptor.tasks._make import APART, KIND_OF_TASK, make
from preceptor.tasks._task import Task
from preceptor.tasks.classification import Classification
from preceptor.tasks.density import AnomalyDetection, DensityEstimation
from preceptor.tasks.imputation import Imputation
from preceptor.tasks.interval import bootstrap, mean_interval, wilson
from preceptor.tasks.language import LanguageModelling
from preceptor.tasks.multi_label import MultiLabel
from preceptor.tasks.parsing import Parsing
from preceptor.tasks.reconstruction import Denoising, Reconstruction
from preceptor.tasks.regression import Regression
from preceptor.tasks.segmentation import Segmentation
from preceptor.tasks.tagging import Tagging
from preceptor.tasks.transcription import Transcription
from preceptor.tasks.translation import Translation

__all__ = [
    "APART",
    "KIND_OF_TASK",
    "AnomalyDetection",
    "Classification",
    "Denoising",
    "DensityEstimation",
    "Imputation",
    "LanguageModelling",
    "MultiLabel",
    "Parsing",
    "Reconstruction",
    "Regression",
    "Segmentation",
    "Tagging",
    "Task",
    "Transcription",
    "Translation",
    "bootstrap",
    "make",
    "mean_interval",
    "wilson",
]
