"""The face of the library: `train`, `load` a `Run`, `watch` any training, `diagnose` it; `summary`."""

from preceptor.run._attend import Attend
from preceptor.run._diagnose import diagnose
from preceptor.run._embedding import embed
from preceptor.run._embedding_run import EmbeddingRun, load_embedding
from preceptor.run._load import load
from preceptor.run._run import Evaluation, Run
from preceptor.run._script import script
from preceptor.run._size import summary
from preceptor.run._train import train
from preceptor.run._watch import Watch, watch

__all__ = [
    "Attend",
    "EmbeddingRun",
    "Evaluation",
    "Run",
    "Watch",
    "diagnose",
    "embed",
    "load",
    "load_embedding",
    "script",
    "summary",
    "train",
    "watch",
]
