"""A Lightning Trainer within a watch: the module stays as it is."""

import lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import preceptor

inputs, labels = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
data = TensorDataset(inputs.float() / 16, labels)


class Digits(lightning.LightningModule):
    """A small classifier."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    def training_step(self, batch, index):
        """Return the loss of a batch."""
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)

    def configure_optimizers(self):
        """Return the optimizer."""
        return torch.optim.Adam(self.parameters(), lr=1e-2)


lightning.seed_everything(0, verbose=False)
trainer = lightning.Trainer(
    max_epochs=8,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
with preceptor.watch() as watch:
    trainer.fit(Digits(), DataLoader(data, batch_size=64, shuffle=True))

print(f"{watch.steps.train} steps in {watch.steps.epochs} epochs")
print([finding.cause for finding in watch.findings()] or "nothing wrong was found")
