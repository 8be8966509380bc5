"""The face of the library: `train`, `load` a `Run`, `watch` any training, `diagnose` it; `summary`."""

from preceptor.run._load import load
from preceptor.run._run import Evaluation, Run
from preceptor.run._script import script
from preceptor.run._size import summary
from preceptor.run._train import train
from preceptor.run.examined.asserting import assert_healthy, assert_learns
from preceptor.run.examined.attend import Attend
from preceptor.run.examined.audit import audit
from preceptor.run.examined.check import check
from preceptor.run.examined.diagnose import diagnose
from preceptor.run.examined.watch import Watch, watch
from preceptor.run.many.ensemble import Ensemble
from preceptor.run.many.members import Members
from preceptor.run.many.population import Population, train_population
from preceptor.run.many.rates import DropTest, RateTest, drop_test, lr_test
from preceptor.run.text.embed import embed
from preceptor.run.text.embedding_run import EmbeddingRun, load_embedding

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
    "assert_healthy",
    "assert_learns",
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
