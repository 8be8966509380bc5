"""Bad input: one clear message that says what was expected and received, exit code 2, nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Cli, Outcome

QUICK = ("--epochs", "1")


def check(done: Outcome, *texts: str, try_: bool = False) -> None:
    assert done.code == 2, done.out + done.err
    assert "Traceback" not in done.err
    assert done.err.startswith("error: ")
    labels = [
        line[2:10].strip() for line in done.err.splitlines() if line.startswith("  ") and line[2] != " "
    ]
    assert labels.count("expected") == 1, done.err
    assert labels.count("received") == 1, done.err
    assert labels.count("try") <= 1, done.err
    if try_:
        assert "try" in labels, done.err
    for text in texts:
        assert text in done.err, done.err


def check_nothing_left(folder: Path) -> None:
    left = [
        p.name for p in folder.rglob("*") if p.name in ("runs", "manifest.json") or p.name.endswith(".tmp")
    ]
    assert left == []


NUMBERS = "\n".join(f"{i},{i * i % 7},{'x' if i % 3 else 'y'}" for i in range(60))
FILES = {
    "good.csv": f"a,b,t\n{NUMBERS}\n",
    "text.csv": f"a,b,t\n{NUMBERS.replace('33,', 'oops,')}\n",
    "one.csv": "a,b,t\n" + NUMBERS.replace("y", "x") + "\n",
    "two.csv": "a,b,t\n1,2,x\n2,3,y\n",
    "empty.csv": "",
    "head.csv": "a,b,t\n",
    "ragged.csv": f"a,b,t\n{NUMBERS}\n1,2\n1,2,3,4,5\n",
    "infinite.csv": f"a,b,t\n{NUMBERS}\ninf,1,x\n",
    "broken.toml": "epochs = = 3",
    "words.txt": "some words",
    "bad.parquet": "not parquet",
    "bad.npz": "not an archive",
    "t10k-images-idx3-ubyte": "not idx",
}

DATA = {
    "a missing file": (["absent.csv"], ["no file 'absent.csv'"]),
    "a missing folder": (["absent/x.csv"], ["no file 'absent/x.csv'"]),
    "an unknown data set": (["digts"], ["unknown data set 'digts'", "did you mean 'digits'"]),
    "an unknown kind of file": (["words.txt"], ["'words.txt' is of an unknown kind"]),
    "a folder of nothing": (["taken"], ["holds no images"]),
    "no target": (["good.csv"], ["a table needs a target", "one of a, b, t", "--target"]),
    "a wrong target": (["good.csv", "--target", "tt"], ["unknown column 'tt'", "did you mean 't'"]),
    "a target that is not asked for": (["digits", "--target", "t"], ["only a table needs a target"]),
    "text among numbers": (["text.csv", "--target", "t"], ["column 'a' has text", "'oops' in line 35"]),
    "text as numbers": (["good.csv", "--target", "t", "--task", "regression"], ["targets are not numbers"]),
    "one class": (["one.csv", "--target", "t"], ["only one class", "x in all 60 rows"]),
    "an empty split": (["two.csv", "--target", "t"], ["the test part would be empty"]),
    "an empty file": (["empty.csv", "--target", "t"], ["'empty.csv' is empty"]),
    "no rows": (["head.csv", "--target", "t"], ["'head.csv' has no rows"]),
    "ragged rows": (["ragged.csv", "--target", "t"], ["line 62"]),
    "infinity": (["infinite.csv", "--target", "t"], ["inf"]),
    "no parquet": (["bad.parquet", "--target", "t"], ["bad.parquet"]),
    "no archive": (["bad.npz"], ["bad.npz"]),
    "no idx file": (["t10k-images-idx3-ubyte"], ["t10k-images-idx3-ubyte"]),
    "no data": ([], ["nothing to train on", "preceptor train digits"]),
    "no such experiment": (["absent.toml"], ["no such experiment", "absent.toml"]),
    "a misspelt experiment": (["brokn.toml"], ["no such experiment", "did you mean 'broken.toml'"]),
    "a broken experiment": (["broken.toml"], ["not valid TOML"]),
}  # fmt: skip

SETTINGS = {
    "optimizer.name=adma": ["unknown optimizer 'adma'", "did you mean 'adam'"],
    "model.name=mpl": ["unknown architecture 'mpl'", "did you mean 'mlp'"],
    "loss.name=cros-entropy": ["unknown loss", "did you mean 'cross-entropy'"],
    "schedule.name=cosin": ["unknown schedule 'cosin'", "did you mean 'cosine'"],
    "model.activation=rleu": ["unknown activation 'rleu'", "did you mean 'relu'"],
    "model.init=he-norml": ["unknown initializer", "did you mean 'he-normal'"],
    "optimzer.lr=1": ["unknown setting 'optimzer'", "did you mean 'optimizer'"],
    "training.epoch=3": ["unknown setting 'training.epoch'", "did you mean 'training.epochs'"],
    "epochs=3": ["unknown setting 'epochs'", "did you mean 'training.epochs'"],
    "lr=3": ["unknown setting 'lr'", "did you mean 'optimizer.lr'"],
    "optimizer.lrr=1": ["optimizer 'adam' has no option 'lrr'", "did you mean 'lr'"],
    "model.hiden=[3]": ["architecture 'mlp' has no option 'hiden'", "did you mean 'hidden'"],
    "schedule.step=3": ["schedule 'constant' has no option 'step'"],
    "optimizer.lr=-1": ["lr is not usable", "at least 0", "lr=-1"],
    "optimizer.lr=fast": ["lr is not usable", "'fast'"],
    "optimizer.lr=nan": ["lr is not usable", "nan"],
    "optimizer.betas=[2, 1]": ["betas"],
    "optimizer.betas=3": ["betas", "two numbers in [0, 1)"],
    "optimizer.eps=-1": ["eps is not usable"],
    "optimizer=3": ["optimizer is not usable", "3"],
    "model=[1]": ["model is not usable"],
    "model.name=3": ["model.name is not usable", "a valid string"],
    "model.hidden=[0]": ["hidden is not usable", "at least 1"],
    "model.hidden=wide": ["hidden is not usable"],
    "model.dropout=2": ["dropout is not usable", "from 0 to 1"],
    "loss.name=mse": ["the loss 'mse' does not suit classification"],
    "loss.reduction=sum": ["training minimises the mean loss", "'sum'"],
    "loss.reduction=none": ["training minimises the mean loss"],
    "training.epochs=0": ["training.epochs is not usable", "greater than or equal to 1"],
    "training.epochs=many": ["training.epochs is not usable", "'many'"],
    "training.epochs.more=1": ["training.epochs has no settings within it"],
    "training.batch_size=0": ["training.batch_size is not usable", "an integer ≥ 1, or 'full'"],
    "training.batch_size=some": ["training.batch_size is not usable", "'some'"],
    "training.grad_accumulation=0": ["training.grad_accumulation is not usable"],
    "training.max_grad_norm=0": ["training.max_grad_norm is not usable", "greater than 0"],
    "training.patience=0": ["training.patience is not usable"],
    "training.precision=bf6": ["training.precision is not usable", "did you mean 'bf16'"],
    "training.precision=fp8": ["training.precision is not usable", "'fp32', 'bf16' or 'fp16'"],
    "training.monitor=val_acc": ["no history key 'val_acc'", "val_accuracy"],
    "training.monitor=val_los": ["no history key 'val_los'", "did you mean 'val_loss'"],
    "training.mode=up": ["training.mode is not usable"],
    "training.train_examples=-1": ["training.train_examples is not usable", "an integer ≥ 0, or 'auto'"],
    "training.device=gpu": ["the device cannot be used", "'gpu'", "preceptor env"],
    "training=3": ["training is not usable", "a table of settings"],
    "data=digits": ["data is not usable", "a table of settings, [data]"],
    "data.val=1.2": ["data.val is not usable", "less than 1", "1.2"],
    "data.val=-0.1": ["data.val is not usable"],
    "data.test=0.9": ["nothing is left to train on", "val + test < 1"],
    "data.scale=big": ["data.scale is not usable"],
    "seed=-1": ["seed is not usable"],
    "seed=1.5": ["seed is not usable"],
    "name=": ["name is not usable"],
    "name=../x": ["name is not usable", "a name that a folder can have"],
    "name=.x": ["name is not usable"],
    "task=clasification": ["unknown task", "did you mean 'classification'"],
    "metrics=[acuracy]": ["unknown metric 'acuracy'", "did you mean 'accuracy'"],
    "alone": ["a setting has no value", "key=value"],
    "=3": ["a setting has no value"],
}  # fmt: skip

OPTIONS = {
    "--lr=-1": ["lr is not usable"],
    "--epochs=0": ["training.epochs is not usable"],
    "--batch-size=0": ["training.batch_size is not usable"],
    "--batch-size=some": ["training.batch_size is not usable"],
    "--seed=-1": ["seed is not usable"],
    "--device=cuda:99": ["the device cannot be used", "cuda:99"],
    "--task=haruspicy": ["unknown task", "'haruspicy'"],
    "--model=mpl": ["unknown architecture 'mpl'"],
    "--model=lenet-5": ["lenet-5 does not suit", "(1, 8, 8)"],
    "--out=taken": ["taken is not empty", "--resume"],
    "--out=good.csv": ["good.csv is not empty"],
    "--out=good.csv/x": ["cannot make a run folder in good.csv"],
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "precious.txt").write_text("precious")
    return tmp_path


@pytest.mark.parametrize("case", DATA)
def test_data(cli: Cli, files: Path, case: str) -> None:
    arguments, texts = DATA[case]
    check(cli("train", *arguments, *QUICK), *texts)
    check_nothing_left(files)


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings(cli: Cli, tmp_path: Path, setting: str) -> None:
    check(cli("train", "digits", *QUICK, "--set", setting), *SETTINGS[setting])
    check_nothing_left(tmp_path)


@pytest.mark.parametrize("option", OPTIONS)
def test_options(cli: Cli, files: Path, option: str) -> None:
    check(cli("train", "digits", *QUICK, option), *OPTIONS[option])
    check_nothing_left(files)
    assert [p.name for p in (files / "taken").iterdir()] == ["precious.txt"]


@pytest.mark.parametrize(
    "arguments", [["--epochs=many"], ["--lr=fast"], ["--seed=1.5"], ["--foo"], ["a", "b"]]
)
def test_what_the_command_line_itself_refuses(cli: Cli, tmp_path: Path, arguments: list[str]) -> None:
    done = cli("train", "digits", *arguments)
    assert done.code == 2
    assert "Usage" in done.err
    assert "Traceback" not in done.err
    check_nothing_left(tmp_path)


def test_an_unknown_verb(cli: Cli) -> None:
    done = cli("trian", "digits")
    assert done.code == 2
    assert "No such command 'trian'" in done.err
    assert "Did you mean 'train'" in done.err


def test_a_broken_experiment_names_the_place(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    check(cli("train", "binary.toml"), "cannot read binary.toml", "UTF-8")
    (tmp_path / "folder.toml").mkdir()
    check(cli("train", "folder.toml"), "cannot read folder.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no data were given"),
        ("data = 'digits'", "a table of settings, [data]"),
        ("[[data]]\nsource = 'digits'", "data is not usable"),
        ("[data]\nsource = 3", "data.source is not usable"),
        ("[data]\nsource = ''", "unknown data set ''"),
        ("[data]\nsource = 'arrays'", "no data were given"),
        ("[data]\nsuorce = 'digits'", "did you mean 'data.source'"),
        ("model = ['mlp']\n[data]\nsource = 'digits'", "model is not usable"),
        ("[data]\nsource = 'digits'\n[model]\nname = {a = 1}", "model.name is not usable"),
        ("[data]\nsource = 'digits'\n[model]\nname = 'own.py:Net'", "your own code"),
        ("[data]\nsource = 'digits'\n[model]\nhidden = 1979-05-27", "hidden is not usable"),
        ("[data]\nsource = 'digits'\n[model]\nactivation = 3", "activation is not usable"),
        ("[data]\nsource = 'digits'\n[training]\nepochs = 1979-05-27", "training.epochs is not usable"),
        ("[data]\nsource = 'digits'\n[schedule]\nname = 'step'\ngamma = 'a'", "gamma is not usable"),
        ("'a.b.c' = 1", "unknown setting 'a'"),
        ("'' = 1", "unknown setting ''"),
        ("'model.name.x' = 1", "model.name is not usable"),
    ],
)
def test_surprises_in_an_experiment(cli: Cli, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "e.toml").write_text(text)
    check(cli("train", "e.toml", *QUICK), said)
    check_nothing_left(tmp_path)


def test_a_layer_beyond_all_memory(cli: Cli, tmp_path: Path) -> None:
    for width in ("1000000000000000", "100000000000000000000"):
        check(
            cli("train", "digits", *QUICK, "--set", f"model.hidden={width}"),
            "the model 'mlp' cannot be built",
        )
    check_nothing_left(tmp_path)
