"""Claims of deep learning as experiments: hypothesis, data, run, figure, and a verdict by a stated rule."""

from preceptor.labs._checks import (
    Check,
    Verdict,
    above,
    beyond,
    exact,
    more,
    near,
    rising,
    share,
    slope,
    told,
    verdict,
)
from preceptor.labs._figure import Figure
from preceptor.labs._lab import Claim, Evidence, Lab, Setup, find, lab, labs
from preceptor.labs._results import Result, flipped, keep, perform, read_results
from preceptor.labs._several import perform_all

__all__ = [
    "Check",
    "Claim",
    "Evidence",
    "Figure",
    "Lab",
    "Result",
    "Setup",
    "Verdict",
    "above",
    "beyond",
    "exact",
    "find",
    "flipped",
    "keep",
    "lab",
    "labs",
    "more",
    "near",
    "perform",
    "perform_all",
    "read_results",
    "rising",
    "share",
    "slope",
    "told",
    "verdict",
]
