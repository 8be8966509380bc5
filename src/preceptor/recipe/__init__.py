"""The recipe: checks before training, what a training will take, and what to do next, as a decision tree."""

from preceptor.recipe._all import CHECKS
from preceptor.recipe.check import Check, run_checks
from preceptor.recipe.memory import Memory
from preceptor.recipe.result import Checks, Result
from preceptor.recipe.subject import Subject
from preceptor.recipe.timing import Time

__all__ = ["CHECKS", "Check", "Checks", "Memory", "Result", "Subject", "Time", "run_checks"]
