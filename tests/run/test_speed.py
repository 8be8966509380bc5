"""What a training computes in: as asked, or measured; kept on resume, said everywhere; compiled or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import preceptor
from preceptor.errors import ConfigError
from preceptor.training import Experiment, State, speed
from preceptor.training.speed import Speed

from .conftest import Points, net

WAYS = {"fp32": 1.0, "bf16": 2.0}


def timed(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    """Let turns take as long as is said, so that the choice does not depend on this machine."""

    def take(candidates: Any, device: torch.device) -> None:
        for candidate in candidates:
            way = speed._way(candidate.precision, candidate.memory_format)
            candidate.turns[:] = [seconds[way.replace(" · channels-last", "_last")]] * 3

    monkeypatch.setattr(speed, "_take_turns", take)


def images(n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return x, (x.mean((1, 2, 3)) > 0).long()


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))


class TestChoice:
    def test_float32_is_what_it_is_unless_asked(self, points: Points) -> None:
        run = preceptor.train(net, (points.x, points.y), epochs=1, out=False)
        assert run.experiment.training.precision == "fp32"
        assert str(run.predictor.speed) == "cpu · fp32"  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("half", "chosen", "said"),
        [
            (0.5, "bf16", "cpu · bf16 · 2.00 times as fast as plain fp32, as measured here"),
            (0.97, "fp32", "cpu · fp32 · bf16 is 1.03 times as fast, as measured here"),  # within the noise
            (2.0, "fp32", "cpu · fp32 · bf16 is 0.50 times as fast, as measured here"),
        ],
    )
    def test_half_is_taken_where_it_is_clearly_faster(
        self, points: Points, monkeypatch: pytest.MonkeyPatch, half: float, chosen: str, said: str
    ) -> None:
        timed(monkeypatch, fp32=1.0, bf16=half)
        run = preceptor.train(net, (points.x, points.y), precision="auto", epochs=1, out=False)
        assert run.experiment.training.precision == run.predictor.precision == chosen
        assert str(run.predictor.speed) == said  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("turns", "precision", "layout"),
        [
            ({"fp32": 1.0, "fp32_last": 0.8, "bf16_last": 0.6}, "bf16", "channels-last"),
            ({"fp32": 1.0, "fp32_last": 0.8, "bf16_last": 0.9}, "fp32", "channels-last"),
            ({"fp32": 1.0, "fp32_last": 1.2, "bf16_last": 1.1}, "fp32", "contiguous"),
        ],
    )
    def test_of_the_layout_too(
        self, monkeypatch: pytest.MonkeyPatch, turns: dict[str, float], precision: str, layout: str
    ) -> None:
        timed(monkeypatch, **turns)
        run = preceptor.train(small, images(), precision="auto", epochs=1, out=False)
        assert (run.experiment.training.precision, run.experiment.training.memory_format) == (
            precision,
            layout,
        )
        last = run.model[0].weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[index]
        assert last == (layout == "channels-last")
        assert run.predictor.speed.ratio >= 1.0  # type: ignore[attr-defined]

    def test_a_layout_that_was_asked_for_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        timed(monkeypatch, fp32=1.0, fp32_last=2.0, bf16_last=3.0)
        given = {"training.memory_format": "channels-last"}
        run = preceptor.train(small, images(), precision="auto", epochs=1, out=False, settings=given)
        assert run.experiment.training.memory_format == "channels-last"

    def test_measuring_leaves_no_trace(self, points: Points, monkeypatch: pytest.MonkeyPatch) -> None:
        """A run whose precision was measured is the run that was asked for in that precision."""
        timed(monkeypatch, fp32=1.0, bf16=0.5)
        given: dict[str, Any] = {
            "data": (points.x, points.y),
            "epochs": 3,
            "out": False,
            "optimizer": "adagrad",
        }
        given["model"] = lambda: nn.Sequential(net(), nn.Dropout(0.1), nn.BatchNorm1d(3))
        auto, asked = (preceptor.train(**given, precision=p) for p in ("auto", "bf16"))
        assert auto.history.without("seconds") == asked.history.without("seconds")
        for a, b in zip(auto.model.state_dict().values(), asked.model.state_dict().values(), strict=True):
            assert torch.equal(a, b)

    def test_a_real_measurement(self) -> None:
        """On whatever machine: what is chosen is never slower than plain float32 by what was measured."""
        run = preceptor.train(small, images(), precision="auto", epochs=1, out=False)
        found = run.predictor.speed  # type: ignore[attr-defined]
        assert set(found.measured) == {"fp32", "fp32 · channels-last", "bf16 · channels-last"}
        assert found.ratio >= 1.0
        assert found.measured["fp32"] == 1.0

    @pytest.mark.parametrize("optimizer", ["l-bfgs", "newton"])
    def test_an_optimizer_with_a_closure_keeps_float32(self, points: Points, optimizer: str) -> None:
        given: dict[str, Any] = {"batch_size": "full", "epochs": 1, "out": False, "optimizer": optimizer}
        run = preceptor.train("linear", (points.x, points.y), precision="auto", **given)
        assert run.experiment.training.precision == "fp32"
        assert "keeps fp32" in str(run.predictor.speed)  # type: ignore[attr-defined]

    def test_a_loss_that_is_no_number_in_half_keeps_float32(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Fragile(nn.Linear):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                y = super().forward(x)
                return y if y.dtype == torch.float32 else y * float("inf")

        timed(monkeypatch, fp32=1.0, bf16=0.5)
        x = torch.randn(40, 3)
        run = preceptor.train(Fragile(3, 2), (x, (x[:, 0] > 0).long()), precision="auto", epochs=1, out=False)
        assert run.experiment.training.precision == "fp32"
        assert "cannot be timed in half" in str(run.predictor.speed)  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("said", "meant"), [("float32", "fp32"), ("bfloat16", "bf16"), ("float16", "fp16"), ("auto", "auto")]
    )
    def test_torchs_own_names_are_understood(self, said: str, meant: str) -> None:
        assert Experiment.of({"training.precision": said}).training.precision == meant
        with pytest.raises(ConfigError, match=r"training\.precision"):
            Experiment.of({"training.precision": "float8"})


class TestKept:
    def test_a_resume_does_not_choose_anew(
        self, points: Points, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        class Stop(preceptor.Callback):
            def on_batch_end(self, state: State) -> None:
                state.stop = "interrupted" if state.step == 3 else None

        given: dict[str, Any] = {"model": net, "data": (points.x, points.y), "epochs": 3}
        timed(monkeypatch, fp32=1.0, bf16=0.5)
        whole = preceptor.train(**given, precision="auto", out=False)
        out = tmp_path / "run"
        preceptor.train(**given, precision="auto", out=out, callbacks=[Stop()])
        timed(monkeypatch, fp32=1.0, bf16=5.0)  # now it would choose otherwise
        resumed = preceptor.train(**given, precision="auto", resume=out)
        assert resumed.experiment.training.precision == "bf16"
        assert resumed.history.without("seconds") == whole.history.without("seconds")
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["speed"]["measured"] == {"fp32": 1.0, "bf16": 2.0}
        assert 'precision = "bf16"' in (out / "experiment.toml").read_text(encoding="utf-8")
        assert preceptor.load(out, model=net).predictor.precision == "bf16"
        assert "2.00 times as fast as plain fp32" in resumed.report().read_text(encoding="utf-8")

    def test_a_ratio_is_of_what_is_used(self) -> None:
        assert Speed("bf16", "contiguous", "cpu", measured=WAYS).ratio == 2.0
        assert Speed("fp16", "contiguous", "cuda").ratio is None


class TestCompiled:
    def test_without_a_compiler_it_runs_as_it_is_and_says_so(
        self, points: Points, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any, **__: Any) -> Any:
            raise RuntimeError("no working C++ compiler found")

        monkeypatch.setattr(torch, "compile", fail)
        given: dict[str, Any] = {"model": net, "data": (points.x, points.y), "epochs": 2, "out": False}
        with pytest.warns(UserWarning, match=r"not compiled: RuntimeError: no working C\+\+ compiler"):
            run = preceptor.train(**given, settings={"training.compile": True})
        plain = preceptor.train(**given)
        assert not run.experiment.training.compile
        assert run.history.without("seconds") == plain.history.without("seconds")

    def test_it_takes_the_models_place_in_training_alone(
        self, points: Points, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        seen: list[bool] = []

        def watched(model: nn.Module) -> Any:
            def call(x: torch.Tensor) -> torch.Tensor:
                seen.append(model.training)
                return model(x)

            return call

        monkeypatch.setattr(torch, "compile", watched)
        given: dict[str, Any] = {"model": net, "data": (points.x, points.y), "epochs": 2}
        run = preceptor.train(**given, out=tmp_path / "run", settings={"training.compile": True})
        assert seen
        assert all(seen)
        assert str(run.predictor.speed) == "cpu · fp32 · compiled"  # type: ignore[attr-defined]
        plain = preceptor.train(**given, out=False)
        assert run.history.without("seconds") == plain.history.without("seconds")
        assert preceptor.load(tmp_path / "run", model=net).predict_proba(points.x).shape[1] == 3

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
    def test_by_torch(self, points: Points) -> None:
        given: dict[str, Any] = {"model": net, "data": (points.x, points.y), "epochs": 1, "out": False}
        run = preceptor.train(**given, settings={"training.compile": True, "training.watch": False})
        torch.compiler.reset()  # graphs are recorded in no process that compiles
        plain = preceptor.train(**given)
        assert run.history[-1, "val_loss"] == pytest.approx(plain.history[-1, "val_loss"], rel=1e-3)
