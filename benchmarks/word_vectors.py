"""GloVe on a text: CPU time from the file to the vectors, analogies, and correlation with human similarities.

    python benchmarks/word_vectors.py CORPUS QUESTIONS PAIRS [--set KEY=VALUE …]

CORPUS has one document a line; QUESTIONS four words a line, with ``: section`` lines; PAIRS two words and a
score with tabs between them (``#`` begins a remark). Measured are the vectors as used, and the plain sums;
with --gensim, where that is installed, those of its skip-gram too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from preceptor.catalogue import get
from preceptor.catalogue.word_vectors import WordVectors
from preceptor.data.text import read_lines
from preceptor.run import EmbeddingRun, embed
from preceptor.training.experiment import parse_assignments


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("corpus", "questions", "pairs"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--gensim", action="store_true", help="train gensim's skip-gram on it as well")
    options = parser.parse_args()
    start = time.process_time()

    def counted(run: EmbeddingRun) -> None:
        print("\n".join(run.facts), f"counted in {time.process_time() - start:.1f} s of CPU", sep="\n")

    run = embed(options.corpus, parse_assignments(options.settings), out=False, on_start=counted)
    vectors = run.vectors
    model, training = run.experiment.model, run.experiment.training
    print(f"{model.options}, {training.epochs} passes, {training.batch_size:,} pairs a step")
    print(f"trained in {time.process_time() - start:.1f} s of CPU, counting included")
    pairs = [line.split("\t")[:3] for line in read_lines(options.pairs) if not line.startswith("#")]
    plain = WordVectors(run.vocabulary.symbols, run.model.vectors)
    for name, measured in (("as used", vectors), ("plain sums", plain)):
        analogies = get("analogies", measured, read_lines(options.questions))
        print(f"{name}: {analogies}; {get('word-similarity', measured, pairs)}", flush=True)
    if options.gensim:
        beside(options.corpus, read_lines(options.questions), pairs)


def beside(corpus: Path, questions: Iterable[str], pairs: list[list[str]]) -> None:
    """Train gensim's skip-gram: 100 dimensions, window 5, 5 negatives, 5 passes, words that occur 5 times."""
    from gensim.models import Word2Vec

    start = time.process_time()
    lines = [line.split() for line in read_lines(corpus)]
    made = Word2Vec(lines, vector_size=100, window=5, min_count=5, sg=1, negative=5, epochs=5, workers=1)
    seconds = time.process_time() - start
    measured = WordVectors(made.wv.index_to_key, torch.from_numpy(made.wv.vectors))
    print(f"gensim's skip-gram, in {seconds:.1f} s of CPU: {get('analogies', measured, questions)}; ", end="")
    print(get("word-similarity", measured, pairs))


if __name__ == "__main__":
    main()
