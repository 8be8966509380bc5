"""A search for hyperparameters: judged on validation, the best trained again with other seeds."""

import preceptor

search = preceptor.tune(
    "mlp",
    "wine",
    space={"lr": "log:1e-4..1e-1", "model.hidden": [8, 32]},
    trials=5,
    repeats=2,
    finalists=2,
    epochs=5,
    out="search",
)
print(f"best: {search.best.changes}, val_loss {search.best.value:.3f}")
print(search.verdict)
