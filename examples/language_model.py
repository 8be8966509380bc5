"""A network that learns to continue a text, character by character."""

from pathlib import Path

import preceptor

Path("rhyme.txt").write_text("the cat sat on the mat, the rat ran from the cat.\n" * 60)
run = preceptor.train(
    "gru",
    "rhyme.txt",
    task="language-modelling",
    settings={"text.steps": 20, "text.level": "char", "model.hidden": 32},
    batch_size=4,
    lr=0.02,
    epochs=3,
    seed=0,
    out=False,
)
print(f"perplexity {run.history[-1, 'val_perplexity']:.2f}")
print(run.generate("the ", length=40, seed=0))
