"""Everything by name: data, network, optimizer, schedule. What can be named: preceptor catalogue."""

import preceptor

run = preceptor.train(
    "mlp",
    "digits",
    activation="gelu",
    optimizer={"name": "adamw", "weight_decay": 0.01},
    lr=3e-3,
    schedule="cosine",
    regularizers=["label-smoothing=0.05"],
    epochs=8,
    seed=0,
    out="by-name",
)
print(f"{run.status}: best epoch {run.best_epoch}, accuracy {run.history[-1, 'val_accuracy']:.3f}")
print(run.test())  # the one look at the test set, with an interval
print([finding.cause for finding in run.findings] or "nothing wrong was found")
print(run.report())
