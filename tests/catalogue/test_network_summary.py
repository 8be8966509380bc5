"""A network in numbers: against torch's counters, the reach of gradients, and a real process."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from preceptor.catalogue import get
from preceptor.catalogue.calculators import NetworkSummary
from preceptor.errors import ConfigError, ModelError


class Branches(nn.Module):
    """Two ways of different reach that meet, a layer that is used twice, and operations of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(2, 4, 5, padding=2)
        self.narrow = nn.Conv2d(2, 4, 1)
        self.shared = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 3, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.wide(x).relu(), self.narrow(x)], 1)
        return self.last(self.shared(self.shared(x)) + x)


class Separable(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(6), nn.SiLU(),
            nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=6), nn.Conv2d(6, 4, 1), nn.AvgPool2d(2),
            nn.ZeroPad2d(1), nn.Conv2d(4, 4, (3, 1)), nn.MaxPool2d(3, 2, padding=1),
        )  # fmt: skip


class Cropping(nn.Module):
    """A shortcut that is cropped to fit."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + x[:, :, 2:-2, 2:-2]


def stack(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


def summary(model: nn.Module, inputs: Any, **options: Any) -> NetworkSummary:
    found: NetworkSummary = get("network-summary", model, inputs, **options)
    return found


def without_maxima(model: nn.Module) -> nn.Module:
    """Average in place of taking the largest, which passes the gradient to one place alone."""
    model = copy.deepcopy(model)
    for module in model.modules():
        for name, part in module.named_children():
            if isinstance(part, nn.MaxPool1d | nn.MaxPool2d):
                kind = nn.AvgPool1d if isinstance(part, nn.MaxPool1d) else nn.AvgPool2d
                setattr(module, name, kind(part.kernel_size, part.stride, part.padding))
    return model


def support(model: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """How far the gradient of one output reaches, at its largest over all places of the map."""
    model = without_maxima(model).double().eval()
    for parameter in model.parameters():
        parameter.data.abs_().add_(0.1)  # nothing cancels
    x = torch.rand(1, *shape, dtype=torch.float64, requires_grad=True)
    out = model(x)
    reach = [0] * (len(shape) - 1)
    for place in range(out[0, 0].numel()):
        (slope,) = torch.autograd.grad(out[0, 0].reshape(-1)[place], x, retain_graph=True)
        seen = slope[0].abs().sum(0).nonzero()
        reach = [max(r, int(seen[:, i].max() - seen[:, i].min()) + 1) for i, r in enumerate(reach)]
    return tuple(reach)


NETS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "lenet-5": (lambda: get("lenet-5", (1, 28, 28), 10), (1, 28, 28)),
    "mlp": (lambda: get("mlp", (20,), 4), (20,)),
    "branches": (Branches, (2, 12, 12)),
    "separable": (Separable, (3, 65, 65)),
    "cropping": (Cropping, (1, 12, 12)),
    "series": (lambda: stack(nn.Conv1d(2, 3, 3, dilation=2), nn.MaxPool1d(2), nn.Conv1d(3, 1, 2)), (2, 30)),
    "volume": (lambda: stack(nn.Conv3d(1, 2, 3), nn.AvgPool3d(2), nn.Conv3d(2, 1, 2)), (1, 12, 12, 12)),
    "transposed": (lambda: stack(nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 1, 2, 2)), (1, 9, 9)),
}


class TestAgainstReferences:
    @pytest.mark.parametrize("name", NETS)
    def test_operations_are_those_of_torchs_counter(self, name: str) -> None:
        make, shape = NETS[name]
        model = make().eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.rand(1, *shape))
        found = summary(model, shape)
        assert (
            found.operations == counter.get_total_flops() == sum(layer.operations for layer in found.layers)
        )

    @pytest.mark.parametrize("name", NETS)
    def test_parameters_are_counted_once(self, name: str) -> None:
        make, shape = NETS[name]
        model = make()
        found = summary(model, shape)
        assert found.parameters == sum(p.numel() for p in model.parameters())
        assert found.parameters == sum(layer.parameters for layer in found.layers)

    @pytest.mark.parametrize("name", ["branches", "separable", "cropping", "series", "volume"])
    def test_the_field_is_the_gradients_support(self, name: str) -> None:
        make, shape = NETS[name]
        assert summary(make(), shape).field == support(make(), shape)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "up",
        [
            nn.ConvTranspose2d(2, 1, 2, 2), nn.ConvTranspose2d(2, 1, 3, 2, 1), nn.Upsample(scale_factor=2),
            nn.Upsample(scale_factor=2, mode="bilinear"),
        ],
    )  # fmt: skip
    def test_behind_upsampling_it_is_a_bound_of_less_than_a_step(self, up: nn.Module) -> None:
        model = stack(nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2), up)
        bound, exact = summary(model, (1, 16, 16)).field, support(model, (1, 16, 16))
        assert bound is not None
        assert all(0 <= a - b <= 2 for a, b in zip(bound, exact, strict=True))  # a step of the map is 2

    def test_a_plain_stack_is_that_of_the_calculator(self) -> None:
        layers = [(3, 1), (2, 2), (3, 1, 2), (3, 2)]
        convolutions = [nn.Conv2d(1, 1, k, s, dilation=(*d, 1)[0]) for k, s, *d in layers]
        field = get("receptive-field", layers).size
        assert summary(stack(*convolutions), (1, 40, 40)).field == (field, field)

    def test_layers_are_those_of_the_other_calculators(self) -> None:
        found = summary(stack(nn.Conv2d(3, 96, 11, 4, 2)), (3, 224, 224)).layers[0]
        side = get("output-size", 224, kernel=11, padding=2, stride=4)
        assert found.output == (96, side, side)
        assert found.parameters == get("convolution-parameters", 3, 96, kernel=11)
        plain = summary(stack(nn.Conv2d(3, 16, 5, padding=2, bias=False)), (3, 32, 32)).operations
        assert plain == 2 * get("layer-size", 32, 32, 3, 16, kernel=5).connections

    def test_a_layer_that_sees_all(self) -> None:
        seen = {
            layer.name: layer.field for layer in summary(get("lenet-5", (1, 28, 28), 10), (1, 28, 28)).layers
        }
        assert seen["5"] == (16, 16)
        assert seen["7"] == (28, 28)
        assert summary(get("mlp", (20,), 4), (20,)).field is None


class TestDepth:
    def test_the_longest_way_counts(self) -> None:
        assert get("weight-depth", Branches(), (2, 12, 12)) == 4
        assert get("weight-depth", get("mlp", (20,), 4, hidden=(8, 8)), (20,)) == 3
        assert get("depth-rule", get("lenet-5", (1, 28, 28), 10), (1, 28, 28)) == 5

    def test_a_recurrent_layer_counts_once_however_long_the_sequence(self) -> None:
        class Reader(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.cells, self.last = nn.LSTM(3, 5, 2, batch_first=True), nn.Linear(5, 2)

            def forward(self, x: Tensor) -> Tensor:
                return self.last(self.cells(x)[0][:, -1])

        for length in (2, 9):
            assert get("weight-depth", Reader(), (length, 3)) == 3

    def test_attention_between_inputs_is_no_layer(self) -> None:
        class Attending(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.query, self.key = nn.Linear(4, 4), nn.Linear(4, 4)

            def forward(self, x: Tensor) -> Tensor:
                return scaled_dot_product_attention(self.query(x), self.key(x), x)

        found = summary(Attending(), (6, 4))
        assert found.depth == 1
        assert found.operations == 2 * 2 * 6 * 4 * 4 + 2 * 2 * 6 * 6 * 4


class TestMemory:
    def test_what_relu_and_pooling_keep(self) -> None:
        model = stack(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 2)
        )
        found = summary(model, (1, 8, 8), batch_size=10)
        relu, pool = 10 * 4 * 64 * 4, 10 * 4 * 16 * (4 + 8)  # the second with its indices
        assert [layer.activations for layer in found.layers] == [0, relu, pool, 0, 0]
        assert found.memory.batch == 10 * 64 * 4
        assert found.memory.parameters == found.memory.gradients == 4 * found.parameters
        assert found.memory.peak > found.memory.parameters * 4 + relu + pool

    def test_it_grows_with_the_batch_and_not_the_operations(self) -> None:
        small, large = (summary(Branches(), (2, 12, 12), batch_size=n) for n in (2, 20))
        assert large.memory.activations == 10 * small.memory.activations
        assert large.operations == small.operations

    @pytest.mark.parametrize(
        ("optimizer", "copies"), [("sgd", 0), ("momentum", 1), ("adam", 2), ("adagrad", 1)]
    )
    def test_the_optimizers_state(self, optimizer: str, copies: int) -> None:
        memory = get("training-memory", get("mlp", (20,), 4), (20,), optimizer=optimizer)
        assert memory.optimizer == copies * memory.parameters

    def test_a_state_that_grows_is_not_foretold(self) -> None:
        assert get("memory-estimate", get("mlp", (20,), 4), (20,), optimizer="l-bfgs").optimizer is None

    def test_frozen_parameters_have_no_gradient(self) -> None:
        model = get("mlp", (20,), 4)
        model[0].requires_grad_(False)
        found = summary(model, (20,))
        assert found.trainable == 516
        assert found.memory.gradients == 4 * 516
        assert "of which 2,688 are frozen" in str(found)

    @pytest.mark.slow
    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    @pytest.mark.parametrize("net", ["mlp", "convnet", "residual"])
    def test_within_a_fifth_of_a_process(self, net: str) -> None:
        program = Path(__file__).with_name("_memory_of_a_step.py")
        environment = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TOP_PAD_": "0", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, str(program), net], capture_output=True, text=True, check=True, env=environment
        )
        found = json.loads(done.stdout)
        assert found["estimated"] == pytest.approx(found["measured"], rel=0.2)


class TestAnyModule:
    def test_the_model_is_left_as_it_was(self) -> None:
        model = Separable()
        before = {k: v.clone() for k, v in model.state_dict().items()}
        generator = torch.get_rng_state()
        summary(model, (3, 33, 33))
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
        assert model.training
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
        assert torch.equal(torch.get_rng_state(), generator)

    def test_code_that_asks_for_values_is_run_with_values(self) -> None:
        class Asking(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = nn.Linear(4, 2)

            def forward(self, x: Tensor) -> Tensor:
                return self.layer(x) * 2 if x.sum() > 1 else self.layer(x)

        found = summary(Asking(), (4,))
        assert found.parameters == 10
        assert found.operations == 16
        assert "with numbers" in found.notes[0]

    def test_a_huge_network_costs_nothing(self) -> None:
        with torch.device("meta"):
            model = stack(nn.Linear(100_000, 100_000), nn.ReLU(), nn.Linear(100_000, 100_000))
        found = summary(model, (100_000,), batch_size=1024)
        assert found.memory.parameters == 4 * (2 * 100_000**2 + 200_000)
        assert found.operations == 4 * 100_000**2

    def test_several_inputs_and_whole_numbers(self) -> None:
        class Two(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.words, self.last = nn.Embedding(50, 8), nn.Linear(9, 3)

            def forward(self, words: Tensor, weight: Tensor) -> Tensor:
                return self.last(torch.cat([self.words(words).mean(1), weight], 1))

        found = summary(Two(), (torch.zeros(4, 6, dtype=torch.long), torch.rand(4, 1)), batch_size=16)
        assert found.input == ((6,), (1,))
        assert found.parameters == 430
        assert found.memory.batch == 16 * (6 * 8 + 4)
        assert summary(stack(nn.Embedding(50, 8), nn.Linear(8, 3)), (6,)).depth == 1

    def test_one_example_a_batch_is_followed_in_evaluation_mode(self) -> None:
        model = stack(nn.Conv2d(1, 2, 4), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
        assert "evaluation mode" in summary(model, (1, 4, 4), batch_size=1).notes[-1]

    def test_layers_that_are_not_used_are_shown(self) -> None:
        model = Branches()
        model.spare = nn.Linear(3, 3)
        last = summary(model, (2, 12, 12)).layers[-1]
        assert (last.name, last.output, last.parameters, last.calls) == ("spare", None, 12, 0)

    def test_a_shared_module_says_how_often_it_is_used(self) -> None:
        found = {layer.name: layer for layer in summary(Branches(), (2, 12, 12)).layers}
        assert (found["shared"].calls, found["shared"].parameters) == (2, 584)
        assert found["shared"].operations == 2 * 2 * 8 * 8 * 9 * 144
        assert "Conv2d ×2" in str(summary(Branches(), (2, 12, 12)))

    def test_what_does_not_fit_is_said(self) -> None:
        with pytest.raises(ModelError, match=r"cannot be followed[\s\S]*shapes cannot be multiplied"):
            summary(get("mlp", (20,), 4), (21,))
        with pytest.raises(ConfigError, match="batch_size"):
            summary(get("mlp", (20,), 4), (20,), batch_size=0)

    def test_folded_layers_add_up(self) -> None:
        class Two(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.a, self.b = Separable(), nn.Sequential(nn.Flatten(), nn.LazyLinear(2))

            def forward(self, x: Tensor) -> Tensor:
                return self.b(self.a(x))

        model = Two()
        model(torch.rand(2, 3, 33, 33))
        whole = summary(model, (3, 33, 33))
        folded = whole.folded(1)
        assert [layer.name for layer in folded.layers] == ["a", "b"]
        for key in ("parameters", "activations", "operations"):
            assert sum(getattr(x, key) for x in folded.layers) == sum(getattr(x, key) for x in whole.layers)
        assert json.loads(json.dumps(folded.to_plain()))["parameters"] == whole.parameters
