"""What holds for every activation, output unit and loss: dtype, device, state, the shapes it states."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from torch import Tensor, nn

from preceptor.catalogue import Entry, find

SIZES = {"N": 6, "K": 4, "D": 2, "T": 3, "C": 4}
UNITS = [*find(kind="activation"), *find(kind="output-unit")]
LOSSES = find(kind="loss")

units = pytest.mark.parametrize("e", UNITS, ids=lambda e: f"{e.kind}:{e.name}")
losses = pytest.mark.parametrize("e", LOSSES, ids=lambda e: e.name)


def shapes(text: str) -> list[tuple[int, ...]]:
    """Return the shapes written in a text, "(N, K)", with the sizes above for their letters."""
    found = re.findall(r"\(((?:[NKDTC],?\s*)+)\)", text)
    return [tuple(SIZES[letter] for letter in re.findall(r"[NKDTC]", one)) for one in found]


def pair(e: Entry, dtype: torch.dtype = torch.float32, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Return outputs and targets of the shapes that a loss states."""
    torch.manual_seed(0)
    output, target = shapes(e.shapes)[:2]
    z = torch.randn(output, dtype=dtype)
    takes = e.traits.get("takes")
    z = z.sigmoid() if takes == "probabilities" else z.log_softmax(-1) if takes else z
    kinds = {
        "categories": lambda: torch.randint(SIZES["K"], target),
        "binary": lambda: torch.randint(2, target).to(dtype),
        "numbers": lambda: torch.randn(target, dtype=dtype),
        "densities": lambda: torch.zeros(target, dtype=dtype),
        "texts": lambda: torch.randint(SIZES["K"] - 1, (target[0], 1)),
        "tags": lambda: torch.randint(SIZES["K"], target),
        "trees": lambda: torch.tensor([[[0, 1, 1], [0, 0, 0], [1, 1, 2]]] * target[0]),
    }
    return z.to(device), kinds[e.traits["targets"]]().to(device)


@units
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_unit_keeps_dtype_and_is_deterministic(e: Entry, dtype: torch.dtype):
    torch.manual_seed(0)
    f, x = e.build().to(dtype), torch.randn(5, 4).to(dtype)
    assert f(x).dtype == dtype
    assert torch.equal(f(x), f(x))


@units
def test_a_unit_works_on_another_device(e: Entry):
    f = e.build().to("meta")
    assert f(torch.zeros(5, 4, device="meta")).device.type == "meta"


@units
def test_a_unit_s_state_can_be_saved_and_loaded(e: Entry):
    f, x = e.build(), torch.randn(5, 4)
    for p in f.parameters():
        nn.init.normal_(p)
    other = e.build()
    other.load_state_dict(copy.deepcopy(f.state_dict()))
    assert torch.equal(other(x), f(x))


@pytest.mark.parametrize("e", find(kind="output-unit"), ids=lambda e: e.name)
def test_an_output_unit_has_the_shapes_that_it_states(e: Entry):
    given, *_ = shapes(e.shapes)
    assert e.build()(torch.randn(given)).shape == given


@losses
def test_a_loss_has_the_shapes_that_it_states(e: Entry):
    output, target = pair(e)
    assert "→ scalar" in e.shapes
    assert e.build()(output, target).shape == ()
    each = re.search(r"reduction='none': (\([^)]*\))", e.shapes)
    assert each
    assert e.build(reduction="none")(output, target).shape == shapes(each[1])[0]


@losses
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loss_keeps_dtype_and_is_deterministic(e: Entry, dtype: torch.dtype):
    output, target = pair(e, dtype)
    loss = e.build()
    assert loss(output, target).dtype == dtype
    assert torch.equal(loss(output, target), loss(output, target))
    assert not loss.state_dict()


@losses
def test_a_loss_works_on_another_device(e: Entry):
    if e.name == "ctc":
        pytest.skip("torch's ctc_loss has no kernel for tensors without values")
    output, target = pair(e, device="meta")
    assert e.build()(output, target).device.type == "meta"
