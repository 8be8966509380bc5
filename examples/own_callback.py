"""Code of one's own at fixed moments of a training: one that stops it, one that writes a log."""

import json
from pathlib import Path

import preceptor


class Enough(preceptor.Callback):
    """Stop once the accuracy on validation suffices."""

    def on_epoch_end(self, state):
        """Look at the epoch that has just ended."""
        if state.history[-1, "val_accuracy"] > 0.9:
            state.stop = "good enough"


class Log(preceptor.Callback):
    """Write a line of JSON an epoch. For TensorBoard and MLflow: callbacks=["tensorboard"]."""

    def on_epoch_end(self, state):
        """Append the numbers of the epoch."""
        with Path("log.jsonl").open("a") as file:
            file.write(json.dumps({"epoch": len(state.history), **state.history[-1]}) + "\n")


run = preceptor.train(data="digits", epochs=20, seed=0, callbacks=[Log(), Enough()], out=False)
print(run.status, "after", len(run.history), "epochs;", Path("log.jsonl").read_text().count("\n"), "lines")
