"""Hugging Face's Trainer within a watch, on a tiny model that is built here, so that nothing is fetched."""

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

import preceptor

torch.manual_seed(0)
config = BertConfig(
    vocab_size=20,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=8,
    num_labels=2,
)
tokens = torch.randint(1, 20, (96, 8))
labels = (tokens[:, 0] > 9).long()  # the first token decides
rows = [{"input_ids": ids, "labels": label} for ids, label in zip(tokens, labels, strict=True)]

arguments = TrainingArguments(
    output_dir="huggingface",
    num_train_epochs=3,
    per_device_train_batch_size=16,
    learning_rate=3e-3,
    report_to=[],
    save_strategy="no",
    use_cpu=True,
    disable_tqdm=True,
)
trainer = Trainer(BertForSequenceClassification(config), arguments, train_dataset=rows)
with preceptor.watch() as watch:
    trainer.train()

losses = watch.record.signal("loss", phase="train").values
print(f"{watch.steps.train} steps, loss {losses[0]:.3f} → {losses[-1]:.3f}")
print([finding.cause for finding in watch.findings()] or "nothing wrong was found")
