"""Hugging Face's Trainer and Accelerate, on tiny models built from a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from ._twice import evaluations, losses_of, twice, typical

X = torch.randn(48, 4, generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 3, (48,), generator=torch.Generator().manual_seed(2))


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


class Sentences(Dataset[dict[str, Tensor]]):
    def __init__(self, causal: bool) -> None:
        generator = torch.Generator().manual_seed(3)
        self.tokens = torch.randint(1, 50, (32, 12), generator=generator)
        self.labels = self.tokens if causal else torch.randint(0, 2, (32,), generator=generator)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": self.tokens[index], "labels": self.labels[index]}


def _model(transformers: Any, causal: bool) -> Any:
    if causal:
        small = transformers.GPT2Config(vocab_size=50, n_positions=16, n_embd=16, n_layer=2, n_head=2)
        return transformers.GPT2LMHeadModel(small)
    small = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16,
    )  # fmt: skip
    return transformers.BertForSequenceClassification(small)


def trainer(folder: Path, causal: bool, **settings: Any) -> dict[str, Any]:
    transformers = pytest.importorskip("transformers")
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=2,
        per_device_train_batch_size=8,
        per_device_eval_batch_size=16,
        eval_strategy="epoch",
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        **settings,
    )
    model = _model(transformers, causal)
    data = Sentences(causal)
    transformers.trainer_utils.logging.disable_progress_bar()
    found = transformers.Trainer(model, arguments, train_dataset=data, eval_dataset=data)
    found.remove_callback(transformers.PrinterCallback)
    found.train()
    history = found.state.log_history
    return {
        "losses": [entry["loss"] for entry in history if "loss" in entry],
        "norms": [entry["grad_norm"] for entry in history if "grad_norm" in entry],
        "valid": [entry["eval_loss"] for entry in history if "eval_loss" in entry],
        "model": model,
    }


@pytest.mark.parametrize(
    ("causal", "settings"),
    [
        (False, {}),
        (True, {}),
        (True, {"gradient_accumulation_steps": 2}),
        (True, {"gradient_checkpointing": True}),
    ],
    ids=["bert", "gpt2", "accumulated", "checkpointed"],
)
def test_the_trainer(causal: bool, settings: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    watch, made = twice(lambda: trainer(tmp_path, causal, **settings))
    assert losses_of(watch) == pytest.approx(made["losses"], abs=2e-4)
    assert watch.steps.train == len(made["losses"]) == 8 // settings.get("gradient_accumulation_steps", 1)
    (phase,) = evaluations(watch)
    assert losses_of(watch, phase) == pytest.approx(made["valid"], rel=1e-3)
    clipped = list(watch.record.signal("clip_norm").values)
    assert clipped == pytest.approx(made["norms"], rel=1e-4)
    graded = watch.record.subjects("grad_norm")
    first = "transformer.wte.weight" if causal else "bert.embeddings.word_embeddings.weight"
    assert first in graded
    assert [name for name in graded if name not in made["model"]] == []
    assert watch.steps.epochs == 2
    assert watch.graph(0).losses
    assert typical(watch)[-1] == "step"


def accelerate(**settings: Any) -> dict[str, Any]:
    module = pytest.importorskip("accelerate")
    accelerator = module.Accelerator(cpu=True, **settings)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    loader = DataLoader(TensorDataset(X, Y), 8, shuffle=True)
    model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    losses, valid = [], []
    for _ in range(2):
        model.train()
        for x, y in loader:
            with accelerator.accumulate(model):
                loss = functional.cross_entropy(model(x), y)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
            losses.append(loss.item())
        model.eval()
        with torch.inference_mode():
            valid.append(functional.cross_entropy(model(X), Y).item())
    made = {"losses": losses, "valid": valid, "model": accelerator.unwrap_model(model)}
    module.state.AcceleratorState._reset_state(True)
    module.state.GradientState._reset_state()
    return made


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_accelerate(steps: int, precision: str) -> None:
    pytest.importorskip("accelerate")
    watch, made = twice(lambda: accelerate(gradient_accumulation_steps=steps, mixed_precision=precision))
    means = torch.tensor(made["losses"], dtype=torch.float64).reshape(-1, steps).mean(1).tolist()
    assert losses_of(watch) == pytest.approx(means, rel=1e-6)
    assert watch.steps.train == 12 // steps
    (phase,) = evaluations(watch)
    assert losses_of(watch, phase) == pytest.approx(made["valid"], rel=1e-6)
    assert watch.record.subjects("grad_norm") == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert watch.steps.epochs == 2
    assert watch.graph(0).losses
    kinds = [
        kind for kind in typical(watch) if kind in ("batch", "forward", "loss", "backward", "clip", "step")
    ]
    assert kinds == ["batch", "forward", "loss", "backward"] * steps + ["clip", "step"]
