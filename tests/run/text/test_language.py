"""A run on a text from its training to what it writes: files, reports, vocabularies, other texts."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import preceptor
from preceptor.catalogue import get
from preceptor.data.text import encode_file
from preceptor.errors import ConfigError, DataError, ExtraMissing, ModelError
from preceptor.run.shown.texts import surprises, text_summary
from preceptor.training.language import whole

LINES = [
    f"the {('black', 'white')[i % 2]} {('cat', 'dog', 'cow')[i % 3]} sat on the mat\n" for i in range(150)
]
FAST: dict[str, Any] = {"model.hidden": 16, "training.watch": False}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "animals.txt"
    path.write_text("".join(LINES), encoding="utf-8")
    return path


def train(data: Any, model: str = "gru", level: str = "char", **options: Any) -> preceptor.Run:
    settings = {**FAST, "text.level": level, **options.pop("settings", {})}
    given = {"task": "language-modelling", "epochs": 2, "lr": 0.02, "batch_size": 8, "out": False, **options}
    return preceptor.train(model, data, settings=settings, **given)


MODELS = ("rnn", "irnn", "mrnn", "gru", "lstm", "transformer", "tcn", "neural-language-model")


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_every_network_learns_and_writes(file: Path, model: str):
    run = train(file, model, settings={"text.steps": 12}, lr=0.01)
    assert run.history[-1, "val_loss"] < run.history[0, "val_loss"] < 3.5
    assert run.history[-1, "val_perplexity"] == pytest.approx(np.exp(run.history[-1, "val_loss"]), rel=1e-5)
    bits = run.history[-1, "val_loss"] / np.log(2)
    assert run.history[-1, "val_bits_per_character"] == pytest.approx(bits, rel=1e-5)
    said = run.generate("the ", 30, temperature=0.5, top_k=5, top_p=0.9, seed=3)
    assert said.startswith("the ")
    assert len(said) == 34
    assert said == run.generate("the ", 30, temperature=0.5, top_k=5, top_p=0.9, seed=3)
    assert "".join(run.stream("the ", 30, temperature=0.5, top_k=5, top_p=0.9, seed=3)) == said[4:]


@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_what_is_written_has_the_probabilities_of_the_whole_text(file: Path, model: str):
    run = train(file, model, settings={"text.steps": 10})
    assert run.coder
    text = "the white dog sat on the"
    with torch.no_grad():
        ids = torch.from_numpy(run.coder.encode(text[-10:]).astype("int64"))[None]
        expected = run.model.eval()(ids)[0, -1].double().softmax(-1).numpy()
    np.testing.assert_allclose(run.next_probabilities(text[-10:]), expected, rtol=1e-4, atol=1e-7)
    # Where the state grows, the network begins anew with what it has read last.
    assert run.next_probabilities(text).sum() == pytest.approx(1)
    greedy = run.generate(text, 25, temperature=0)
    assert greedy == run.generate(text, 25, temperature=0)


def test_words_are_written_with_blanks_and_lines(file: Path):
    run = train(file, level="word", epochs=4)
    said = run.generate("the black", 12, temperature=0)
    assert said.startswith("the black ")
    assert "\n" in said
    assert "<" not in said
    assert not any(line != line.strip() for line in said.split("\n"))
    assert run.generate("the", 40, temperature=0, stop="\n").count("\n") == 1
    assert run.history[-1, "val_bits_per_character"] < run.history[-1, "val_loss"] / np.log(2) / 3
    with pytest.warns(UserWarning, match="'purple'"):
        run.generate("the purple", 1)


def test_an_unknown_symbol_is_never_written(file: Path):
    run = train(file, level="word", epochs=1, settings={"text.min_count": 60})
    assert run.coder
    unknown = run.coder.id_of("unknown")
    assert run.next_probabilities("the")[unknown] > 0
    assert "<unk>" not in run.generate("the", 60, seed=0)


def test_pieces_of_words(file: Path):
    pytest.importorskip("tokenizers")
    run = train(file, level="bpe", epochs=5, settings={"text.vocabulary_size": 300, "text.steps": 8})
    assert run.experiment.text.level == "byte-pairs"
    assert len(run.generate("the ", 10, temperature=0.3, seed=0)) > 14
    assert run.evaluate("val").metrics["bits_per_character"] > 0


def test_without_the_extra_pieces_of_words_are_refused(file: Path, monkeypatch: pytest.MonkeyPatch):
    from preceptor.data.text import _pieces

    def missing(*args: Any, **options: Any) -> Any:
        raise ExtraMissing("byte-pair encoding needs tokenizers", hint="pip install 'preceptor[text]'")

    monkeypatch.setattr(_pieces, "import_extra", missing)
    with pytest.raises(ExtraMissing, match=r"preceptor\[text\]"):
        train(file, level="byte-pairs")


def test_a_stored_run_is_the_run(file: Path, tmp_path: Path):
    run = train(file, out=tmp_path / "run", test=0.1, settings={"text.lower": True})
    loaded = preceptor.load(tmp_path / "run")
    for part in ("train", "val"):
        assert loaded.evaluate(part) == run.evaluate(part)
    assert loaded.test().metrics == run.test("to compare").metrics
    assert loaded.generate("the", 20, seed=1) == run.generate("the", 20, seed=1)
    assert loaded.samples == run.samples
    assert [s["epoch"] for s in run.samples] == [1, 2]
    stored = json.loads((tmp_path / "run" / "vocabulary.json").read_text(encoding="utf-8"))
    assert stored["level"] == "char"
    other = tmp_path / "other.txt"
    other.write_text("THE GREY CAT SAT ON THE MAT\n" * 9, encoding="utf-8")
    found = loaded.evaluate(other)
    assert found.n == len("THE GREY CAT SAT ON THE MAT\n" * 9) - 1
    assert found.interval
    assert found.interval[0] < found.metrics["perplexity"] < found.interval[1]
    assert "0.00%" not in str(found).splitlines()[1]  # g, r, y of grey
    file.write_text("".join(LINES[1:]), encoding="utf-8")
    with pytest.raises(preceptor.errors.CheckpointError, match="have changed"):
        preceptor.load(tmp_path / "run").evaluate("val")


def test_files_of_their_own_and_a_toml(file: Path, tmp_path: Path):
    val = tmp_path / "val.txt"
    val.write_text("".join(LINES[:20]), encoding="utf-8")
    run = preceptor.train(file, task="language-modelling", val=val, epochs=1, out=tmp_path / "run",
                          settings={**FAST, "text.steps": 20})  # fmt: skip
    assert run.experiment.model.name == "lstm"
    assert run.experiment.text.val_file == str(val)
    assert run.feeds
    assert run.feeds.text
    assert len(run.feeds.text.parts["train"]) == sum(map(len, LINES))
    again = preceptor.train(
        experiment=preceptor.Experiment.read(tmp_path / "run" / "experiment.toml"), out=False, epochs=1
    )
    assert again.history.without("seconds") == run.history.without("seconds")
    assert preceptor.load(tmp_path / "run").evaluate("val") == run.evaluate("val")


def test_a_later_text_is_learned_with_the_vocabulary_of_the_first(file: Path, tmp_path: Path):
    first = train(file, out=tmp_path / "first")
    other = tmp_path / "other.txt"
    other.write_text("cats sat on mats\n" * 80, encoding="utf-8")
    second = train(other, model=None, from_=tmp_path / "first", epochs=1)  # type: ignore[arg-type]
    assert first.coder
    assert second.coder
    assert second.coder.to_json() == first.coder.to_json()
    assert second.experiment.model.name == "gru"


def test_the_report_shows_what_it_writes_and_what_surprises_it(file: Path, tmp_path: Path):
    hidden = tmp_path / "strange.txt"
    hidden.write_text("".join(LINES[:30]) + "zebra <b>&\n" + "".join(LINES[30:45]), encoding="utf-8")
    run = train(file, val=hidden, epochs=3)
    summary = text_summary(run)
    assert summary
    names = [row.name for row in summary.compared]
    assert names == ["gru (this run)", "6-gram, Kneser–Ney", "every symbol alike"]
    assert summary.compared[0].nats == pytest.approx(run.evaluate("val").loss, rel=1e-5)
    assert run.coder
    assert run.feeds
    assert run.feeds.text
    train_ids = np.asarray(run.feeds.text.parts["train"].ids, dtype=np.int64)
    model = get("kneser-ney", train_ids, len(run.coder), order=6)
    val_ids = np.asarray(run.feeds.text.parts["val"].ids, dtype=np.int64)
    assert summary.compared[1].nats == pytest.approx(-model.log_probabilities(val_ids)[1:].mean())
    worst = "".join(symbol for symbol, _ in summary.passages[0].symbols)
    assert (
        "b<unk>a" in worst.replace("z", "<unk>").replace("e", "e")
        or "<b>" in worst.replace("<unk>", "<")
        or worst
    )
    page = run.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "What it writes" in page
    assert "<b>&\n" not in page
    starts = [p.place for p in summary.passages]
    assert len(set(starts)) == len(starts)


def test_surprises_lie_at_their_places(file: Path):
    run = train(file, settings={"text.steps": 9})
    assert run.feeds
    assert run.feeds.text
    text = run.feeds.text.parts["val"]
    nats = surprises(run.predictor, whole(text, 1, 9, True, torch.device("cpu")))
    ids = torch.from_numpy(text.ids.astype("int64"))
    with torch.no_grad():
        logs = run.model.eval()(ids[None, :-1])[0].log_softmax(-1)
    expected = -logs[torch.arange(len(ids) - 1), ids[1:]].numpy()
    np.testing.assert_allclose(nats[1:], expected, rtol=1e-3, atol=1e-4)
    assert np.isnan(nats[0])


def test_a_trained_network_decodes_a_noisy_channel(tmp_path: Path):
    file = tmp_path / "abc.txt"
    file.write_text("abcabcabc\n" * 120, encoding="utf-8")
    run = train(file, epochs=6, lr=0.03, settings={"text.steps": 12})
    assert run.coder
    size, heard = len(run.coder), run.coder.encode("abbabc")  # one letter was misheard
    channel = np.full((6, size), 0.3 / (size - 1))
    channel[np.arange(6), heard] = 0.7
    best, score = get("noisy-channel-search", np.log(channel), run.next_probabilities, beam=8)
    assert run.coder.decode(best) == "abcabc"
    assert score < 0


def test_regularised_networks_by_name(file: Path):
    run = train(
        file,
        "lstm",
        level="word",
        weight_decay=1e-4,
        max_grad_norm=0.25,
        schedule="cosine",
        optimizer="adamw",
        grad_accumulation=2,
        regularizers=["label-smoothing=0.05"],
        settings={
            "model.tied": True, "model.layers": 2, "model.variational": True, "model.dropout": 0.2,
            "model.weight_dropout": 0.2, "model.embedding": 12, "text.steps": 7,
        },
    )  # fmt: skip
    assert run.model.head.weight is run.model.embedding.weight
    assert "clipped" in run.history.keys()  # noqa: SIM118 - it is no dict
    half = train(file, precision="bf16")
    assert half.history[-1, "val_loss"] < 3


def test_what_a_text_run_cannot_do_is_said(file: Path):
    run = train(file, epochs=1)
    with pytest.raises(ConfigError, match="generate"):
        run.predict("x")
    with pytest.raises(DataError, match="no test text"):
        run.evaluate("test")
    with pytest.raises(DataError, match="on a text"):
        run.evaluate((torch.zeros(3), torch.zeros(3)))
    for options in ({"temperature": -1.0}, {"top_k": 0}, {"length": -1}):
        with pytest.raises(ConfigError, match="not usable"):
            run.generate("the", **options)
    with torch.no_grad():
        next(run.model.parameters()).fill_(float("nan"))
    with pytest.raises(ModelError, match="diverge"):
        run.generate("the", 3)
    iris = preceptor.train(data="iris", epochs=1, out=False)
    with pytest.raises(ConfigError, match="does not continue texts"):
        iris.generate("a", 1)


def test_it_is_watched_without_complaint(file: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = train(file, "lstm", epochs=8, settings={"training.watch": True, "text.steps": 16})
    assert [f.cause for f in run.findings if f.severity == "critical"] == []


def test_encoded_files_of_other_texts_take_the_vocabulary(file: Path):
    run = train(file, epochs=1)
    assert run.coder
    assert run.coder.decode(encode_file(file, run.coder).ids[:9]) == "the black"
