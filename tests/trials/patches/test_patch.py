"""Patches: each editor on small programs, odd formatting, and silence where no one place is clear."""

from __future__ import annotations

import difflib
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from preceptor.diagnosis.finding import Finding
from preceptor.errors import StorageError
from preceptor.trials.change import Change
from preceptor.trials.patches.patch import Patch, changes_of, merged, proposed, suggest

HERE = "# here"
"""Marks the line that a finding names."""

LOOP = """\
import torch
from torch import nn
from torch.nn import functional as F

net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(net.parameters(), lr=0.5)  # the rate
for epoch in range(10):
    for x, y in loader:
        {}
"""


def loop(*lines: str) -> str:
    """Return a training whose innermost loop holds these lines."""
    return LOOP.format("\n        ".join(lines))


def patch_of(
    folder: Path, text: str, cause: str = "learning-rate-too-high", *changes: Change, **given: Any
) -> Patch | None:
    """Return the patch for a finding at the marked line."""
    program = folder / "train.py"
    program.write_bytes(text.encode())
    lines = [number for number, line in enumerate(text.splitlines(), 1) if HERE in line]
    where = f"train.py:{lines[0]}" if lines else ""
    title = given.pop("title", "…")
    return suggest(Finding(cause, "critical", title, where=where, **given), changes, program)


def edits(patch: Patch | None) -> list[str]:
    """Return the lines that a patch takes away and adds, with their sign."""
    assert patch is not None
    before, after = patch.before.splitlines(), patch.after.splitlines()
    return [line for line in difflib.ndiff(before, after) if line[0] in "+-"]


# Numbers


@pytest.mark.parametrize(
    ("kind", "value", "call", "expected"),
    [
        (
            "lr",
            0.005,
            "torch.optim.SGD(net.parameters(), lr=0.5)",
            "torch.optim.SGD(net.parameters(), lr=0.005)",
        ),
        ("lr", 0.005, "SGD(net.parameters(), 0.5)", "SGD(net.parameters(), 0.005)"),
        ("lr", 5e-3, "SGD( net.parameters(),lr = 5e-1 )", "SGD( net.parameters(),lr = 5e-3 )"),
        ("lr", 0.005, "Adam(net.parameters())", "Adam(net.parameters(), lr=0.005)"),
        ("lr", 0.005, "Adam((net.parameters()), )", "Adam((net.parameters()), lr=0.005, )"),
        ("weight_decay", 1e-4, "SGD(p, 0.1, 0.9, 0, 0.1)", "SGD(p, 0.1, 0.9, 0, 0.0001)"),
        ("weight_decay", 1e-4, "Adam(p, 0.1)", "Adam(p, 0.1, weight_decay=0.0001)"),
        ("momentum", 0.9, "RMSprop(p, momentum=0.99)", "RMSprop(p, momentum=0.9)"),
        ("optimizer", "adam", "SGD(p, lr=0.1, momentum=0.9, nesterov=True)", "torch.optim.Adam(p, lr=0.001)"),
        ("optimizer", "adam", "optim.SGD(p, 0.1)", "optim.Adam(p, 0.001)"),
        ("optimizer", "sgd", "optim.Adam(p, betas=(0.9, 0.99))", "optim.SGD(p, lr=0.01, momentum=0.9)"),
    ],
)
def test_numbers_of_the_optimizer(kind: str, value: Any, call: str, expected: str, tmp_path: Path) -> None:
    text = f"import torch\nopt = {call}  {HERE}\n"
    patch = patch_of(tmp_path, text, "learning-rate-too-high", Change(kind, None, value))
    assert patch is not None
    assert patch.after == f"import torch\nopt = {expected}  {HERE}\n"


def test_another_optimizer_with_its_rate(tmp_path: Path) -> None:
    changes = (Change("optimizer", "sgd", "adam"), Change("lr", 0.5, 0.02))
    text = f"opt = optim.SGD(p, lr=0.5)  {HERE}\n"
    assert edits(patch_of(tmp_path, text, "unsuitable-optimizer", *changes))[1:] == [
        f"+ opt = optim.Adam(p, lr=0.02)  {HERE}"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RATE = 0.5\nopt = SGD(p, lr=RATE)\nprint(RATE)\n", "+ RATE = 0.005"),
        ("size, rate = 20, 0.5\nopt = SGD(p, lr=rate)\n", "+ size, rate = 20, 0.005"),
        (
            "def train(net, rate=0.5):\n    opt = SGD(p, lr=rate)\ntrain(net)\n",
            "+ def train(net, rate=0.005):",
        ),
        (
            "parser.add_argument('--lr', '-l', type=float, default=0.5)\nopt = SGD(p, lr=args.lr)\n",
            "+ parser.add_argument('--lr', '-l', type=float, default=0.005)",
        ),
        ("config = {'lr': 0.5}\nopt = SGD(p, lr=config['lr'])\n", "+ config = {'lr': 0.005}"),
        (
            "class Config:\n    lr: float = 0.5\nc = Config()\nopt = SGD(p, lr=c.lr)\n",
            "+     lr: float = 0.005",
        ),
    ],
)
def test_where_a_number_comes_from(text: str, expected: str, tmp_path: Path) -> None:
    patch = patch_of(tmp_path, text, "learning-rate-too-high", Change("lr", 0.5, 0.005))
    assert [line for line in edits(patch) if line.startswith("+")] == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "RATE = 0.5\none = SGD(p, lr=RATE)  # here\ntwo = SGD(q, lr=RATE)\n",  # another use
        "RATE = 0.5\nRATE = 0.1\nopt = SGD(p, lr=RATE)\n",  # assigned twice
        "RATE = 0.5 * size\nopt = SGD(p, lr=RATE)\n",  # computed
        "opt = SGD(p, lr=0.1)\n",  # not what the run had
        "one = SGD(p, lr=0.5)\ntwo = SGD(q, lr=0.5)\n",  # which one?
        "opt = SGD([{'params': p, 'lr': 0.5}, {'params': q}], lr=0.5)\n",  # groups
        "opt = SGD(p, **options)\n",
        "def train(rate=0.5):\n    opt = SGD(p, lr=rate)\ntrain(0.1)\n",
        "opt = make(p, lr=0.5)\n",
        "opt = SGD(p, lr=0.5)\nschedule = OneCycleLR(opt, max_lr=1)\n",
        "opt = SGD(p, lr=0.5\n",  # no Python
    ],
)
def test_numbers_that_are_not_clear(text: str, tmp_path: Path) -> None:
    assert patch_of(tmp_path, text, "learning-rate-too-high", Change("lr", 0.5, 0.005)) is None


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("for epoch in range(10):", "for epoch in range(30):"),
        ("for epoch in range(1, 11):", "for epoch in range(1, 31):"),
        ("for epoch in trange(10, desc='train'):", "for epoch in trange(30, desc='train'):"),
    ],
)
def test_epochs(head: str, expected: str, tmp_path: Path) -> None:
    text = f"{head}\n    for x, y in loader:\n        loss.backward()\n        optimizer.step()\n"
    patch = patch_of(tmp_path, text, "too-few-epochs", Change("epochs", 400, 1200))
    assert patch is not None
    assert patch.after == text.replace(head, expected)


def test_epochs_by_a_constant(tmp_path: Path) -> None:
    text = "EPOCHS = 4\nfor epoch in range(1, EPOCHS + 1):\n    for x in loader:\n        loss.backward()\n"
    text += "plot(EPOCHS)\n"
    patch = patch_of(tmp_path, text, "too-few-epochs", Change("epochs", 10, 50))
    assert patch is not None
    assert patch.after.startswith("EPOCHS = 20\n")


def test_batches_and_dropout(tmp_path: Path) -> None:
    text = loop("loss.backward()", "optimizer.step()") + "size = 3\n"
    text = text.replace("net =", "loader = DataLoader(data, 512, True)\nnet =").replace(
        "ReLU()", "Dropout(p=0.9)"
    )
    changes = (Change("batch_size", 512, 32), Change("dropout", 0.9, 0.2))
    added = [line for line in edits(patch_of(tmp_path, text, "too-few-epochs", *changes)) if line[0] == "+"]
    assert added[0] == "+ loader = DataLoader(data, 32, True)"
    assert "nn.Dropout(p=0.2)" in added[1]


# Order of calls


def test_zero_grad(tmp_path: Path) -> None:
    text = loop("loss = F.mse_loss(net(x), y)", f"loss.backward()  {HERE}", "optimizer.step()")
    assert edits(patch_of(tmp_path, text, "missing-zero-grad")) == ["+         optimizer.zero_grad()"]


def test_windows_lines_and_tabs_stay(tmp_path: Path) -> None:
    text = f"for x in data:\r\n\tloss.backward() {HERE}\r\n\topt.step()\r\n"
    patch = patch_of(tmp_path, text, "missing-zero-grad")
    assert patch is not None
    assert patch.after == text.replace("\tloss", "\topt.zero_grad()\r\n\tloss")


@pytest.mark.parametrize(
    "lines",
    [
        ("loss.backward(); optimizer.step()",),  # on one line
        ("if n % 4 == 0:", "    optimizer.zero_grad()", "loss.backward()", "optimizer.step()"),
        ("loss.backward()", "one_optimizer.step()", "two_optimizer.step()"),
        ("loss.backward()",),
        ("loss.backward()", "optimizer.step()", "other.backward()"),
    ],
)
def test_zero_grad_that_is_not_clear(lines: tuple[str, ...], tmp_path: Path) -> None:
    text = loop(*lines).replace("optimizer = torch.optim.SGD", "optimizer = make")
    assert patch_of(tmp_path, text, "missing-zero-grad") is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("loss = F.mse_loss(net(x), y)", "optimizer.step()"), ["        loss.backward()"]),
        (("optimizer.step()  # why first?", "loss.backward()"), []),
        (("loss.backward()", "optimizer.zero_grad()", "optimizer.step()"), []),
    ],
)
def test_backward_step_and_zeroing_in_order(
    lines: tuple[str, ...], expected: list[str], tmp_path: Path
) -> None:
    patch = patch_of(tmp_path, loop(*lines), "missing-backward")
    assert patch is not None
    assert sorted(patch.after.splitlines()) == sorted([*patch.before.splitlines(), *expected])
    calls = [patch.after.find(call) for call in ("zero_grad", "loss.backward", "optimizer.step")]
    assert calls == sorted(calls)


def test_step_that_is_missing(tmp_path: Path) -> None:
    patch = patch_of(tmp_path, loop("loss.backward()"), "missing-backward", Change("backward"))
    assert edits(patch) == ["+         optimizer.step()"]


def test_clipping(tmp_path: Path) -> None:
    text = loop("loss.backward()", f"optimizer.step()  {HERE}")
    assert edits(patch_of(tmp_path, text, "missing-gradient-clipping")) == [
        "+         nn.utils.clip_grad_norm_(net.parameters(), 1.0)"
    ]
    text = loop("scaler.scale(loss).backward()", f"scaler.step(optimizer)  {HERE}")
    assert [line.strip("+ ") for line in edits(patch_of(tmp_path, text, "missing-gradient-clipping"))] == [
        "scaler.unscale_(optimizer)",
        "nn.utils.clip_grad_norm_(net.parameters(), 1.0)",
    ]


def test_other_clipping_and_none(tmp_path: Path) -> None:
    text = loop("loss.backward()", "nn.utils.clip_grad_norm_(net.parameters(), 1e-3)", "optimizer.step()")
    patch = patch_of(tmp_path, text, "clipping-too-tight", Change("max_grad_norm", 1e-3, 1.0))
    assert patch is not None
    assert "(net.parameters(), 1.0)" in patch.after
    patch = patch_of(tmp_path, text, "clipping-too-tight", Change("clipping", 1e-3))
    assert edits(patch) == ["-         nn.utils.clip_grad_norm_(net.parameters(), 1e-3)"]
    kept = text.replace("        nn.utils", "        norm = nn.utils")
    assert patch_of(tmp_path, kept, "clipping-too-tight", Change("clipping", 1e-3)) is None


@pytest.mark.parametrize("late", [True, False])
def test_unscaling_before_clipping(late: bool, tmp_path: Path) -> None:
    clip = f"nn.utils.clip_grad_norm_(net.parameters(), 1.0)  {HERE}"
    lines = [
        "scaler.scale(loss).backward()",
        clip,
        *(["scaler.unscale_(optimizer)"] * late),
        "scaler.step(optimizer)",
    ]
    patch = patch_of(tmp_path, loop(*lines), "clip-before-unscale")
    assert patch is not None
    assert patch.after.count("unscale_") == 1
    assert patch.after.find("unscale_") < patch.after.find("clip_grad_norm_")


def test_schedule_out_of_the_batches(tmp_path: Path) -> None:
    lines = ("loss.backward()", "optimizer.step()", f"scheduler.step()  {HERE}")
    patch = patch_of(tmp_path, loop(*lines), "scheduler-misuse", evidence={"below a hundredth from step": 10})
    assert sorted(edits(patch)) == [f"+     scheduler.step()  {HERE}", f"-         scheduler.step()  {HERE}"]
    under = loop(
        "if training:", "    loss.backward()", "    optimizer.step()", f"    scheduler.step()  {HERE}"
    )
    patch = patch_of(tmp_path, under, "scheduler-misuse", evidence={"T_max": 10})
    assert "+     if training:" in edits(patch)
    assert (
        patch_of(tmp_path, under.replace("training:", "x > 0:"), "scheduler-misuse", evidence={"T_max": 1})
        is None
    )


def test_schedule_into_the_batches_and_behind_the_step(tmp_path: Path) -> None:
    text = loop("loss.backward()", "optimizer.step()") + f"    scheduler.step()  {HERE}\n"
    patch = patch_of(tmp_path, text, "scheduler-misuse", evidence={"laid out for calls": 100})
    assert sorted(edits(patch)) == [f"+         scheduler.step()  {HERE}", f"-     scheduler.step()  {HERE}"]
    patch = patch_of(
        tmp_path, loop("scheduler.step()", "loss.backward()", "optimizer.step()"), "scheduler-misuse"
    )
    assert sorted(edits(patch)) == ["+         scheduler.step()", "-         scheduler.step()"]


def test_optimizer_that_is_built_anew(tmp_path: Path) -> None:
    lines = (f"optimizer = torch.optim.Adam(net.parameters())  {HERE}", "loss.backward()", "optimizer.step()")
    text = loop(*lines).replace("optimizer = torch.optim.SGD(net.parameters(), lr=0.5)  # the rate\n", "")
    patch = patch_of(tmp_path, text, "optimizer-state-lost")
    assert patch is not None
    assert patch.after.find("torch.optim.Adam") < patch.after.find("for epoch")
    made = text.replace("for x, y in loader:", "for x, y in loader:\n        net = make()")
    assert patch_of(tmp_path, made, "optimizer-state-lost") is None


# What enters the loss


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return F.softmax(self.out(h), dim=1)", "return self.out(h)"),
        ("return torch.softmax(h + x, dim=-1)", "return h + x"),
        ("return self.out(h).softmax(dim=1)", "return self.out(h)"),
        ("return (h + x).softmax(1)", "return (h + x)"),
        ("return torch.softmax(h + x, 1) * 2", "return (h + x) * 2"),
    ],
)
def test_softmax_before_the_loss(line: str, expected: str, tmp_path: Path) -> None:
    text = f"import torch\nimport torch.nn.functional as F\ndef forward(self, h, x):\n    {line}  {HERE}\n"
    patch = patch_of(
        tmp_path, text, "probabilities-as-logits", evidence={"operators": "… → softmax → cross_entropy"}
    )
    assert [x for x in edits(patch) if x[0] == "+"] == [f"+     {expected}  {HERE}"]


def test_softmax_that_ends_a_net(tmp_path: Path) -> None:
    text = "net = nn.Sequential(\n    nn.Linear(4, 2),  # scores\n    nn.Softmax(dim=1),\n)\n"
    text += f"loss = f(net(x), y)  {HERE}\n"
    patch = patch_of(tmp_path, text, "probabilities-as-logits", title="softmax twice")
    assert patch is not None
    assert "Softmax" not in patch.after
    inner = text.replace("    nn.Softmax(dim=1),\n", "    nn.Softmax(dim=1),\n    nn.Linear(2, 2),\n")
    assert patch_of(tmp_path, inner, "probabilities-as-logits", title="softmax twice") is None


def test_sigmoid_whose_outputs_are_compared_with_a_half(tmp_path: Path) -> None:
    text = "net = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())\nf = nn.BCEWithLogitsLoss()\n"
    text += "right = net(x) > 0.5\n"
    patch = patch_of(tmp_path, text, "probabilities-as-logits", title="sigmoid twice")
    assert edits(patch)[:1] == ["- f = nn.BCEWithLogitsLoss()"]
    patch = patch_of(tmp_path, text.replace("0.5", "0.7"), "probabilities-as-logits", title="sigmoid twice")
    assert patch is not None
    assert patch.after.startswith("net = nn.Sequential(nn.Linear(4, 1))\n")


@pytest.mark.parametrize(
    ("line", "operators", "expected"),
    [
        ("loss = F.nll_loss(net(x), y)", "affine → nll_loss", "loss = F.cross_entropy(net(x), y)"),
        ("f = nn.NLLLoss()", "affine → nll_loss", "f = nn.CrossEntropyLoss()"),
        ("p = F.softmax(net(x), 1)", "softmax → nll_loss", "p = F.log_softmax(net(x), 1)"),
        (
            "loss = -torch.log(s[rows, y]).mean()",
            "affine → log",
            "loss = -torch.log(torch.softmax(s, dim=1)[rows, y]).mean()",
        ),
    ],
)
def test_scores_that_are_taken_for_probabilities(
    line: str, operators: str, expected: str, tmp_path: Path
) -> None:
    text = f"import torch\n{line}  {HERE}\n"
    patch = patch_of(tmp_path, text, "logits-as-probabilities", evidence={"operators": f"… → {operators}"})
    assert patch is not None
    assert patch.after == f"import torch\n{expected}  {HERE}\n"


def test_axis_and_guard(tmp_path: Path) -> None:
    text = f"w = F.softmax(scores, dim=1)  {HERE}\n"
    patch = patch_of(tmp_path, text, "wrong-softmax-dim", evidence={"product sums over axis": 2})
    assert patch is not None
    assert patch.after == f"w = F.softmax(scores, dim=2)  {HERE}\n"
    text = f"loss = -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()  {HERE}\n"
    patch = patch_of(tmp_path, text, "numeric-instability")
    assert patch is not None
    assert "torch.log(p.clamp_min(1e-7))" in patch.after
    assert "torch.log((1 - p).clamp_min(1e-7))" in patch.after


def test_another_loss(tmp_path: Path) -> None:
    text = (
        "f = nn.MSELoss()\np = torch.softmax(net(x), dim=1)\nloss = f(p, F.one_hot(y, 3).float())  # here\n"
    )
    evidence = {"targets": "one-hot, mean 0.333", "output": "softmax"}
    patch = patch_of(
        tmp_path, text, "loss-mismatch", Change("loss", "mse_loss", "cross_entropy"), evidence=evidence
    )
    assert patch is not None
    assert patch.after.splitlines()[:2] == ["f = nn.CrossEntropyLoss()", "p = net(x)"]
    assert patch_of(tmp_path, text, "loss-mismatch", Change("loss", "mse_loss", "cross_entropy")) is None


def test_softmax_elsewhere_stays(tmp_path: Path) -> None:
    text = "import torch\nw = torch.softmax(q @ k, dim=-1)\nout = w @ v\nloss = f(out, y)  # here\n"
    found = {"operators": "… → softmax → cross_entropy"}
    assert patch_of(tmp_path, text, "probabilities-as-logits", evidence=found) is None
    text = "def forward(self, x):\n    return F.softmax(self.a(x), 1)\nloss = f(net(x), y)  # here\n"
    assert patch_of(tmp_path, text, "probabilities-as-logits", evidence=found) is not None
    found["softmax at"] = "model.py:7"
    assert patch_of(tmp_path, text, "probabilities-as-logits", evidence=found) is None


# The loss itself


@pytest.mark.parametrize(
    ("line", "shapes", "expected"),
    [
        ("loss = F.mse_loss(pred, y)", ([8, 1], [8]), "loss = F.mse_loss(pred.squeeze(-1), y)"),
        (
            "loss = ((out - target) ** 2).mean()",
            ([8, 1], [8]),
            "loss = ((out.squeeze(-1) - target) ** 2).mean()",
        ),
        ("loss = criterion(y, net(x))", ([8, 1], [8]), "loss = criterion(y, net(x).squeeze(-1))"),
        ("loss = criterion(net(x), y)", ([8], [8, 1]), "loss = criterion(net(x), y.squeeze(-1))"),
        ("loss = criterion(net(x), y)", ([8, 3], [8, 1]), None),
        ("loss = criterion(a, b)", ([8, 1], [8]), None),
    ],
)
def test_shapes_at_the_loss(
    line: str, shapes: Sequence[list[int]], expected: str | None, tmp_path: Path
) -> None:
    evidence = dict(zip(("prediction", "target"), shapes, strict=True))
    patch = patch_of(tmp_path, f"{line}  {HERE}\n", "broadcast-in-loss", evidence=evidence)
    assert (patch.after if patch else None) == (f"{expected}  {HERE}\n" if expected else None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("loss = ((p - y) ** 2).sum()", "loss = ((p - y) ** 2).mean()"),
        ("f = nn.MSELoss(reduction='sum')", "f = nn.MSELoss(reduction='mean')"),
        ("loss = torch.sum((p - y) ** 2)", "loss = torch.mean((p - y) ** 2)"),
        ("loss = ((p - y) ** 2).sum(1)", None),
        ("loss = a.sum() + b.sum()", None),
    ],
)
def test_sums(line: str, expected: str | None, tmp_path: Path) -> None:
    patch = patch_of(tmp_path, f"{line}  {HERE}\n", "loss-reduction")
    assert (patch.after if patch else None) == (f"{expected}  {HERE}\n" if expected else None)


def test_sums_over_batches(tmp_path: Path) -> None:
    evidence = {"backward passes for each step": 4}
    patch = patch_of(tmp_path, f"loss.backward()  {HERE}\n", "loss-reduction", evidence=evidence)
    assert patch is not None
    assert patch.after == f"(loss / 4).backward()  {HERE}\n"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ("loss = -F.cross_entropy(net(x), y)  # up", "loss.backward()"),
            "loss = F.cross_entropy(net(x), y)  # up",
        ),
        (("loss = f(net(x), y)", "(-loss).backward()"), "(loss).backward()"),
        (("loss = -(p * q)", "loss.backward()"), None),
    ],
)
def test_sign(lines: tuple[str, ...], expected: str | None, tmp_path: Path) -> None:
    patch = patch_of(tmp_path, loop(*lines), "gradient-ascent")
    assert (patch is None) == (expected is None)
    assert patch is None or f"        {expected}\n" in patch.after


def test_maximize(tmp_path: Path) -> None:
    text = "opt = SGD(p, lr=0.1, maximize=True)\nloss.backward()\n"
    patch = patch_of(tmp_path, text, "gradient-ascent")
    assert patch is not None
    assert "maximize=False" in patch.after


# Modes, order of the examples


def test_training_mode(tmp_path: Path) -> None:
    text = loop(f"loss = f(net(x), y)  {HERE}", "loss.backward()", "optimizer.step()")
    assert edits(patch_of(tmp_path, text, "evaluation-mode-in-training")) == ["+     net.train()"]
    phases = text.replace("for epoch in range(10):", "for phase in ('train', 'val'):")
    assert patch_of(tmp_path, phases, "evaluation-mode-in-training") is None
    function = "def fit(net, loader):\n    for x, y in loader:\n        f(net(x), y).backward()  # here\n"
    text = f"opt = Adam(net.parameters())\n{function}"
    assert edits(patch_of(tmp_path, text, "evaluation-mode-in-training")) == ["+     net.train()"]


def test_evaluation_mode(tmp_path: Path) -> None:
    judged = f"    with torch.no_grad():\n        for x, y in held:\n            right += net(x)  {HERE}\n"
    text = loop("loss = f(net(x), y)", "loss.backward()", "optimizer.step()") + judged
    patch = patch_of(tmp_path, text, "training-mode-in-evaluation")
    assert edits(patch) == ["+     net.train()", "+     net.eval()"]
    assert patch is not None
    assert patch.after.find("net.eval()") < patch.after.find("with torch.no_grad()")


def test_dropout_that_heeds_no_mode(tmp_path: Path) -> None:
    text = f"class Net(nn.Module):\n    def forward(self, x):\n        return F.dropout(x, 0.5)  {HERE}\n"
    patch = patch_of(tmp_path, text, "training-mode-in-evaluation")
    assert patch is not None
    assert "F.dropout(x, 0.5, training=self.training)" in patch.after
    assert (
        patch_of(tmp_path, text.replace("class Net(nn.Module)", "def net()"), "training-mode-in-evaluation")
        is None
    )


def test_evaluation_without_gradients(tmp_path: Path) -> None:
    train = loop("loss = f(net(x), y)", "loss.backward()", "optimizer.step()")
    text = train.replace(
        "for epoch",
        f"\ndef judge(held):\n    for x, y in held:\n        total += net(x)  {HERE}\n\n\nfor epoch",
    )
    assert edits(patch_of(tmp_path, text, "evaluation-with-gradient")) == ["+ @torch.no_grad()"]
    used = text.replace("loss = f(", "loss = judge(")
    assert patch_of(tmp_path, used, "evaluation-with-gradient") is None
    inline = train + f"    for x, y in held:\n        total += net(x)  {HERE}\n"
    patch = patch_of(tmp_path, inline, "evaluation-with-gradient")
    assert patch is not None
    assert (
        f"    with torch.no_grad():\n        for x, y in held:\n            total += net(x)  {HERE}\n"
        in patch.after
    )


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ("DataLoader(data, batch_size=8)", "DataLoader(data, batch_size=8, shuffle=True)"),
        ("DataLoader(data, 8, shuffle=False)", "DataLoader(data, 8, shuffle=True)"),
        (
            "DataLoader(\n    data,\n    8,  # small\n)",
            "DataLoader(\n    data,\n    8, shuffle=True,  # small\n)",
        ),
        ("DataLoader(data, sampler=sampler)", None),
        ("DataLoader(data, **options)", None),
        ("DataLoader(data, shuffle=flag)", None),
    ],
)
def test_shuffle(made: str, expected: str | None, tmp_path: Path) -> None:
    text = "loader = {}\nheld = DataLoader(others)\n" + loop("loss.backward()", "optimizer.step()")
    text = text.replace("in loader", "in enumerate(loader)")
    patch = patch_of(tmp_path, text.replace("{}", made, 1), "data-not-shuffled")
    assert (patch.after if patch else None) == (text.replace("{}", expected, 1) if expected else None)


# Values


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("out = self.head(h).detach()", "out = self.head(h)"),
        ("out = (h + x) . detach ()", "out = (h + x) "),
        ("return outputs.data", "return outputs"),
        ("loss = torch.tensor(loss)", "loss = loss"),
        ("loss = a.detach() + b.detach()", None),
        ("loss = net(x)", None),
    ],
)
def test_cuts(line: str, expected: str | None, tmp_path: Path) -> None:
    text = "def f():\n    {}  # here\nlogged = x.detach()\n"
    patch = patch_of(tmp_path, text.format(line), "detached-graph")
    assert (patch.after if patch else None) == (text.format(expected) if expected else None)


@pytest.mark.parametrize(
    ("frozen", "left"),
    [
        ("for p in net.parameters():\n    p.requires_grad = False\n", ""),
        ("net.body.requires_grad_(False)\n", ""),
        ("e = nn.Embedding.from_pretrained(v)\n", "e = nn.Embedding.from_pretrained(v, freeze=False)\n"),
        ("a.requires_grad_(False)\nb.requires_grad_(False)\n", None),
    ],
)
def test_frozen(frozen: str, left: str | None, tmp_path: Path) -> None:
    patch = patch_of(tmp_path, f"net = make()\n{frozen}", "frozen-parameters")
    assert (patch.after if patch else None) == (None if left is None else f"net = make()\n{left}")


def test_another_part_is_frozen(tmp_path: Path) -> None:
    text = "net = make()\nnet.body.requires_grad_(False)\n"
    assert patch_of(tmp_path, text, "frozen-parameters", evidence={"frozen": ["head.weight"]}) is None
    assert patch_of(tmp_path, text, "frozen-parameters", evidence={"frozen": ["body.0.weight"]}) is not None


def test_layers_in_a_list(tmp_path: Path) -> None:
    text = "import torch.nn as nn\nclass Net(nn.Module):\n    def __init__(self):\n"
    text += "        self.parts = [nn.Linear(2, 2)]\n"
    evidence = {"not among the model's submodules": ["Linear"]}
    patch = patch_of(tmp_path, text, "parameters-not-optimized", evidence=evidence)
    assert patch is not None
    assert "self.parts = nn.ModuleList([nn.Linear(2, 2)])" in patch.after


def test_best_weights(tmp_path: Path) -> None:
    text = f"from __future__ import annotations\nimport torch\nbest = net.state_dict()  {HERE}\n"
    text += "save(net.state_dict())\n"
    patch = patch_of(tmp_path, text, "stale-best-weights")
    assert [line for line in edits(patch) if line[0] == "+"] == [
        "+ import copy",
        f"+ best = copy.deepcopy(net.state_dict())  {HERE}",
    ]


def test_losses_that_are_kept(tmp_path: Path) -> None:
    patch = patch_of(tmp_path, loop("loss.backward()", "total += loss"), "memory-growth")
    assert "+         total += loss.item()" in edits(patch)
    assert (
        patch_of(tmp_path, loop("loss.backward()", "total += loss", "all.append(loss)"), "memory-growth")
        is None
    )


def test_axes(tmp_path: Path) -> None:
    patch = patch_of(tmp_path, f"s = x.view(x.size(1), x.shape[0], -1)  {HERE}\n", "wrong-reshape")
    assert patch is None
    patch = patch_of(tmp_path, f"s = x.view(x.size(1), x.shape[0])  {HERE}\n", "wrong-reshape")
    assert patch is not None
    assert patch.after == f"s = x.permute(1, 0)  {HERE}\n"
    evidence = {"before": [3, 600], "after": [30, 20, 3], "axis that moved": 3}
    patch = patch_of(tmp_path, f"s = x.reshape(n, 20, 3)  {HERE}\n", "wrong-reshape", evidence=evidence)
    assert patch is not None
    assert patch.after == f"s = x.T.reshape(n, 20, 3)  {HERE}\n"


def test_units(tmp_path: Path) -> None:
    layers = "nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1), nn.Sigmoid()"
    text = f"import torch\nfrom torch import nn\nnet = nn.Sequential({layers})\n"
    patch = patch_of(tmp_path, text, "unsuitable-hidden-activation", Change("activation", "sigmoid", "relu"))
    assert patch is not None
    assert patch.after.endswith("nn.ReLU(), nn.Linear(2, 1), nn.Sigmoid())\n")
    patch = patch_of(tmp_path, text, "unsuitable-output-activation", Change("output", "sigmoid", "linear"))
    assert patch is not None
    assert patch.after.endswith("nn.Sigmoid(), nn.Linear(2, 1))\n")


def test_nonlinearity(tmp_path: Path) -> None:
    text = (
        "from torch import nn\nnet = nn.Sequential(\n    nn.Linear(2, 8),  # wide\n    nn.Linear(8, 1),\n)\n"
    )
    assert edits(patch_of(tmp_path, text, "missing-nonlinearity")) == ["+     nn.ReLU(),"]
    text = (
        "import torch\nclass N:\n    def forward(self, x):\n        x = self.a(x)\n        return self.b(x)\n"
    )
    patch = patch_of(tmp_path, text, "missing-nonlinearity", layers=("a", "b"))
    assert [line for line in edits(patch) if line[0] == "+"] == ["+         x = torch.relu(self.a(x))"]


def test_initialisation(tmp_path: Path) -> None:
    text = "nn.init.constant_(m.weight, 0.02)\nnn.init.zeros_(m.bias)\n"
    patch = patch_of(tmp_path, text, "bad-initialization")
    assert patch is not None
    assert patch.after == "nn.init.kaiming_uniform_(m.weight, a=5**0.5)\nnn.init.zeros_(m.bias)\n"


# The patch


def test_what_is_no_file_has_no_patch(tmp_path: Path) -> None:
    finding = Finding("missing-zero-grad", "critical", "…", where="elsewhere.py:3")
    assert suggest(finding, [], tmp_path) is None
    (tmp_path / "elsewhere.py").write_bytes(b"\xff\xfe broken")
    assert suggest(finding, [], tmp_path) is None


def test_a_file_below_the_program(tmp_path: Path) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "model.py").write_text("def forward(x):\n    return F.softmax(x, 1)\n")
    finding = Finding("probabilities-as-logits", "critical", "…", {"softmax at": "model.py:2"})
    patch = suggest(finding, [], tmp_path)
    assert patch is not None
    assert patch.path == tmp_path / "nets" / "model.py"


def test_apply(tmp_path: Path) -> None:
    patch = patch_of(tmp_path, loop("loss.backward()", "optimizer.step()"), "missing-zero-grad")
    assert patch is not None
    patch.path.chmod(0o755)
    patch.apply()
    assert patch.path.read_text() == patch.after
    assert stat.S_IMODE(patch.path.stat().st_mode) == 0o755
    with pytest.raises(StorageError, match="is not patched"):
        patch.apply()


def test_diff_of_a_file_without_a_last_newline(tmp_path: Path) -> None:
    patch = patch_of(
        tmp_path, "net()\nloss.backward()\nopt = SGD(p, lr=0.5)", "overfitting", Change("lr", 0.5, 0.1)
    )
    assert patch is not None
    assert patch.diff("src/train.py").splitlines()[:2] == ["--- a/src/train.py", "+++ b/src/train.py"]
    assert patch.diff().splitlines()[-4:] == [
        "-opt = SGD(p, lr=0.5)",
        "\\ No newline at end of file",
        "+opt = SGD(p, lr=0.1)",
        "\\ No newline at end of file",
    ]


def test_several_patches_of_one_file(tmp_path: Path) -> None:
    text = loop("loss = ((net(x) - y) ** 2).sum()  # here", "loss.backward()", "optimizer.step()")
    patches = [patch_of(tmp_path, text, cause) for cause in ("missing-zero-grad", "loss-reduction")]
    slow = patch_of(tmp_path, text, "overfitting", Change("lr", 0.5, 0.1))
    other = patch_of(tmp_path, text, "overfitting", Change("lr", 0.5, 0.2))
    [whole] = merged([patch for patch in (*patches, slow, other) if patch])
    assert whole.after.count("zero_grad") == whole.after.count(".mean()") == 1
    assert "lr=0.1" in whole.after


def test_what_helped_comes_before_what_the_cause_asks_for(tmp_path: Path) -> None:
    program = tmp_path / "train.py"
    program.write_text(loop("loss.backward()", "optimizer.step()"))
    finding = Finding("missing-gradient-clipping", "warning", "…")
    tried = {"improved": True, "change": [Change("lr", 0.5, 0.1).to_plain()]}
    assert changes_of(finding) == ()
    assert changes_of(finding.but(verification=tried)) == (Change("lr", 0.5, 0.1),)
    assert edits(proposed(finding, program)) == ["+         nn.utils.clip_grad_norm_(net.parameters(), 1.0)"]
    assert "lr=0.1" in "".join(edits(proposed(finding.but(verification=tried), program)))
    assert proposed(finding.but(verification={**tried, "improved": False}), program) is None
