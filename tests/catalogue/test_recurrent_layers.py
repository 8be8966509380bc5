"""Recurrent cells and layers against torch's, against loops, and against the textbooks' gate tables."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.catalogue.derivatives import truncated_bptt
from preceptor.catalogue.layers.recurrent import LAYERS
from preceptor.errors import ConfigError, DataError

F64 = torch.float64
LENGTHS = torch.tensor([5, 2, 1])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def layer(name: str, *sizes: int, **options: object) -> nn.Module:
    return LAYERS[name](*sizes, **options).double()


class TestCells:
    @pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "none"])
    def test_elman_s_is_a_loop(self, nonlinearity: str):
        cell = get("rnn-cell", 3, 4, nonlinearity=nonlinearity).double()
        x, h = torch.randn(2, 3, dtype=F64), torch.randn(2, 4, dtype=F64)
        phi = {"tanh": math.tanh, "relu": lambda z: max(z, 0.0), "none": lambda z: z}[nonlinearity]
        U, W, b = cell.weight_ih.tolist(), cell.weight_hh.tolist(), cell.bias.tolist()
        by_hand = [
            [
                phi(
                    b[i]
                    + sum(U[i][j] * float(x[n, j]) for j in range(3))
                    + sum(W[i][j] * float(h[n, j]) for j in range(4))
                )
                for i in range(4)
            ]
            for n in range(2)
        ]
        torch.testing.assert_close(cell(x, h), torch.tensor(by_hand, dtype=F64))

    def test_textbook_counts_have_one_bias_and_torch_s_two(self):
        assert parameters(get("lstm-cell", 4, 5)) == 200
        assert parameters(nn.LSTM(4, 5)) == parameters(get("lstm-layer", 4, 5)) == 220
        assert parameters(get("gru-cell", 4, 5)) == 150
        assert parameters(nn.GRU(4, 5)) == parameters(get("gru-layer", 4, 5)) == 165
        assert parameters(get("gru-layer", 4, 5, reset="before")) == 150
        assert parameters(get("rnn-cell", 4, 5)) == 50

    @pytest.mark.parametrize(("name", "torch_s"), [("gru-cell", nn.GRUCell), ("lstm-cell", nn.LSTMCell)])
    def test_gates_are_those_of_torch(self, name: str, torch_s: type[nn.Module]):
        options = {"reset": "after"} if name == "gru-cell" else {}
        cell, other = get(name, 3, 4, **options), torch_s(3, 4)
        with torch.no_grad():
            other.weight_ih.copy_(cell.weight_ih)
            other.weight_hh.copy_(cell.weight_hh)
            other.bias_ih.copy_(cell.bias)
            other.bias_hh.zero_()
        x, h = torch.randn(2, 3), torch.randn(2, 4)
        state = (h, torch.randn(2, 4)) if name == "lstm-cell" else h
        torch.testing.assert_close(cell(x, state), other(x, state))

    def test_the_two_forms_of_a_gru_differ_by_where_the_reset_gate_acts(self):
        before, after = get("gru-cell", 3, 4).double(), get("gru-cell", 3, 4, reset="after").double()
        after.load_state_dict(before.state_dict())
        x, h = torch.randn(2, 3, dtype=F64), torch.randn(2, 4, dtype=F64)
        assert not torch.allclose(before(x, h), after(x, h))
        W, U, b = before.weight_ih, before.weight_hh, before.bias
        r, z = ((x @ W[:8].T + h @ U[:8].T + b[:8]).sigmoid()).chunk(2, 1)
        n = (x @ W[8:].T + (r * h) @ U[8:].T + b[8:]).tanh()
        torch.testing.assert_close(before(x, h), (1 - z) * n + z * h)
        with torch.no_grad():  # a reset gate that is open leaves one form
            for cell in (before, after):
                cell.bias[:4] = 1e3
        torch.testing.assert_close(before(x, h), after(x, h))

    @pytest.mark.parametrize(
        ("i", "f", "expected"), [(0, 1, 0.7), (1, 1, 0.7 + 0.5), (0, 0, 0.0), (1, 0, 0.5)]
    )
    def test_gates_of_an_lstm_keep_add_erase_and_overwrite(self, i: int, f: int, expected: float):
        cell = get("lstm-cell", 1, 1).double()
        with torch.no_grad():
            for p in cell.parameters():
                p.zero_()
            cell.bias.copy_(torch.tensor([800.0 * (2 * i - 1), 800.0 * (2 * f - 1), math.atanh(0.5), 800.0]))
        state = torch.zeros(1, 1, dtype=F64), torch.tensor([[0.7]], dtype=F64)
        h, C = cell(torch.zeros(1, 1, dtype=F64), state)
        assert C.item() == pytest.approx(expected, abs=1e-7)
        assert h.item() == pytest.approx(math.tanh(expected), abs=1e-7)

    def test_forget_gates_start_open(self):
        assert (get("lstm-cell", 2, 3).bias[3:6] == 1).all()
        layers = get("lstm-layer", 2, 3, layers=2, bidirectional=True, forget_bias=2.0).recurrence
        for at in ("l0", "l0_reverse", "l1", "l1_reverse"):
            both = getattr(layers, f"bias_ih_{at}") + getattr(layers, f"bias_hh_{at}")
            assert (both[3:6] == 2).all()

    def test_a_multiplicative_cell_has_a_transition_matrix_for_every_input(self):
        cell = get("mrnn-cell", 3, 4, factors=6).double()
        x, h = torch.randn(2, 3, dtype=F64), torch.randn(2, 4, dtype=F64)
        W = cell.transition(x)
        assert not torch.allclose(W[0], W[1])
        by_matrix = (x @ cell.weight_ih.T + cell.bias + (W @ h[..., None])[..., 0]).tanh()
        torch.testing.assert_close(cell(x, h), by_matrix)
        layer_of_it = get("mrnn-layer", 3, 4, factors=6).double()
        layer_of_it.recurrence.cells[0].load_state_dict(cell.state_dict())
        torch.testing.assert_close(layer_of_it(x[:, None], h[None])[0][:, 0], by_matrix)
        diagonal = torch.diag(cell.weight_fx @ x[0])
        torch.testing.assert_close(W[0], cell.weight_hh @ diagonal @ cell.weight_fh)

    def test_sizes_and_choices_are_checked(self):
        for name in ("rnn-cell", "gru-cell", "lstm-cell", "mrnn-cell"):
            with pytest.raises(ConfigError, match="hidden_size"):
                get(name, 3, 0)
        with pytest.raises(ConfigError, match="'before' or 'after'"):
            get("gru-cell", 3, 4, reset="never")
        with pytest.raises(ConfigError, match="'tanh' or 'relu' or 'none'"):
            get("rnn-layer", 3, 4, nonlinearity="sine")


class TestLayers:
    def test_fused_layers_are_torch_s(self):
        x = torch.randn(3, 5, 4)
        for name, kind in (("rnn", nn.RNN), ("gru", nn.GRU), ("lstm", nn.LSTM)):
            made = LAYERS[name](4, 6, layers=2, bidirectional=True)
            assert type(made.recurrence) is kind
            other = kind(4, 6, num_layers=2, bidirectional=True, batch_first=True)
            other.load_state_dict(made.recurrence.state_dict())
            torch.testing.assert_close(made(x), other(x))

    @pytest.mark.parametrize("bidirectional", [False, True])
    def test_own_cells_unrolled_equal_the_fused_kernel(self, bidirectional: bool):
        own = get("gru-layer", 4, 6, reset="before", layers=2, bidirectional=bidirectional).double()
        fused = get("gru-layer", 4, 6, layers=2, bidirectional=bidirectional).double().recurrence
        suffixes = [f"l{i}{end}" for i in range(2) for end in ("", "_reverse")[: 1 + bidirectional]]
        with torch.no_grad():
            for cell, at in zip(own.recurrence.cells, suffixes, strict=True):
                cell.reset = "after"
                cell.weight_ih.copy_(getattr(fused, f"weight_ih_{at}"))
                cell.weight_hh.copy_(getattr(fused, f"weight_hh_{at}"))
                cell.bias.copy_(getattr(fused, f"bias_ih_{at}"))
                getattr(fused, f"bias_hh_{at}").zero_()
        x = torch.randn(3, 5, 4, dtype=F64)
        torch.testing.assert_close(own(x), fused(x))
        packed = nn.utils.rnn.pack_padded_sequence(x, LENGTHS, batch_first=True)
        y, state = fused(packed)
        expected = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)[0], state
        torch.testing.assert_close(own(x, None, LENGTHS), expected)

    def test_a_stack_is_two_layers_in_sequence(self):
        stack = get("stacked-rnn", 3, 4, layers=2).double().recurrence
        first, second = (nn.RNN(n, 4, batch_first=True).double() for n in (3, 4))
        for at, single in enumerate((first, second)):
            for name, p in single.named_parameters():
                p.data.copy_(getattr(stack, name.replace("l0", f"l{at}")))
        x = torch.randn(2, 5, 3, dtype=F64)
        torch.testing.assert_close(stack(x)[0], second(first(x)[0])[0])

    @pytest.mark.parametrize("bidirectional", [False, True])
    @pytest.mark.parametrize("name", LAYERS)
    def test_padding_changes_nothing_in_either_direction(self, name: str, bidirectional: bool):
        made = layer(name, 3, 4, layers=2, bidirectional=bidirectional)
        x = torch.randn(3, 5, 3, dtype=F64)
        y, state = made(x, lengths=LENGTHS)
        for n, T in enumerate(LENGTHS.tolist()):
            alone, end = made(x[n : n + 1, :T])
            torch.testing.assert_close(y[n : n + 1, :T], alone)
            assert (y[n, T:] == 0).all()
            parts, ends = (state, end) if name == "lstm" else ((state,), (end,))
            for part, own in zip(parts, ends, strict=True):
                torch.testing.assert_close(part[:, n : n + 1], own)

    @pytest.mark.parametrize("name", LAYERS)
    def test_a_sequence_may_come_in_pieces(self, name: str):
        made, x = layer(name, 3, 4, layers=2), torch.randn(2, 7, 3, dtype=F64)
        whole, end = made(x)
        pieces, states = zip(*truncated_bptt(made, x, length=3), strict=True)
        torch.testing.assert_close(torch.cat(pieces, 1), whole)
        torch.testing.assert_close(states[-1], end)

    def test_truncation_cuts_the_gradient_and_not_the_value(self):
        made, x = layer("gru", 3, 4), torch.randn(1, 6, 3, dtype=F64).requires_grad_()
        *_, (y, _) = truncated_bptt(made, x, length=4)
        y[:, -1].sum().backward()
        assert (x.grad[:, :4] == 0).all()
        assert (x.grad[:, 4:] != 0).all()
        x.grad = None
        made(x)[0][:, -1].sum().backward()
        assert (x.grad != 0).all()

    def test_an_annotation_depends_on_what_comes_later(self):
        x = torch.randn(1, 5, 3)
        other = x.clone()
        other[:, 4] += 1
        both = get("bidirectional-encoder", 3, 4)
        assert not torch.allclose(both(x)[0][:, 0], both(other)[0][:, 0])
        one = get("gru-layer", 3, 4)
        assert torch.equal(one(x)[0][:, 0], one(other)[0][:, 0])

    def test_an_identity_rnn_hands_its_state_on(self):
        made = get("irnn-layer", 3, 4).recurrence
        assert torch.equal(made.weight_hh_l0, torch.eye(4))
        assert (made.bias_ih_l0 + made.bias_hh_l0 == 0).all()
        state = torch.rand(1, 1, 4)
        y, _ = made(torch.zeros(1, 100, 3), state)
        assert torch.equal(y[:, -1], state[0])

    def test_a_linear_recurrence_is_one_matrix(self):
        made = layer("rnn", 3, 4, nonlinearity="none")
        W = made.recurrence.cells[0].weight_hh
        h = torch.randn(1, 1, 4, dtype=F64)
        moved = [made(torch.zeros(1, 6, 3, dtype=F64), state)[0][0, -1] for state in (h, torch.zeros_like(h))]
        torch.testing.assert_close(moved[0] - moved[1], torch.linalg.matrix_power(W, 6) @ h[0, 0])

    def test_dropped_weights_are_the_same_at_every_step_and_whole_afterwards(self):
        for name in ("lstm", "mrnn"):
            made = LAYERS[name](3, 8, weight_dropout=0.5)
            before = {k: v.clone() for k, v in made.state_dict().items()}
            x = torch.randn(2, 4, 3)
            first = made.train()(x)[0]
            assert not torch.equal(first, made(x)[0])
            first.sum().backward()
            recurrent = next(p for n, p in made.named_parameters() if "weight_hh" in n)
            assert 0 < int((recurrent.grad == 0).sum()) < recurrent.numel()
            assert all(torch.equal(v, before[k]) for k, v in made.state_dict().items())
            assert torch.equal(made.eval()(x)[0], made(x)[0])

    @pytest.mark.parametrize("lengths", [[5, 2], [5, 0, 1], [6, 2, 1], [5.0, 2.0, 1.0]])
    def test_lengths_must_suit_the_sequences(self, lengths: list[float]):
        with pytest.raises(DataError, match="3 integers from 1 to 5"):
            layer("gru", 3, 4)(torch.zeros(3, 5, 3, dtype=F64), lengths=torch.tensor(lengths))


class TestOverTime:
    def test_reversal_leaves_padding_where_it_was(self):
        turn = get("input-reversal")
        x = torch.tensor([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8]])
        lengths = torch.tensor([3, 5])
        assert turn(x, lengths).tolist() == [[3, 2, 1, 0, 0], [8, 7, 6, 5, 4]]
        assert torch.equal(turn(turn(x, lengths), lengths), x)
        assert torch.equal(turn(x), x.flip(1))
        features = torch.randn(2, 5, 3)
        backwards = turn(features, lengths)
        torch.testing.assert_close(backwards[0, :3], features[0, :3].flip(0))
        torch.testing.assert_close(backwards[0, 3:], features[0, 3:])

    def test_variational_dropout_has_one_mask_for_all_steps(self):
        drop = get("variational-dropout", p=0.25)
        y = drop(torch.ones(400, 3, 10))
        assert torch.equal(y[:, 0], y[:, 2])
        assert (y == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
        torch.testing.assert_close(y.unique(), torch.tensor([0.0, 4 / 3]))
        last = drop(torch.ones(400, 10))
        assert not (last == 0).all(1).any()
        x = torch.randn(2, 3, 4)
        assert drop.eval()(x) is x

    def test_progressive_lengths_grow_to_the_last(self):
        steps = [get("length-schedule", s, total=200, first=5, last=80, share=0.5) for s in range(200)]
        assert steps[0] == 5
        assert set(steps[100:]) == {80}
        assert steps == sorted(steps)
        half = get("progressive-learning", 50, total=200, first=5, last=80, share=0.5, rule="geometric")
        assert half == 20
        with pytest.raises(ConfigError, match="share"):
            get("length-schedule", 0, share=0.0)
