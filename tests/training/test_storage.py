"""Trees of tensors survive the round trip; damage is named."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from preceptor.errors import CheckpointError, StorageError
from preceptor.training import storage
from preceptor.training.storage import load_tree, save_tree

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.integers() | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.slow
@given(tree=TREES)
def test_a_tree_of_plain_data_survives(tmp_path_factory: pytest.TempPathFactory, tree: object) -> None:
    path = tmp_path_factory.mktemp("tree") / "t.safetensors"
    save_tree(path, {"tree": tree})
    assert load_tree(path) == {"tree": tree}


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
)
def test_tensors_survive_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = (torch.randn(3, 4) * 100).to(dtype)
    save_tree(tmp_path / "t", {"a": [tensor, tensor.t()], 7: torch.tensor(3.0), "empty": torch.zeros(0, 2)})
    back = load_tree(tmp_path / "t")
    assert back["a"][0].dtype == dtype
    assert torch.equal(back["a"][0], tensor)
    assert torch.equal(back["a"][1], tensor.t())
    assert back[7] == 3
    assert back["empty"].shape == (0, 2)


def test_tensors_that_share_memory_are_stored_apart(tmp_path: Path) -> None:
    tied = torch.randn(4)
    save_tree(tmp_path / "t", {"encoder": tied, "decoder": tied})
    back = load_tree(tmp_path / "t")
    assert torch.equal(back["encoder"], back["decoder"])


def test_optimizer_state_survives(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), amsgrad=True)
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    save_tree(tmp_path / "t", optimizer.state_dict())
    back = load_tree(tmp_path / "t")
    assert back["param_groups"] == optimizer.state_dict()["param_groups"]
    for key, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            assert torch.equal(back["state"][key][name], value)


def test_what_would_need_pickle_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"'/outer/1' cannot be stored without pickle[\s\S]*Path"):
        save_tree(tmp_path / "t", {"outer": [1, Path("x")]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 7, 60])
def test_a_file_cut_short_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "t"
    save_tree(path, {"a": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="cannot read"):
        load_tree(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot read"):
        load_tree(tmp_path / "absent")


def test_a_file_that_the_system_refuses_to_grow(tmp_path: Path) -> None:
    """A real limit of the operating system, in place of a full disk: the write itself fails."""
    path = tmp_path / "state.safetensors"
    save_tree(path, {"step": 1, "w": torch.zeros(10)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(StorageError, match="cannot write"):
            save_tree(path, {"step": 2, "w": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert load_tree(path)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]


def test_nothing_is_pickled(tmp_path: Path) -> None:
    save_tree(tmp_path / "t", {"a": torch.ones(2), "b": "text"})
    content = (tmp_path / "t").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert set(header) == {"__metadata__", "/a"}
    assert "pickle" not in Path(storage.__file__).read_text().replace("without pickle", "").replace(
        "is pickled", ""
    )
