"""GloVe on a text: CPU time from the file to the vectors, analogies, and correlation with human similarities.

    python benchmarks/word_vectors.py CORPUS QUESTIONS PAIRS [--set KEY=VALUE …]

CORPUS has one document a line; QUESTIONS four words a line, with ``: section`` lines; PAIRS two words and a
score with tabs between them (``#`` begins a remark). Measured are the vectors as used, and the plain sums.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

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


if __name__ == "__main__":
    main()
