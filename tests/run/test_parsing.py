"""Sentences and trees from a file or by name to predictions for new sentences."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import preceptor
from preceptor.cli import app
from preceptor.data import load
from preceptor.data._trees import TreeCoder, bracketed, labelled_spans, read_trees
from preceptor.errors import DataError, ModelError
from preceptor.run import Run
from preceptor.tasks import Parsing

QUIET = {"training.watch": False, "training.train_examples": 0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("parser")
    return preceptor.train(data="grammar-trees", epochs=2, lr=1e-2, out=folder / "r", settings=QUIET)


def test_a_treebank_is_read_without_its_traces_functions_and_parts_of_speech(tmp_path: Path):
    path = tmp_path / "a.mrg"
    path.write_text(
        "( (S (NP-SBJ (DET the) (NOUN dog))\n  (VP (VERB ran) (NP (-NONE- *T*-1))) (. .)) )\n"
        "(S (NP (PRON I)) (VP (VERB am)))",
        encoding="utf-8",
    )
    data = load(str(path))
    assert data.inputs.tolist() == ["the dog ran .", "I am"]
    assert data.targets.tolist() == ["(S (NP the dog) (VP ran) .)", "(S (NP I) (VP am))"]
    assert data.classes == ("NP", "S", "VP")
    path.write_text(
        "(S (NP the dog) (VP ran))", encoding="utf-8"
    )  # words that stand bare: VP is no part of speech
    assert load(str(path)).targets.tolist() == ["(S (NP the dog) (VP ran))"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(S (NP a)\n", "is not closed"),
        ("(S a b)\nc\n", "line 2 is no tree"),
        ("\n", "holds no tree"),
        ("(S (N a))", "constituent"),
    ],
)
def test_what_is_no_treebank_is_refused(tmp_path: Path, text: str, message: str):
    path = tmp_path / "a.trees"
    path.write_text("((N a))" if message == "constituent" else text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_trees(path, name="a", origin="a")


def test_every_tree_of_the_grammar_returns_from_its_binary_form():
    data = load("grammar-trees")
    assert data.inputs.tolist() == load("grammar-sentences").inputs.tolist()
    coder, some = TreeCoder(data.classes), slice(0, 300)
    rows = coder.apply(data.targets[some])
    lengths = torch.tensor([len(sentence.split()) for sentence in data.inputs[some]])
    assert ((rows[..., 0] >= 0).sum(1) == 2 * lengths - 1).all()
    again = [coder.tree(s, one) for s, one in zip(data.inputs[some], rows.tolist(), strict=True)]
    assert again == data.targets[some].tolist()
    assert bracketed(*labelled_spans("(S (VP (NP fish)))")) == "(S (VP (NP fish)))"
    assert bracketed(["a", "b"], {(0, 0): "NP"}) == "( (NP a) b)"
    assert labelled_spans("( (NP a) b)") == (["a", "b"], {(0, 0): "NP"})
    with pytest.raises(DataError, match="unknown kind"):
        coder.apply(["(X a b)"])
    with pytest.raises(DataError, match="not one tree"):
        coder.apply(["(S a) (S b)"])


def test_a_parser_finds_the_constituents_of_new_sentences(run: Run):
    found = run.test()
    assert found.metrics["bracket_f1"] >= 0.9
    low, high = found.interval
    assert low < found.metrics["bracket_f1"] < high
    assert set(found.by_class) == {"NP", "PP", "S", "VP"}
    assert found.by_class["S"]["recall"] > 0.98
    assert found.metrics["tree_accuracy"] > 0.7


def test_every_answer_is_a_tree_over_the_words_that_were_given(run: Run, tmp_path: Path):
    data, split = run.prepared.dataset, run.prepared.split
    sentences = [*data.inputs[split.test[:100]].tolist(), "zebra", "the duck the duck saw with near every"]
    answers = run.predict(sentences).tolist()
    assert [" ".join(labelled_spans(answer)[0]) for answer in answers] == sentences
    assert preceptor.load(run.folder.path).predict(sentences).tolist() == answers
    text = run.report().read_text(encoding="utf-8")
    assert "Worst sentences, validation" in text
    assert "true tree" in text


def test_a_file_of_trees_is_learned_and_a_text_parsed_on_the_command_line(tmp_path: Path):
    data = load("grammar-trees")
    (tmp_path / "a.trees").write_text("\n".join(data.targets[:60].tolist()), encoding="utf-8")
    (tmp_path / "new.txt").write_text("the dog saw a duck\nthe fish\n", encoding="utf-8")
    folder, call = str(tmp_path / "r"), CliRunner().invoke
    command = ["train", str(tmp_path / "a.trees"), "--task", "parsing", "--epochs", "1", "--out", folder]
    shown = call(app, [*command, "--set", "training.watch=false"])
    assert shown.exit_code == 0, shown.output
    rows = call(app, ["predict", folder, str(tmp_path / "new.txt")]).output.splitlines()
    assert rows[0] == "row,prediction"
    assert [labelled_spans(row.split(",", 1)[1])[0] for row in rows[1:]] == [
        ["the", "dog", "saw", "a", "duck"],
        ["the", "fish"],
    ]
    assert "bracket" in call(app, ["evaluate", folder, str(tmp_path / "a.trees")]).output


def test_what_is_no_score_of_spans_is_refused():
    task = Parsing(("NP", "S"))
    with pytest.raises(ModelError, match="does not score the spans"):
        task.check(torch.zeros(2, 4, 3), torch.full((2, 7, 3), -1))
    with pytest.raises(ModelError, match="no trees"):
        task.check(torch.zeros(2, 4, 4, 3), torch.zeros(2, 4, dtype=torch.int64))
    with pytest.raises(DataError, match="no constituents"):
        Parsing(())
