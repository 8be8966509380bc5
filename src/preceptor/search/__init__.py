"""Many trainings of one experiment: search of hyperparameters, and cross-validation."""

from preceptor.search.cross_validation import CrossValidation, cross_validate
from preceptor.search.search import Search
from preceptor.search.space import Space
from preceptor.search.tuning import tune

__all__ = ["CrossValidation", "Search", "Space", "cross_validate", "tune"]
