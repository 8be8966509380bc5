"""Healthy code in other people's styles: no alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from preceptor.diagnosis.diagnose import diagnose
from preceptor.observation.watch import Watch

from ._other_programs import PROGRAMS, digits, images, stream


def assert_no_alarm(watch: Watch) -> None:
    failed: list[str] = []
    found = diagnose(watch.observed, complain=failed.append)
    assert failed == []
    assert [(f.cause, f.title, f.evidence) for f in found if f.severity != "info"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_examples(name: str) -> None:
    torch.manual_seed(0)
    with Watch() as watch:
        PROGRAMS[name]()
    assert_no_alarm(watch)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_lightning_module() -> None:
    lightning = pytest.importorskip("lightning")

    class LitDigits(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(
                nn.Conv2d(1, 12, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Dropout(0.2),
                nn.Linear(192, 10),
            )

        def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
            x, y = batch
            loss = functional.cross_entropy(self.net(x), y)
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
            x, y = batch
            logits = self.net(x)
            self.log("val_loss", functional.cross_entropy(logits, y))
            self.log("val_acc", (logits.argmax(1) == y).float().mean())

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.Adam(self.parameters(), lr=3e-3)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
            return {"optimizer": optimizer, "lr_scheduler": schedule}

    torch.manual_seed(0)
    train, valid = images()
    trainer = lightning.Trainer(
        max_epochs=8,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with Watch() as watch:
        trainer.fit(LitDigits(), train, valid)
    assert_no_alarm(watch)


class Sentences(Dataset[dict[str, Tensor]]):
    def __init__(self, first: int, last: int) -> None:
        self.rows = stream()[first:last].unfold(0, 16, 8)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_hugging_face_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    small = transformers.GPT2Config(vocab_size=16, n_positions=16, n_embd=32, n_layer=2, n_head=2)
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=4,
        learning_rate=5e-3,
        warmup_steps=20,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=32,
        eval_strategy="epoch",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
    )
    torch.manual_seed(0)
    data, held_out = Sentences(0, 8000), Sentences(8000, 9000)
    with Watch() as watch:
        model = transformers.GPT2LMHeadModel(small)
        trainer = transformers.Trainer(model, arguments, train_dataset=data, eval_dataset=held_out)
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    assert_no_alarm(watch)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_skorch_classifier() -> None:
    skorch = pytest.importorskip("skorch")
    torch.manual_seed(0)
    x, y = digits()
    with Watch() as watch:
        classifier = skorch.NeuralNetClassifier(
            nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10)),
            criterion=nn.CrossEntropyLoss,
            max_epochs=20,
            lr=0.1,
            batch_size=32,
            iterator_train__shuffle=True,
            verbose=0,
        )
        classifier.fit(x[:1200].numpy(), y[:1200].numpy())
        classifier.predict(x[1200:].numpy())
    assert_no_alarm(watch)


@pytest.mark.slow
def test_fine_tuning_of_a_frozen_backbone() -> None:
    """A net is trained, its features are frozen in evaluation mode, and a new head learns another task."""
    torch.manual_seed(0)
    x, y = digits()
    backbone = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU())
    model = nn.Sequential(backbone, nn.Linear(64, 10))
    with Watch() as watch:
        _train(model, torch.optim.Adam(model.parameters(), lr=2e-3), x[:1200], y[:1200])
        for parameter in backbone.parameters():
            parameter.requires_grad = False
        model[1] = nn.Linear(64, 2)
        head = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1, momentum=0.9)
        _train(model, head, x[:1200], (y[:1200] > 4).long(), frozen=backbone)
    assert_no_alarm(watch)


def _train(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, frozen: nn.Module | None = None
) -> None:
    for _ in range(12):
        model.train()
        if frozen is not None:
            frozen.eval()
        for inputs, labels in DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True):
            optimizer.zero_grad()
            functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
