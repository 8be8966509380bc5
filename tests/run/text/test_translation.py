"""Translation from pairs to sentences: training, decoding, measuring, resuming, report, command line."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import preceptor
from preceptor.catalogue import get
from preceptor.data._sentences import spelled, symbols_of
from preceptor.data.text import Vocabulary
from preceptor.data.toy_language import toy_translation
from preceptor.errors import ConfigError, DataError
from preceptor.report.alignment import Alignment, save_alignments
from preceptor.run.shown.translations import by_length
from preceptor.training import State

TINY = {"model.hidden": 16, "text.beam": 2, "training.watch": False}
PAIRS = toy_translation(120, clauses=1)


def trained(model: Any = "seq2seq-attention", data: Any = PAIRS, **changes: Any) -> preceptor.Run:
    settings = {**TINY, **changes.pop("settings", {})}
    given = {"task": "translation", "epochs": 2, "lr": 1e-2, "out": False, **changes}
    return preceptor.train(model, data, settings=settings, **given)


@pytest.fixture(scope="module")
def run() -> preceptor.Run:
    return trained(epochs=12)


class StopAt(preceptor.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_batch_end(self, state: State) -> None:
        if state.step == self.step:
            state.stop = "interrupted"


class TestTraining:
    @pytest.mark.slow
    def test_history_has_loss_perplexity_and_accuracy(self, run: preceptor.Run):
        row = run.history[-1]
        assert row["val_perplexity"] == pytest.approx(math.exp(row["val_loss"]), rel=1e-6)
        assert run.history[-1, "val_loss"] < run.history[0, "val_loss"]
        assert 0 < row["val_accuracy"] <= 1
        assert run.experiment.text.level == "punctuated"

    def test_the_loss_is_the_mean_over_symbols(self, run: preceptor.Run):
        assert run.feeds is not None
        assert run.feeds.val is not None
        total, count = 0.0, 0
        with torch.no_grad():
            for x, y in run.feeds.val.epoch():
                logs = run.model.eval()(x).double().log_softmax(-1)
                inside = y >= 0
                total -= float(logs[inside].gather(-1, y[inside][:, None]).sum())
                count += int(inside.sum())
        assert run.evaluate("val").loss == pytest.approx(total / count, rel=1e-5)

    @pytest.mark.parametrize(
        ("model", "changes"),
        [
            ("seq2seq-attention", {}),
            ("seq2seq", {"settings": {"model.reverse": True, "text.first_longest": 5}}),
            ("seq2seq-transformer", {"regularizers": ["scheduled-sampling"], "grad_accumulation": 2}),
            ("seq2seq", {"regularizers": ["teacher-forcing=0.5"], "precision": "bf16"}),
        ],
    )
    def test_a_resume_is_exact(self, tmp_path: Path, model: str, changes: dict[str, Any]):
        whole = trained(model, epochs=3, out=tmp_path / "whole", **changes)
        for at, stop in enumerate((2, 5)):
            given = {**changes, "callbacks": [StopAt(stop)]}
            trained(model, epochs=3, out=tmp_path / "parts", resume=at > 0, **given)
        again = trained(model, epochs=3, out=tmp_path / "parts", resume=True, **changes)
        assert again.history.without("seconds") == whole.history.without("seconds")
        for key, value in whole.model.state_dict().items():
            assert torch.equal(value, again.model.state_dict()[key]), key

    def test_smoothed_labels(self):
        found = trained(loss="cross-entropy", epochs=1, settings={"loss.label_smoothing": 0.1})
        assert found.experiment.loss.options["label_smoothing"] == 0.1

    def test_a_model_of_one_s_own(self):
        class Mine(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = get("seq2seq", (9,), 29, vocabulary=29, hidden=8)

            def forward(self, x: tuple[Tensor, Tensor]) -> Tensor:
                y: Tensor = self.inner(x)
                return y

        torch.manual_seed(0)
        own = Mine()
        found = preceptor.train(
            own, toy_translation(300), task="translation", epochs=1, out=False,
            settings={"training.watch": False, "text.beam": 2},
        )  # fmt: skip
        texts = ["the dog sees the cat", "two birds likes the old horse and the cat feeds the dog"]
        whole = [one.text for one in found.translate(texts, longest=6)]
        found.predictor.model = own.inner  # which is asked step by step
        assert [one.text for one in found.translate(texts, longest=6)] == whole

    def test_what_cannot_be_is_refused(self):
        with pytest.raises(ConfigError, match="mlp does not translate"):
            trained("mlp")
        with pytest.raises(ConfigError, match="bleu is of translations"):
            trained(metrics=["bleu"])
        with pytest.raises(ConfigError, match=r"data\.crop has no effect"):
            trained(settings={"data.crop": 3})
        with pytest.raises(DataError, match="no pairs of texts"):
            trained(data=np.zeros((3, 2)))


class TestTranslating:
    def test_one_sentence_and_several(self, run: preceptor.Run):
        one = run.translate("the dog sees the cat")
        several = run.translate(["the dog sees the cat", "two old birds feeds the cat"])
        assert str(one) == one.text == several[0].text
        assert len(several) == 2
        assert list(run.predict(["the dog sees the cat"])) == [one.text]

    def test_they_do_not_depend_on_each_other(self, run: preceptor.Run):
        texts = PAIRS[0][:30]
        together = [one.text for one in run.translate(texts)]
        assert together == [run.translate(text).text for text in texts]

    def test_alignments_are_of_the_words(self, run: preceptor.Run):
        alignment = run.translate("the dog sees the cat").alignment
        assert alignment is not None
        assert alignment.source == ("the", "dog", "sees", "the", "cat", "<end>")
        assert alignment.weights.shape == (len(alignment.target), 6)
        np.testing.assert_allclose(alignment.weights.sum(1), 1, rtol=1e-5)

    def test_pieces_of_words_become_letters_again(self):
        pytest.importorskip("tokenizers")
        sources, targets = PAIRS[0], [text.replace("o", "ü") for text in PAIRS[1]]
        found = trained(data=(sources, targets), epochs=1, settings={"text.level": "byte-pairs"})
        assert found.preprocessor is not None
        coder: Any = found.preprocessor.coder
        ids = coder.coder.encode("hundü olda", begin=True, end=True).tolist()
        assert spelled(coder.coder, symbols_of(coder.coder, ids), ids) == "hundü olda"
        assert found.translate("the dog sees the cat").alignment is not None

    def test_draws_follow_the_seed(self, run: preceptor.Run):
        def draw(seed: int) -> list[str]:
            made = run.translate(PAIRS[0][:12], temperature=2.0, top_k=8, seed=seed)
            return [one.text for one in made]

        assert draw(1) == draw(1)
        assert draw(1) != draw(2)
        cold = [one.text for one in run.translate(PAIRS[0][:12], temperature=0.0)]
        assert cold == [one.text for one in run.translate(PAIRS[0][:12], beam=1)]

    def test_a_better_score_with_a_wider_beam(self, run: preceptor.Run):
        texts = PAIRS[0][:20]
        greedy, wide = (
            [one.score for one in run.translate(texts, beam=b, length_penalty=0.0)] for b in (1, 8)
        )
        assert sum(wide) >= sum(greedy)

    def test_unknown_words_are_copied(self, run: preceptor.Run, monkeypatch: pytest.MonkeyPatch):
        from preceptor.run.text import translate as _translate

        unknown = 1
        monkeypatch.setattr(
            _translate, "beam_search",
            lambda *a, rows, **k: [[_translate.Hypothesis([unknown, 5], 0.0)] for _ in range(rows)],
        )  # fmt: skip
        one = run.translate("the zebra sees the cat", replace_unknown=True)
        assert one.alignment is not None
        looked = one.alignment.weights[0, :-1].argmax()
        assert one.text.split()[0] == one.alignment.source[looked]
        assert "<unk>" in run.translate("the zebra sees the cat").text
        plain = trained("seq2seq", epochs=1)
        with pytest.raises(ConfigError, match="a network with attention"):
            plain.translate("the zebra sees the cat", replace_unknown=True)

    def test_unknown_words_are_not_written_otherwise(self, run: preceptor.Run):
        assert not any("<unk>" in one.text for one in run.translate(["zebra zebra", "quagga"]))

    def test_options_that_do_not_go_together(self, run: preceptor.Run):
        with pytest.raises(ConfigError, match="searched for or drawn"):
            run.translate("the dog", beam=2, temperature=1.0)
        iris = preceptor.train("mlp", "iris", epochs=1, out=False, settings={"training.watch": False})
        with pytest.raises(ConfigError, match="does not translate"):
            iris.translate("the dog")


class TestMeasuring:
    def test_bleu_comes_first_with_an_interval(self, run: preceptor.Run):
        found = run.evaluate("val")
        assert list(found.metrics) == ["bleu", "perplexity", "accuracy"]
        assert found.interval is not None
        assert found.interval[0] <= found.metrics["bleu"] <= found.interval[1]
        assert run.prepared is not None
        rows = run.prepared.split.val
        meter = get("bleu")
        meter.update(
            [one.text for one in run.translate([PAIRS[0][i] for i in rows])], [PAIRS[1][i] for i in rows]
        )
        assert found.metrics["bleu"] == pytest.approx(meter.compute())

    def test_other_pairs(self, run: preceptor.Run, tmp_path: Path):
        sources, targets = toy_translation(20, seed=7, clauses=1)
        file = tmp_path / "new.tsv"
        file.write_text("".join(f"{a}\t{b}\n" for a, b in zip(sources, targets, strict=True)))
        assert run.evaluate(file).metrics == run.evaluate((sources, targets)).metrics
        assert run.evaluate(file).n == 20

    def test_small_letters_are_compared_with_small_letters(self):
        sources, targets = PAIRS
        found = trained(data=(sources, [text.upper() for text in targets]), settings={"text.lower": True})
        assert "small letters" in found.evaluate("val").notes[0]
        assert found.test().looks == 1

    def test_sentences_of_like_length_are_grouped(self):
        lengths = np.array([3, 9, 3, 12, 5, 5, 5, 7, 8, 8, 3, 4, 9, 9, 9])
        groups = by_length(lengths)
        assert sorted(np.concatenate(groups).tolist()) == list(range(15))
        assert all(lengths[a].max() < lengths[b].min() for a, b in pairwise(groups))

    @pytest.mark.slow
    def test_the_small_language_is_learned(self):
        found = trained(data=toy_translation(1500), epochs=6, lr=5e-3, max_grad_norm=1.0,
                        settings={"model.hidden": 64, "text.beam": 3})  # fmt: skip
        assert found.history[-1, "val_accuracy"] >= 0.95
        sources, targets = toy_translation(200, seed=99)
        exact = np.mean(
            [one.text == text for one, text in zip(found.translate(sources), targets, strict=True)]
        )
        assert exact >= 0.9
        assert found.evaluate((sources, targets)).metrics["bleu"] > 95


class TestFolder:
    def test_a_loaded_run_translates_alike(self, tmp_path: Path):
        file = tmp_path / "pairs.tsv"
        file.write_text("".join(f"{a}\t{b}\n" for a, b in zip(*PAIRS, strict=True)))
        made = trained(data=str(file), out=tmp_path / "run", epochs=3)
        loaded = preceptor.load(tmp_path / "run")
        texts = PAIRS[0][:10]
        assert [o.text for o in loaded.translate(texts)] == [o.text for o in made.translate(texts)]
        assert loaded.evaluate("val").metrics == pytest.approx(made.evaluate("val").metrics)
        assert loaded.preprocessor is not None
        assert isinstance(loaded.preprocessor.encoder.coder, Vocabulary)  # type: ignore[union-attr]

    def test_the_report_shows_translations(self, run: preceptor.Run, tmp_path: Path):
        page = run.report(tmp_path / "report.html").read_text(encoding="utf-8")
        for text in ("BLEU by the length", "Worst translations", "Best translations", "Where was read",
                     "95 % interval, over sentences", "brevity penalty"):  # fmt: skip
            assert text in page
        assert len(page.encode()) < 500_000

    def test_a_report_escapes_what_was_read(self, tmp_path: Path):
        sources = [text.replace("dog", "<script>alert(1)</script>") for text in PAIRS[0]]
        found = trained(data=(sources, PAIRS[1]), settings={"text.level": "word"}, epochs=1)
        page = found.report(tmp_path / "report.html").read_text(encoding="utf-8")
        assert "<script>alert" not in page


def test_an_alignment_as_picture_page_and_text(tmp_path: Path):
    weights = np.array([[0.9, 0.1], [0.0, 1.0]])
    one = Alignment(("<a>", "dog"), ("ein", "H&nd"), weights)
    svg = save_alignments([one], tmp_path / "map.svg").read_text(encoding="utf-8")
    assert svg.count("<rect") == 4
    assert "&lt;a&gt;" in svg
    assert "H&amp;nd" in svg
    assert re.findall(r'fill-opacity="([\d.]+)"', svg) == ["0.90", "0.14", "0.04", "1.00"]
    page = save_alignments([one, one], tmp_path / "map.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 2
    assert save_alignments([one, one], tmp_path / "map.txt").read_text(encoding="utf-8").count("ein") == 2
    for name, several in (("map.svg", [one, one]), ("map.png", [one])):
        with pytest.raises(ConfigError, match=r"\.svg for one sentence"):
            save_alignments(several, tmp_path / name)
