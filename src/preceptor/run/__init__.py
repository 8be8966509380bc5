"""The face of the library: `train` a network, `load` a run, and what a `Run` can do."""

from preceptor.run._run import Evaluation, Run, load
from preceptor.run._script import script
from preceptor.run._train import train

__all__ = ["Evaluation", "Run", "load", "script", "train"]
