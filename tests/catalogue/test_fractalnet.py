"""FractalNet: the fractal rule, its joins, its columns, and paths that are dropped."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.catalogue import entry, get
from preceptor.catalogue.architectures import FractalBlock, FractalNet
from preceptor.errors import ConfigError, ModelError

SHAPE = (3, 8, 8)


def net(**options: object) -> FractalNet:
    torch.manual_seed(0)
    return get("fractalnet", SHAPE, 5, **{"channels": (4, 6), "columns": 3, **options})


def block(columns: int = 3, **options: object) -> FractalBlock:
    torch.manual_seed(0)
    return FractalBlock(3, 4, columns, **options)


def test_columns_double_in_depth_and_the_longest_path_is_what_the_paper_says():
    assert [len(column) for column in block(4).columns] == [1, 2, 4, 8]
    assert get("fractal", (3, 32, 32), 10, width=1 / 32).depth == 5 * 2**2
    assert entry("fractalnet", "architecture").defaults["columns"] == 3
    assert net().depth == 8


def test_two_columns_are_the_fractal_rule():
    f2 = block(2).eval()
    (short,), (first, second) = f2.columns
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(f2(x), (second(first(x)) + short(x)) / 2)


def test_three_columns_are_the_fractal_rule_with_joins_that_meet_taken_as_one():
    f3 = block(3).eval()
    (short,), (b1, b2), (c1, c2, c3, c4) = f3.columns
    x = torch.randn(2, 3, 5, 5)
    half = (b1(x) + c2(c1(x))) / 2
    torch.testing.assert_close(f3(x), (short(x) + b2(half) + c4(c3(half))) / 3)


@pytest.mark.parametrize("c", [0, 1, 2])
def test_each_column_alone_is_a_network(c: int):
    whole = net()
    alone = whole.column(c).eval()
    convolutions = [m for m in alone.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 2 * 2**c
    x = torch.randn(4, *SHAPE)
    assert alone(x).shape == (4, 5)
    for part in whole.eval().blocks:
        part.only = c
    torch.testing.assert_close(nn.Sequential.forward(whole, x), alone(x))
    alone.train()(x).sum().backward()
    assert all(p.grad is not None for p in alone.parameters())
    assert {id(p) for p in alone.parameters()} <= {id(p) for p in whole.parameters()}


def runs(model: FractalNet, passes: int) -> list[list[str]]:
    """Return which columns' convolutions ran in each pass in training, as 'block.column.place'."""
    seen: list[str] = []
    for b, part in enumerate(model.blocks):
        for c, column in enumerate(part.columns):
            for at, layer in enumerate(column):
                layer.register_forward_hook(lambda *_, name=f"{b}.{c}.{at}": seen.append(name))
    found = []
    for _ in range(passes):
        seen.clear()
        model.train()(torch.randn(2, 3, 4, 4))
        found.append(list(seen))
    return found


def test_global_drop_path_keeps_one_column_in_all_blocks():
    chosen = set()
    for names in runs(net(global_share=1.0), 60):
        columns = {name.split(".")[1] for name in names}
        assert len(columns) == 1
        (c,) = columns
        assert len(names) == 2 * 2 ** int(c)
        chosen.add(c)
    assert chosen == {"0", "1", "2"}


def test_local_drop_path_keeps_at_least_one_input_of_every_join():
    found = runs(net(global_share=0.0, drop_path=1.0), 60)
    for names in found:
        for b in "01":
            at_end = [name for name in names if name in (f"{b}.0.0", f"{b}.1.1", f"{b}.2.3")]
            assert len(at_end) == 1
    assert len({tuple(names) for names in found}) > 10


@pytest.mark.slow
def test_local_drop_path_drops_its_share():
    found = runs(net(global_share=0.0, drop_path=0.3), 200)
    last = sum("1.0.0" in names for names in found) / 200  # its column meets the others at one join alone
    assert last == pytest.approx(0.7 + 0.3**3 / 3, abs=0.1)
    assert all("1.2.0" in names and "1.2.2" in names for names in found)  # no join behind them
    none = runs(net(global_share=0.0, drop_path=0.0), 3)
    assert all(len(names) == 2 * 7 for names in none)


@pytest.mark.slow
def test_half_of_the_batches_are_global():
    found = runs(net(drop_path=0.0), 200)
    assert sum(len(names) < 14 for names in found) / 200 == pytest.approx(0.5, abs=0.1)


def test_the_whole_network_is_used_at_test_without_chance():
    model = net(drop_path=0.5)
    x = torch.randn(4, *SHAPE)
    for _ in range(5):
        model.train()(x)
    model.eval()
    before = torch.get_rng_state()
    first = model(x)
    assert torch.equal(first, model(x))
    assert torch.equal(torch.get_rng_state(), before)
    other = net(drop_path=0.0, global_share=0.0).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), first)


def test_dropout_rises_evenly_from_block_to_block():
    model = net(channels=(4, 4, 4), dropout=0.4)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == [0.2, 0.4]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 5, 9)])
def test_any_size_will_do(shape: tuple[int, ...]):
    assert get("fractalnet", shape, 4, width=1 / 32).eval()(torch.zeros(1, *shape)).shape == (1, 4)


def test_unusable_options_are_refused():
    for options, message in (
        ({"columns": 0}, "columns"),
        ({"channels": [0]}, "channels"),
        ({"channels": []}, "channels"),
        ({"drop_path": 1.5}, "drop_path"),
        ({"global_share": -1}, "global_share"),
        ({"width": 0}, "width"),
    ):
        with pytest.raises(ConfigError, match=message):
            net(**options)
    with pytest.raises(ModelError, match="images"):
        get("fractalnet", (8,), 3)
