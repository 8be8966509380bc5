"""Attention and transformer blocks against torch's, masks, and what order and padding may change."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue import get
from preceptor.catalogue.layers.attention import _scaled, causal_mask, padding_mask
from preceptor.errors import ConfigError, ModelError

F64 = torch.float64


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def some(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=F64)


class TestScores:
    def test_additive_attention_is_a_loop(self):
        attention = get("additive-attention", 3, 4, hidden=5).double()
        s, h = some(1, 2, 3), some(1, 6, 4)
        W, U, v = attention.query.weight, attention.key.weight, attention.score.weight[0]
        context, weights = attention(s, h)
        for i in range(2):
            e = torch.stack([v @ (W @ s[0, i] + U @ h[0, j]).tanh() for j in range(6)])
            a = e.exp() / e.exp().sum()
            torch.testing.assert_close(weights[0, i], a)
            torch.testing.assert_close(context[0, i], sum(a[j] * h[0, j] for j in range(6)))

    @pytest.mark.parametrize("name", ["bahdanau-attention", "scaled-dot-product-attention"])
    def test_rows_sum_to_1_padding_gets_0_and_content_is_the_address(self, name: str):
        attention = get(name, *([4, 4] if name.startswith("b") else [])).double()
        queries, keys = some(2, 3, 4), some(2, 5, 4)
        mask = padding_mask(torch.tensor([5, 2]), 5)
        context, weights = attention(queries, keys, mask=mask)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, dtype=F64))
        assert (weights[1, :, 2:] == 0).all()
        assert (weights[1, :, :2] > 0).all()
        order = torch.randperm(5)
        moved, permuted = attention(queries, keys[:, order], mask=mask[..., order])
        torch.testing.assert_close(permuted, weights[..., order])
        torch.testing.assert_close(moved, context)
        with pytest.raises(ModelError, match="booleans that spread"):
            attention(queries, keys, mask=mask.float())

    def test_dot_products_are_torch_s(self):
        q, k, v = some(2, 3, 4), some(2, 5, 4), some(2, 5, 6)
        mask = torch.rand(2, 3, 5) > 0.3
        mask[..., 0] = True
        expected = functional.scaled_dot_product_attention(q, k, v, mask)
        torch.testing.assert_close(get("dot-product-attention")(q, k, v, mask)[0], expected)


def _like_torch(mine: nn.Module, theirs: nn.MultiheadAttention) -> None:
    with torch.no_grad():
        theirs.in_proj_weight.copy_(mine.input.weight)
        theirs.in_proj_bias.copy_(mine.input.bias)
        theirs.out_proj.weight.copy_(mine.output.weight)
        theirs.out_proj.bias.copy_(mine.output.bias)


@pytest.mark.parametrize("masked", ["causal", "padded", "none"])
@pytest.mark.parametrize("steps", [40, 257])
def test_bfloat16_on_a_cpu_gives_what_the_fused_kernel_gives(masked: str, steps: int) -> None:
    torch.manual_seed(0)
    exact = [torch.randn(2, 2, steps, 16, requires_grad=True) for _ in range(3)]
    rounded = [part.detach().bfloat16().requires_grad_() for part in exact]
    mask = padding_mask(torch.tensor([steps, 7]), steps)[:, None] if masked == "padded" else None
    causal = masked == "causal"
    expected = functional.scaled_dot_product_attention(*exact, attn_mask=mask, is_causal=causal)
    received = _scaled(*rounded, mask, 0.0, causal)
    assert received.dtype == torch.bfloat16
    torch.testing.assert_close(received.float(), expected, atol=0.03, rtol=0.02)
    slopes = torch.autograd.grad(received.float().square().sum(), rounded)
    for slope, true in zip(slopes, torch.autograd.grad(expected.square().sum(), exact), strict=True):
        assert (slope - true).norm() < 0.02 * true.norm()


class TestMultiHead:
    @pytest.mark.parametrize("causal", [False, True])
    def test_it_is_torch_s(self, causal: bool):
        mine = get("multi-head-attention", 8, heads=2, causal=causal).double()
        theirs = nn.MultiheadAttention(8, 2, batch_first=True, dtype=F64)
        _like_torch(mine, theirs)
        x, lengths = some(3, 5, 8), torch.tensor([5, 3, 1])
        beyond = ~causal_mask(5, 5) if causal else None
        y, a = theirs(x, x, x, attn_mask=beyond, average_attn_weights=False)
        torch.testing.assert_close(mine(x)[0], y)
        torch.testing.assert_close(mine.weights(x), a)
        mask = padding_mask(lengths, 5)
        y, a = theirs(x, x, x, ~mask[:, 0], attn_mask=beyond, average_attn_weights=False)
        torch.testing.assert_close(mine(x, mask=mask)[0], y)
        torch.testing.assert_close(mine.weights(x, mask=mask), a)

    def test_a_memory_is_read_as_by_torch(self):
        mine = get("mha", 8, heads=4).double()
        theirs = nn.MultiheadAttention(8, 4, batch_first=True, dtype=F64)
        _like_torch(mine, theirs)
        x, memory, mask = some(2, 3, 8), some(2, 6, 8), padding_mask(torch.tensor([6, 2]), 6)
        torch.testing.assert_close(mine(x, memory)[0], theirs(x, memory, memory)[0])
        torch.testing.assert_close(mine(x, memory, mask)[0], theirs(x, memory, memory, ~mask[:, 0])[0])

    def test_steps_carried_on_equal_the_whole(self):
        attention = get("multi-head-attention", 8, heads=2, causal=True).double()
        x = some(2, 6, 8)
        first, state = attention(x[:, :2])
        second, state = attention(x[:, 2:5], state=state)
        third, state = attention(x[:, 5:], state=state)
        torch.testing.assert_close(torch.cat([first, second, third], 1), attention(x)[0])
        assert state[0].shape == (2, 2, 6, 4)

    def test_heads_must_divide_the_width(self):
        with pytest.raises(ConfigError, match="do not divide"):
            get("multi-head-attention", 8, heads=3)


class TestPositions:
    def test_waves_are_those_of_the_paper(self):
        y = get("positional-encoding")(torch.zeros(1, 7, 6, dtype=F64))[0]
        for t in (0, 3, 6):
            for i in range(3):
                angle = torch.tensor(t / 10_000 ** (2 * i / 6))
                assert y[t, 2 * i].item() == pytest.approx(angle.sin().item(), abs=1e-6)
                assert y[t, 2 * i + 1].item() == pytest.approx(angle.cos().item(), abs=1e-6)

    def test_a_start_goes_on_where_the_last_piece_ended(self):
        x = some(2, 7, 5)
        for positions in (get("sinusoidal-positions"), get("learned-positions", 5, 7).double()):
            whole = positions(x)
            torch.testing.assert_close(torch.cat([positions(x[:, :4]), positions(x[:, 4:], 4)], 1), whole)

    def test_a_table_has_an_end(self):
        with pytest.raises(ModelError, match="at most 7 steps"):
            get("position-embedding", 4, 7)(torch.zeros(1, 1, 4), 7)


class TestBlocks:
    def test_an_encoder_block_is_torch_s(self):
        mine = get("transformer-encoder-block", 8, heads=2, expansion=3).double()
        theirs = nn.TransformerEncoderLayer(
            8, 2, 24, 0.0, "gelu", batch_first=True, norm_first=True, dtype=F64
        )
        _like_torch(mine.attention, theirs.self_attn)
        _copy(mine.attention_norm, theirs.norm1)
        _copy(mine.network[0], theirs.norm2)
        _copy(mine.network[1], theirs.linear1)
        _copy(mine.network[3], theirs.linear2)
        x, mask = some(2, 5, 8), padding_mask(torch.tensor([5, 3]), 5)
        expected = theirs(x, src_key_padding_mask=~mask[:, 0])
        torch.testing.assert_close(mine(x, mask)[0][1, :3], expected[1, :3])
        torch.testing.assert_close(mine(x, mask)[0][0], expected[0])

    def test_a_decoder_block_is_torch_s(self):
        mine = get("transformer-decoder-block", 8, heads=2).double()
        theirs = nn.TransformerDecoderLayer(
            8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True, dtype=F64
        )
        _like_torch(mine.attention, theirs.self_attn)
        _like_torch(mine.reading, theirs.multihead_attn)
        _copy(mine.attention_norm, theirs.norm1)
        _copy(mine.reading_norm, theirs.norm2)
        _copy(mine.network[0], theirs.norm3)
        _copy(mine.network[1], theirs.linear1)
        _copy(mine.network[3], theirs.linear2)
        x, memory, mask = some(2, 4, 8), some(2, 5, 8), padding_mask(torch.tensor([5, 3]), 5)
        expected = theirs(x, memory, ~causal_mask(4, 4), memory_key_padding_mask=~mask[:, 0])
        y, _ = mine(x, memory, mask)
        torch.testing.assert_close(y, expected)
        first, state = mine(x[:, :3], memory, mask)
        second, _ = mine(x[:, 3:], memory, mask, state)
        torch.testing.assert_close(torch.cat([first, second], 1), expected)

    def test_a_stack_of_decoders_reads_a_memory_and_is_causal(self):
        stack = get("transformer-stack", 8, layers=3, decoder=True).double()
        x, memory = some(1, 5, 8).requires_grad_(), some(1, 4, 8).requires_grad_()
        stack(x, memory, None)[0][:, 2, 0].sum().backward()  # a sum over all units is fixed by the norm
        assert (x.grad[:, 3:] == 0).all()
        assert (x.grad[:, :3] != 0).any(-1).all()
        assert (memory.grad != 0).any(-1).all()


def _copy(mine: nn.Module, theirs: nn.Module) -> None:
    with torch.no_grad():
        for p in mine.parameters():
            p.add_(0.1 * torch.randn_like(p))  # normalisations start as the identity
    theirs.load_state_dict(mine.state_dict())


class TestAttentionRecurrence:
    @pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
    def test_every_step_reads_with_the_state_before_it(self, cell: str):
        layer = get("attention-rnn", 3, 4, memory_size=5, cell=cell).double()
        x, h = some(2, 3, 3), some(2, 6, 5)
        mask = padding_mask(torch.tensor([6, 2]), 6)
        outputs, weights, end = layer(x, h, mask)
        state = layer.cell.start(x[:, 0])
        for t in range(3):
            s = state[0] if cell == "lstm" else state
            context, a = layer.attention(s[:, None], h, mask=mask)
            state = layer.cell(torch.cat([x[:, t], context[:, 0]], 1), state)
            s = state[0] if cell == "lstm" else state
            torch.testing.assert_close(outputs[:, t], torch.cat([s, context[:, 0]], 1))
            torch.testing.assert_close(weights[:, t], a[:, 0])
        assert (weights[1, :, 2:] == 0).all()
        first, _, middle = layer(x[:, :1], h, mask)
        second, _, last = layer(x[:, 1:], h, mask, middle)
        torch.testing.assert_close(torch.cat([first, second], 1), outputs)
        torch.testing.assert_close(last, end)
