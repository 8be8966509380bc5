"""The face of the library: `train`, `load` a `Run`, `watch` any training, `diagnose` it; `summary`."""

from preceptor.run._attend import Attend
from preceptor.run._audit import audit
from preceptor.run._check import check
from preceptor.run._diagnose import diagnose
from preceptor.run._embedding import embed
from preceptor.run._embedding_run import EmbeddingRun, load_embedding
from preceptor.run._ensemble import Ensemble
from preceptor.run._load import load
from preceptor.run._lr import DropTest, RateTest, drop_test, lr_test
from preceptor.run._members import Members
from preceptor.run._population import Population, train_population
from preceptor.run._run import Evaluation, Run
from preceptor.run._script import script
from preceptor.run._size import summary
from preceptor.run._train import train
from preceptor.run._watch import Watch, watch

__all__ = [
    "Attend",
    "DropTest",
    "EmbeddingRun",
    "Ensemble",
    "Evaluation",
    "Members",
    "Population",
    "RateTest",
    "Run",
    "Watch",
    "audit",
    "check",
    "diagnose",
    "drop_test",
    "embed",
    "load",
    "load_embedding",
    "lr_test",
    "script",
    "summary",
    "train",
    "train_population",
    "watch",
]
