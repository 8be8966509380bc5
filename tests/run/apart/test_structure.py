"""Clusters and principal components from data to a folder, and from a folder to new data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import preceptor
from preceptor.cli import app
from preceptor.errors import CheckpointError, ConfigError


@pytest.mark.slow
def test_clusters_are_found_kept_and_given_to_new_examples(tmp_path: Path):
    options = {"model.clusters": 3}
    run = preceptor.train(data="iris", task="clustering", settings=options, out=tmp_path / "r")
    assert run.evaluate("train").metrics["adjusted_rand"] > 0.5
    again = preceptor.load(tmp_path / "r")
    x = run.prepared.dataset.inputs[:20]
    np.testing.assert_array_equal(again.predict(x), run.predict(x))
    assert again.evaluate("test").metrics == run.evaluate("test").metrics
    assert "Clusters, training examples" in run.report().read_text(encoding="utf-8")


def test_components_of_images_explain_their_share(tmp_path: Path):
    options = {"model.components": 10}
    run = preceptor.train("pca", "digits", task="principal-components", settings=options, out=tmp_path / "r")
    assert run.evaluate("train").metrics["explained_variance"] == pytest.approx(run.found.shares.sum())
    assert run.predict(run.prepared.dataset.inputs[:4]).shape == (4, 10)
    assert "Share of the variance" in run.report().read_text(encoding="utf-8")


def test_a_table_without_a_target_is_clustered_on_the_command_line(tmp_path: Path):
    draw = np.random.default_rng(0)
    rows = "\n".join(
        f"{a:.3f},{a + b:.3f}" for a, b in draw.normal(size=(40, 2)) + 9 * draw.integers(0, 2, (40, 1))
    )
    (tmp_path / "t.csv").write_text(f"a,b\n{rows}\n", encoding="utf-8")
    run, data, call = str(tmp_path / "r"), str(tmp_path / "t.csv"), CliRunner().invoke
    shown = call(app, ["train", data, "--task", "clustering", "--set", "model.clusters=2", "--out", run])
    assert shown.exit_code == 0, shown.output
    assert "silhouette 0.8" in shown.output or "silhouette 0.9" in shown.output
    lines = call(app, ["predict", run, data]).output.splitlines()
    assert lines[0] == "row,cluster"
    assert {line.partition(",")[2] for line in lines[1:]} == {"0", "1"}
    assert "squared_distance" in call(app, ["evaluate", run]).output


def test_settings_without_a_meaning_are_refused():
    with pytest.raises(ConfigError, match=r"clustering has no setting 'training\.epochs'"):
        preceptor.train(data="iris", task="clustering", epochs=3, out=False)
    with pytest.raises(ConfigError, match="does not suit clustering"):
        preceptor.train("pca", "iris", task="clustering", out=False)


def test_what_holds_no_network_says_so(tmp_path: Path):
    preceptor.train(data="iris", task="clustering", settings={"model.clusters": 2}, out=tmp_path / "r")
    run = preceptor.load(tmp_path / "r")
    for asked in ("look", "sample", "predict_proba"):
        with pytest.raises(ConfigError, match="holds clusters or components"):
            getattr(run, asked)
    assert not hasattr(run, "nothing_of_the_kind")
    with pytest.raises(CheckpointError, match="holds no network"):
        preceptor.train(data="iris", from_=tmp_path / "r", out=False)
