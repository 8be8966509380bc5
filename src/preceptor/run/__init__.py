"""The face of the library: `train`, `load` a `Run`, `watch` any training, and `diagnose` it."""

from preceptor.run._attend import Attend
from preceptor.run._diagnose import diagnose
from preceptor.run._load import load
from preceptor.run._run import Evaluation, Run
from preceptor.run._script import script
from preceptor.run._train import train
from preceptor.run._watch import Watch, watch

__all__ = ["Attend", "Evaluation", "Run", "Watch", "diagnose", "load", "script", "train", "watch"]
