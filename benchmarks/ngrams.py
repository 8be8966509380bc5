"""n-gram models on the Penn Treebank: perplexity on test text, and the CPU time of counting and of measuring.

    python benchmarks/ngrams.py FOLDER

FOLDER holds ``ptb.train.txt.xz``, ``ptb.valid.txt.xz`` and ``ptb.test.txt.xz``, one sentence a line. Weights
of the interpolation are fitted on the validation part. "over sentences": contexts reach over their ends.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from preceptor.catalogue import get
from preceptor.catalogue.language import NgramModel
from preceptor.data.text import Vocabulary, encode_file, read_lines


def timed(name: str, make: Callable[[], NgramModel], test: np.ndarray) -> None:
    start = time.process_time()
    model = make()
    counted = time.process_time()
    perplexity = model.perplexity(test)
    measured = time.process_time()
    print(f"{name:<38}{perplexity:>10.1f}{counted - start:>10.2f}{measured - counted:>10.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    files = [folder / f"ptb.{part}.txt.xz" for part in ("train", "valid", "test")]
    start = time.process_time()
    words = Vocabulary.build(read_lines(files[0]), specials=("unknown", "end"))
    train, valid, test = (np.asarray(encode_file(file, words).ids) for file in files)
    size, end = len(words), words.id_of("end")
    print(f"{size:,} words, {len(train):,} tokens, read in {time.process_time() - start:.2f} s of CPU")
    print(f"{'model':<38}{'test PPL':>10}{'count s':>10}{'test s':>10}")
    for order in (3, 5):
        one = {"order": order, "end": end}
        for name, more in (
            ("kneser-ney", {}),
            ("kneser-ney", {"modified": False}),
            ("katz-back-off", {}),
            ("additive-smoothing", {"k": 0.01}),
        ):
            shown = " ".join([name, str(order), *(f"{k}={v}" for k, v in more.items())])
            timed(shown, lambda n=name, m=more, o=one: get(n, train, size, **o, **m), test)
        shown = f"linear-interpolation {order}"
        timed(shown, lambda o=one: get("linear-interpolation", train, size, valid, **o), test)
    timed("kneser-ney 5, over sentences", lambda: get("kneser-ney", train, size, order=5), test)
    shares = get("unseen-n-grams", train, test, size, order=5, end=end)
    print("unseen n-grams of the test text, n = 1 … 5: " + ", ".join(f"{share:.1%}" for share in shares))


if __name__ == "__main__":
    main()
