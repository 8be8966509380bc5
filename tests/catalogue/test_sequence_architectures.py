"""Networks for sequences: readings, regimes, padding, carried states, and what a language model needs."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from preceptor.catalogue import entry, get
from preceptor.catalogue.calculators import receptive_field
from preceptor.catalogue.derivatives import truncated_bptt
from preceptor.errors import ConfigError, DataError, ModelError

F64 = torch.float64
RECURRENT = ("rnn", "irnn", "mrnn", "gru", "lstm")
NAMES = (*RECURRENT, "transformer", "tcn")

every = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def net(name: str, inputs: tuple[int, ...], outputs: int, **options: Any) -> nn.Module:
    return get(name, inputs, outputs, kind="architecture", **{"hidden": 8, **options}).double().eval()


def some(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=F64)


class TestRegimes:
    @every
    def test_many_to_one_and_many_to_many(self, name: str):
        for inputs in ((6, 3), (6,), (2, 6, 5)):
            assert net(name, inputs, 4)(some(2, *inputs)).shape == (2, 4)
            assert net(name, inputs, 4, per_step=True)(some(2, *inputs)).shape == (2, 6, 4)
        assert net(name, (2, 6, 5), 4, reading="pixels", per_step=True)(some(2, 2, 6, 5)).shape == (2, 30, 4)
        assert net(name, (6, 3), 4)(some(2, 9, 3)).shape == (2, 4)

    @pytest.mark.parametrize("feed", ["repeat", "once"])
    def test_one_to_many_and_a_static_input(self, feed: str):
        digits = some(2, 1, 8, 8)
        for steps in (1, 4):
            model = net("static-rnn", (1, 8, 8), 10, steps=steps, feed=feed)
            assert model(digits).shape == (2, 10)
            cell = model.body.layers[0]
            flat = digits.flatten(1)
            parts = [flat if feed == "repeat" or t == 0 else torch.zeros_like(flat) for t in range(steps)]
            torch.testing.assert_close(model(digits), model.head(cell(torch.stack(parts, 1))[0][:, -1]))
        for name in RECURRENT:
            sequence = net(name, (5,), 3, reading="static", per_step=True, steps=7, feed=feed)
            assert sequence(some(2, 5)).shape == (2, 7, 3)
        for name in ("transformer", "tcn"):
            with pytest.raises(ConfigError, match="static-rnn"):
                net(name, (5,), 3, reading="static")

    def test_rows_and_pixels_are_read_in_order(self):
        image = some(1, 2, 3, 4)
        by_rows = torch.stack([image[:, :, r].flatten(1) for r in range(3)], 1)
        by_pixels = image.flatten(2).transpose(1, 2)
        for reading, steps in (("rows", by_rows), ("pixels", by_pixels)):
            model = net("gru", (2, 3, 4), 5, reading=reading)
            same = net("gru", tuple(steps.shape[1:]), 5)
            same.load_state_dict(model.state_dict())
            torch.testing.assert_close(model(image), same(steps))

    def test_the_last_step_of_both_directions_or_the_mean_stands_for_a_sequence(self):
        x, lengths = some(2, 5, 3), torch.tensor([5, 2])
        model = net("gru", (5, 3), 4, bidirectional=True)
        _, state = model.body.layers[0](x, None, lengths)
        torch.testing.assert_close(model(x, lengths=lengths), model.head(torch.cat([*state], -1)))
        mean = net("lstm", (5, 3), 4, pooling="mean")
        y = mean.body.layers[0](x[1:, :2])[0]
        torch.testing.assert_close(mean(x, lengths=lengths)[1:], mean.head(y.mean(1)))


class TestPadding:
    @every
    @pytest.mark.parametrize("options", [{}, {"per_step": True}, {"pooling": "mean"}, {"pooling": "last"}])
    def test_it_changes_nothing(self, name: str, options: dict[str, Any]):
        model = net(name, (6, 3), 4, **options)
        x, lengths = some(2, 6, 3), torch.tensor([6, 2])
        together = model(x, lengths=lengths)
        short = model(x[1:, :2])
        torch.testing.assert_close(together[1:, :2] if options.get("per_step") else together[1:], short)
        torch.testing.assert_close(together[:1], model(x[:1]))

    @every
    def test_lengths_are_read_off_the_padding_symbol(self, name: str):
        model = net(name, (6,), 4, vocabulary=9, padding=0)
        x = torch.tensor([[3, 0, 5, 0, 0, 0], [1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0]])
        torch.testing.assert_close(model(x), model(x, lengths=torch.tensor([3, 6, 1])))
        torch.testing.assert_close(model(x)[:1], model(x[:1, :3]))

    def test_wrong_lengths_are_refused(self):
        with pytest.raises(DataError, match="2 integers from 1 to 6"):
            net("tcn", (6, 3), 4)(some(2, 6, 3), lengths=torch.tensor([7, 1]))


class TestState:
    @every
    @pytest.mark.parametrize("options", [{}, {"layers": 2, "dropout": 0.3}])
    def test_a_sequence_in_pieces_equals_the_whole(self, name: str, options: dict[str, Any]):
        model = net(name, (12,), 5, vocabulary=5, per_step=True, **options)
        x = torch.randint(5, (2, 12))
        pieces, states = zip(*truncated_bptt(model, x, length=5), strict=True)
        torch.testing.assert_close(torch.cat(pieces, 1), model(x))
        assert not any(part.requires_grad for part in _tensors(states[-1]))
        one, state = model(x[:, :1], None)
        torch.testing.assert_close(one, model(x)[:, :1])
        two, _ = model(x[:, 1:2], state)
        torch.testing.assert_close(two, model(x)[:, 1:2])

    @every
    def test_no_step_sees_what_comes_later(self, name: str):
        model = net(name, (6, 3), 2, per_step=True)
        x = some(1, 6, 3).requires_grad_()
        model(x)[0, 2].sum().backward()
        assert (x.grad[0, 3:] == 0).all()
        assert (x.grad[0, 2] != 0).any()

    def test_what_reads_both_ways_has_none(self):
        for model in (
            net("lstm", (6, 3), 2, bidirectional=True),
            net("transformer", (6, 3), 2),
            net("transformer", (6, 3), 2, causal=False, per_step=True),
        ):
            with pytest.raises(ModelError, match="from both ends"):
                model(some(1, 6, 3), None)

    def test_variational_layers_carry_states_of_their_own(self):
        whole = net("lstm", (6, 3), 2, layers=3)
        apart = net("lstm", (6, 3), 2, layers=3, variational=True, dropout=0.2)
        assert len(whole.body.layers) == 1
        assert len(apart.body.layers) == 3
        with torch.no_grad():
            for at, part in enumerate(apart.body.layers):
                for name, p in part.recurrence.named_parameters():
                    p.copy_(getattr(whole.body.layers[0].recurrence, name.replace("l0", f"l{at}")))
            apart.head.load_state_dict(whole.head.state_dict())
        x = some(2, 6, 3)
        torch.testing.assert_close(apart(x), whole(x))
        _, state = apart(x[:, :4], None)
        torch.testing.assert_close(apart(x[:, 4:], state)[0], whole(x))
        assert apart.train()(x).shape == (2, 2)


def _tensors(state: Any) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else [t for part in state for t in _tensors(part)]


class TestSymbols:
    @every
    def test_tied_weights_are_one(self, name: str):
        model = net(name, (6,), 7, vocabulary=7, tied=True, per_step=True)
        assert model.head.weight is model.embedding.weight
        again = copy.deepcopy(model)
        assert again.head.weight is again.embedding.weight
        narrow = net(name, (6,), 7, vocabulary=7, tied=True, per_step=True, embedding=4)
        assert narrow.head.weight.shape == (7, 4)
        assert narrow(torch.zeros(1, 6, dtype=torch.int64)).shape == (1, 6, 7)

    @pytest.mark.parametrize(
        "options",
        [
            {"tied": True},
            {"padding": 0},
            {"embedding": 4},
            {"vocabulary": 9, "tied": True},
            {"vocabulary": 4, "padding": 4},
            {"vocabulary": 0},
            {"vocabulary": 4, "embedding": 0},
        ],
    )
    def test_options_that_do_not_go_together_are_refused(self, options: dict[str, Any]):
        with pytest.raises(ConfigError, match=r"vocabulary|embedding"):
            net("lstm", (6,), 4, **options)

    def test_numbers_are_no_symbols(self):
        with pytest.raises(ModelError, match=r"\(N, T\) integers below 4"):
            net("gru", (6,), 4, vocabulary=4)(some(2, 6))

    @pytest.mark.parametrize("name", ["lstm", "transformer", "tcn", "mrnn"])
    def test_probabilities_of_all_short_sequences_sum_to_1(self, name: str):
        network = net(name, (6,), 2, vocabulary=3, per_step=True, layers=2)
        with torch.no_grad():
            network.head.weight.mul_(5)
        model = get("autoregressive-model", network, start=2)
        sequences = torch.cartesian_prod(*[torch.arange(2)] * 6)
        p = model.log_likelihood(sequences).exp()
        assert p.sum().item() == pytest.approx(1, abs=1e-9)
        assert p.max() > 2 * p.min()
        x = sequences[37:38]
        factors = [network(torch.cat([torch.tensor([[2]]), x[:, :t]], 1))[0, -1] for t in range(6)]
        product = torch.stack([f.softmax(-1)[x[0, t]] for t, f in enumerate(factors)]).prod()
        torch.testing.assert_close(p[37], product)

    def test_samples_come_in_order_and_have_the_model_s_frequencies(self):
        network = net("gru", (3,), 2, vocabulary=3, per_step=True)
        with torch.no_grad():
            network.head.weight.mul_(4)
        model = get("ar", network, start=2)
        generator = torch.Generator().manual_seed(1)
        drawn = model.sample(4000, 3, generator=generator)
        sequences = torch.cartesian_prod(*[torch.arange(2)] * 3)
        share = (drawn[:, None] == sequences).all(-1).double().mean(0)
        torch.testing.assert_close(share, model.log_likelihood(sequences).exp(), atol=0.03, rtol=0)
        cold = model.sample(50, 3, temperature=1e-3, generator=generator)
        assert (cold == cold[0]).all()


class TestNetworks:
    def test_parameters_are_counted_right(self):
        def count(name: str, inputs: tuple[int, ...], outputs: int, **options: Any) -> int:
            with torch.device("meta"):
                model = get(name, inputs, outputs, kind="architecture", **options)
            return sum(p.numel() for p in model.parameters())

        assert count("lstm", (50, 2), 1, hidden=64) == 4 * 64 * (2 + 64 + 2) + 65
        assert count("gru", (50, 2), 1, hidden=64) == 3 * 64 * (2 + 64 + 2) + 65
        assert count("rnn", (50, 2), 1, hidden=64) == 64 * (2 + 64 + 2) + 65
        tied = count("lstm", (35,), 100, vocabulary=100, tied=True, per_step=True, hidden=20)
        assert tied == 100 * 20 + 4 * 20 * 42 + 100
        block = 4 * 16 * 16 + 4 * 16 + 2 * 4 * 16 * 16 + 5 * 16 + 4 * 16
        lm = count("transformer", (9,), 30, vocabulary=30, tied=True, hidden=16, layers=3)
        assert lm == 30 * 16 + 3 * block + 2 * 16 + 30

    def test_a_tcn_sees_its_receptive_field_and_no_more(self):
        model = net("tcn", (40, 1), 1, layers=3, kernel=3, per_step=True, activation="tanh")
        layers = [(3, 1, d) for d in (1, 1, 2, 2, 4, 4)]
        assert model.receptive_field == receptive_field(layers).size == 29
        x = some(1, 40, 1).requires_grad_()
        model(x)[0, -1].sum().backward()
        assert (x.grad[0, : 40 - 29] == 0).all()
        assert (x.grad[0, 40 - 29 :] != 0).all()

    def test_a_temporal_block_is_two_convolutions_beside_a_shortcut(self):
        block = get("temporal-block", 2, 3, kernel=3, dilation=2).double()
        x = some(2, 2, 12)
        first = nn.functional.conv1d(
            nn.functional.pad(x, (4, 0)), block.first.weight, block.first.bias, dilation=2
        )
        second = nn.functional.conv1d(
            nn.functional.pad(first.relu(), (4, 0)), block.second.weight, block.second.bias, dilation=2
        )
        torch.testing.assert_close(block(x), (block.shortcut(x) + second.relu()).relu())
        early, state = block.carry(x[..., :5])
        late, _ = block.carry(x[..., 5:], state)
        torch.testing.assert_close(torch.cat([early, late], -1), block(x))

    def test_a_delayed_convolution_goes_on_from_its_past(self):
        layer = get("causal-convolution", 2, 3, kind="layer", kernel=3, dilation=2, delay=1).double()
        x = some(1, 2, 9)
        early, past = layer.carry(x[..., :2])
        late, _ = layer.carry(x[..., 2:], past)
        assert past.shape[-1] == layer.reach == 5
        torch.testing.assert_close(torch.cat([early, late], -1), layer(x))

    def test_training_of_a_tcn_is_parallel_over_time(self):
        from preceptor.catalogue.inspections import sequence_growth

        model = get("tcn", (8, 2), 1, hidden=4, layers=2, per_step=True)
        seen = sequence_growth(lambda T: model(torch.zeros(1, T, 2)), lengths=(16, 32, 64))
        assert seen["sequential"][0] == seen["sequential"][-1]
        assert seen["slopes"]["operations"] == pytest.approx(1, abs=0.02)

    def test_recurrent_matrices_start_as_asked(self):
        for name in ("rnn", "gru", "lstm"):
            model = get(name, (6, 3), 2, kind="architecture", hidden=8, recurrent_init="orthogonal")
            W = model.body.layers[0].recurrence.weight_hh_l0
            for gate in W.split(8):
                torch.testing.assert_close(gate @ gate.T, torch.eye(8), atol=1e-5, rtol=0)
        with pytest.raises(ConfigError, match="recurrent_init"):
            get("gru", (6, 3), 2, recurrent_init=3)

    def test_an_irnn_keeps_a_pixel_over_a_whole_image(self):
        model = get("irnn", (1, 8, 8), 10, kind="architecture", reading="pixels", hidden=16)
        x = torch.rand(4, 1, 8, 8).requires_grad_()
        plain = get("rnn", (1, 8, 8), 10, reading="pixels", hidden=16)

        def early(network: nn.Module) -> float:
            x.grad = None
            network(x).sum().backward()
            return float(x.grad[..., 0, :].norm() / x.grad[..., 7, :].norm())

        assert early(model) > 0.3
        assert early(plain) < 0.05

    def test_positions_tell_a_transformer_the_order(self):
        x, order = some(1, 5, 3), torch.tensor([4, 2, 0, 1, 3])
        blind = net("transformer", (5, 3), 2, positions="none")
        torch.testing.assert_close(blind(x[:, order]), blind(x))
        for positions in ("sinusoidal", "learned"):
            model = net("transformer", (5, 3), 2, positions=positions)
            assert not torch.allclose(model(x[:, order]), model(x))
        with pytest.raises(ModelError, match="at most 5 steps"):
            model(some(1, 6, 3))

    def test_options_reach_through_to_the_common_ones(self):
        for name in (*NAMES, "static-rnn"):
            options = entry(name, "architecture").defaults
            assert {"hidden", "layers", "vocabulary", "tied", "per_step", "pooling", "dropout"} <= set(
                options
            )
            assert not any(key.startswith("_") for key in options)
        assert "nonlinearity" in entry("rnn").defaults
        assert "nonlinearity" not in entry("lstm", "architecture").defaults

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"hidden": 0}, "hidden"),
            ({"layers": 0}, "layers"),
            ({"dropout": 1.5}, "dropout"),
            ({"reading": "columns"}, "reading"),
            ({"pooling": "max"}, "pooling"),
        ],
    )
    @every
    def test_unusable_options_are_named(self, name: str, options: dict[str, Any], said: str):
        with pytest.raises(ConfigError, match=said):
            net(name, (6, 3), 2, **options)

    def test_shapes_that_are_no_sequences_are_refused(self):
        with pytest.raises(ModelError, match="sequences"):
            net("lstm", (1, 2, 3, 4), 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru", "lstm", "transformer", "tcn"])
def test_a_network_learns_to_tell_the_first_symbol(name: str):
    model = get(name, (8,), 4, vocabulary=4, hidden=16, kind="architecture", pooling="last")
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(4, (256, 8), generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), x[:, 0]).backward()
        optimizer.step()
    assert (model(x).argmax(1) == x[:, 0]).float().mean() > 0.9


@pytest.mark.slow
def test_multiplicative_units_follow_symbols_that_act_on_a_state_with_fewer_weights():
    """Each symbol is a permutation of three things; to be told: where the first of them is now."""
    permutations = torch.tensor([[0, 1, 2], [1, 0, 2], [1, 2, 0]])
    x = torch.randint(3, (256, 12), generator=torch.Generator().manual_seed(0))
    place, places = torch.zeros(256, dtype=torch.int64), []
    for t in range(12):
        place = permutations[x[:, t], place]
        places.append(place)
    y = torch.stack(places, 1)

    def trained(name: str, hidden: int) -> tuple[int, float]:
        torch.manual_seed(1)
        network = get(name, (12,), 3, vocabulary=3, embedding=3, per_step=True, hidden=hidden)
        optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
        for _ in range(200):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(x).flatten(0, 1), y.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        return sum(p.numel() for p in network.parameters()), loss.item()

    plain_size, plain = trained("rnn", 9)
    size, multiplicative = trained("mrnn", 5)
    assert size < plain_size
    assert multiplicative < 0.5 * plain
