"""Networks that read one sequence and write another, how they write, and BLEU of what they wrote."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.catalogue.bleu import shared_n_grams, words_13a
from preceptor.catalogue.language import Selection, repeated
from preceptor.errors import ConfigError, DataError, ModelError

NAMES = ("seq2seq", "seq2seq-attention", "seq2seq-transformer")
K, HIDDEN = 7, 8
SOURCE = torch.tensor([[4, 5, 6, 3, 4], [5, 3, 0, 0, 0], [6, 4, 3, 0, 0]])
GIVEN = torch.tensor([[2, 4, 5, 6], [2, 6, 0, 0], [2, 4, 4, 0]])


def network(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(1)
    made = get(name, (5,), K, kind="architecture", hidden=HIDDEN, **options)
    with torch.no_grad():  # what starts small would hide differences
        for p in made.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return made.double().eval()


each = pytest.mark.parametrize("name", NAMES)
cells = pytest.mark.parametrize(
    ("name", "options"),
    [(n, {}) for n in NAMES]
    + [(n, {"cell": c}) for n in NAMES[:2] for c in ("lstm", "rnn")]
    + [("seq2seq", {"layers": 2}), ("seq2seq-attention", {"layers": 2})]
    + [("seq2seq-attention", {"score": "dot-product"}), ("seq2seq-attention", {"reverse": True})]
    + [("seq2seq", {"reverse": True, "embedding": 5, "tied": False})],
)


class TestNetworks:
    @cells
    def test_step_by_step_is_all_at_once(self, name: str, options: dict[str, Any]):
        net = network(name, **options)
        whole = net((SOURCE, GIVEN))
        memory, state = net.begin(SOURCE)
        for t in range(GIVEN.shape[1]):
            logits, state = net.step(GIVEN[:, t], memory, state)
            torch.testing.assert_close(logits, whole[:, t])

    @cells
    def test_padding_of_the_source_changes_nothing(self, name: str, options: dict[str, Any]):
        net = network(name, **options)
        together = net((SOURCE, GIVEN))
        for row, length in enumerate((5, 2, 3)):
            alone = net((SOURCE[row : row + 1, :length], GIVEN[row : row + 1]))
            torch.testing.assert_close(alone[0], together[row])

    @each
    def test_what_comes_later_is_not_seen(self, name: str):
        net, other = network(name), GIVEN.clone()
        other[:, 2:] = 5
        torch.testing.assert_close(net((SOURCE, GIVEN))[:, :2], net((SOURCE, other))[:, :2])

    @each
    def test_encoder_and_decoder_share_nothing(self, name: str):
        net = network(name)
        sides = [
            {p.data_ptr() for part in parts for p in getattr(net, part).parameters()}
            for parts in (("source", "encoder"), ("target", "decoder"))
        ]
        assert sides[0]
        assert sides[1]
        assert not sides[0] & sides[1]

    def test_the_code_is_all_that_the_plain_decoder_has(self):
        net = network("seq2seq")
        embedded = net._embedded(net.source, SOURCE[:1])
        _, code = net.encoder(embedded)
        y, _ = net.decoder(net._embedded(net.target, GIVEN[:1]), code)
        torch.testing.assert_close(net.head(net.readout(y)), net((SOURCE[:1], GIVEN[:1])))

    @pytest.mark.parametrize("name", ["seq2seq-attention", "seq2seq-transformer"])
    @pytest.mark.parametrize("reverse", [False, True])
    def test_attention_sums_to_one_and_leaves_padding_out(self, name: str, reverse: bool):
        looks = network(name, reverse=reverse).align(SOURCE, GIVEN)
        torch.testing.assert_close(looks.sum(-1), torch.ones(3, 4, dtype=torch.float64))
        assert (looks[1, :, 2:] == 0).all()
        assert (looks[2, :, :3] > 0).all()

    def test_a_reversed_source_is_the_source_read_backwards(self):
        plain, turned = network("seq2seq-attention"), network("seq2seq-attention", reverse=True)
        backwards = torch.tensor([[4, 3, 6, 5, 4], [3, 5, 0, 0, 0], [3, 4, 6, 0, 0]])
        torch.testing.assert_close(turned((SOURCE, GIVEN)), plain((backwards, GIVEN)))
        looks = plain.align(backwards, GIVEN)
        torch.testing.assert_close(turned.align(SOURCE, GIVEN)[0], looks[0].flip(-1))
        torch.testing.assert_close(turned.align(SOURCE, GIVEN)[1, :, :2], looks[1, :, :2].flip(-1))

    def test_content_decides_where_is_looked(self):
        net = network("seq2seq-attention")
        annotations, order = torch.randn(1, 5, 2 * HIDDEN).double(), torch.tensor([3, 0, 4, 1, 2])
        x = torch.randn(1, 4, HIDDEN).double()
        outputs, weights, _ = net.decoder(x, annotations)
        moved, turned, _ = net.decoder(x, annotations[:, order])
        torch.testing.assert_close(turned, weights[..., order])
        torch.testing.assert_close(moved, outputs)

    def test_the_plain_network_has_no_alignment(self):
        assert network("seq2seq").align(SOURCE, GIVEN) is None

    def test_a_vocabulary_of_its_own_and_tied_weights(self):
        net = network("seq2seq-attention", vocabulary=11, embedding=6)
        assert net.source.weight.shape == (11, 6)
        assert net.head.weight is net.target.weight
        assert net((SOURCE + 4 * (SOURCE > 0), GIVEN)).shape == (3, 4, K)

    def test_a_label_s_gradient_reaches_the_first_word(self):
        net = network("seq2seq-attention").train()
        net((SOURCE, GIVEN)).sum().backward()
        assert (net.source.weight.grad[5] != 0).any()
        assert (net.source.weight.grad[0] == 0).all()

    @each
    def test_something_else_than_symbols_is_refused(self, name: str):
        net = network(name)
        for x in (SOURCE, (SOURCE.double(), GIVEN), (SOURCE, GIVEN.double())):
            with pytest.raises(ModelError, match="reads and writes symbols"):
                net(x)

    def test_options_that_cannot_be(self):
        with pytest.raises(ConfigError, match="padding"):
            get("seq2seq", (5,), K, padding=K)
        with pytest.raises(ConfigError, match="width of the blocks"):
            get("seq2seq-transformer", (5,), K, hidden=8, embedding=4)
        with pytest.raises(ConfigError, match="score"):
            get("seq2seq-attention", (5,), K, score="cosine")


class TestForcing:
    @pytest.mark.parametrize("name", NAMES)
    def test_at_one_the_truth_is_given_and_at_zero_nothing_of_it(self, name: str):
        net = network(name, dropout=0.0).train()
        true = net((SOURCE, GIVEN))
        get("teacher-forcing", ratio=0.0).attach(net)
        torch.manual_seed(3)
        free = net((SOURCE, GIVEN))
        other = GIVEN.clone()
        other[:, 1:] = 5
        torch.manual_seed(3)
        torch.testing.assert_close(net((SOURCE, other)), free)
        torch.testing.assert_close(free[:, 0], true[:, 0])
        assert not torch.allclose(free[:, 1:], true[:, 1:])
        torch.testing.assert_close(net.eval()((SOURCE, GIVEN)), true)

    def test_the_share_of_true_symbols_is_the_ratio(self, monkeypatch: pytest.MonkeyPatch):
        net = network("seq2seq", dropout=0.0).train()
        get("teacher-forcing", ratio=0.7).attach(net)
        given = torch.full((400, 6), 5)
        given[:, 0] = 2
        seen: list[Tensor] = []
        step = type(net).step
        monkeypatch.setattr(type(net), "step", lambda self, s, m, c: seen.append(s) or step(self, s, m, c))
        monkeypatch.setattr(torch, "multinomial", lambda p, n: torch.full((len(p), n), 6))
        torch.manual_seed(0)
        net((SOURCE[:1].expand(400, -1), given))
        assert float((torch.stack(seen[1:]) == 5).float().mean()) == pytest.approx(0.7, abs=0.03)

    @pytest.mark.parametrize("rule", ["linear", "exponential", "inverse-sigmoid"])
    def test_scheduled_sampling_falls_from_first_to_last(self, rule: str):
        net = network("seq2seq")
        part = get("scheduled-sampling", first=0.9, last=0.2, rule=rule, share=0.5).attach(net)
        assert part.ratio == pytest.approx(0.9)
        part.plan(40)
        ratios = []
        for _ in range(30):
            part.examples(None, torch.zeros(1))
            ratios.append(net.forcing)
            part.after_step(0.1)
        assert ratios[0] == pytest.approx(0.9, abs=1e-9)
        assert ratios[20] == pytest.approx(0.2, abs=1e-9)
        assert all(a >= b for a, b in itertools.pairwise(ratios))
        if rule == "inverse-sigmoid":
            assert ratios[10] == pytest.approx(0.55, abs=1e-9)
        again = get("scheduled-sampling").attach(net)
        again.load_state_dict(part.state_dict())
        assert again.done == 30

    def test_a_network_without_a_decoder_is_refused(self):
        with pytest.raises(ModelError, match="own outputs"):
            get("scheduled-sampling").attach(nn.Linear(2, 2))
        with pytest.raises(ConfigError, match="share"):
            get("scheduled-sampling", share=0.0)


def exhaustive(
    step: Any, end: int, longest: int, symbols: int, penalty: float
) -> list[tuple[float, list[int]]]:
    """Score every sequence that ends within so many symbols."""
    found = []
    for length in range(longest):
        for body in itertools.product([s for s in range(symbols) if s != end], repeat=length):
            total, state, last = 0.0, torch.zeros(1, 0, dtype=torch.long), torch.tensor([0])
            for symbol in (*body, end):
                logits, state = step(last, state)
                total += float(logits.log_softmax(-1)[0, symbol])
                last = torch.tensor([symbol])
            found.append((total / (length + 1) ** penalty, list(body)))
    return sorted(found, key=lambda one: -one[0])


class History(nn.Module):
    """A model of the next symbol that depends on all that was written before."""

    def __init__(self, symbols: int, seed: int) -> None:
        super().__init__()
        self.symbols, self.seed = symbols, seed

    def forward(self, last: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        written = torch.cat([state, last[:, None]], 1)
        rows = []
        for row in written.tolist():
            draw = torch.Generator().manual_seed(self.seed + sum((s + 1) * 31**i for i, s in enumerate(row)))
            rows.append(3 * torch.randn(self.symbols, generator=draw))
        return torch.stack(rows), written


class TestWriting:
    @pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0])
    def test_a_wide_beam_finds_the_best_of_all_sequences(self, penalty: float):
        step, start = History(3, 0), torch.zeros(1, 0, dtype=torch.long)
        best = exhaustive(step, 1, 4, 3, penalty)
        found = get("beam-search", step, start, begin=0, end=1, beam=81, longest=4, length_penalty=penalty)[0]
        ended = [one for one in found if len(one.symbols) < 4]
        assert ended[0].symbols == best[0][1]
        assert ended[0].score == pytest.approx(best[0][0], abs=1e-5)

    def test_a_beam_of_one_is_greedy(self):
        step, start = History(5, 1), torch.zeros(2, 0, dtype=torch.long)
        greedy = get("free-running", step, start, begin=0, end=1, rows=2, longest=9)
        beam = get("beam-search", step, start, begin=0, end=1, rows=2, beam=1, longest=9)
        assert [one[0].symbols for one in beam] == greedy

    @each
    def test_beams_of_a_network_do_not_mix(self, name: str):
        net = network(name)

        def best(rows: Tensor, beam: int) -> list[Any]:
            memory, state = net.begin(rows)
            fixed = repeated(memory, beam)
            step = lambda symbols, state: net.step(symbols, fixed, state)  # noqa: E731
            found = get("beam-search", step, state, begin=2, end=3, rows=len(rows), beam=beam, longest=6)
            return [(one[0].symbols, round(one[0].score, 6)) for one in found]

        with torch.no_grad():
            assert best(SOURCE, 3) == [best(SOURCE[i : i + 1], 3)[0] for i in range(3)]

    @each
    def test_the_score_is_that_of_the_whole_sequence(self, name: str):
        net = network(name)
        memory, state = net.begin(SOURCE[:1])
        step = lambda symbols, state: net.step(symbols, memory, state)  # noqa: E731
        best = get("beam-search", step, state, begin=2, end=3, beam=1, longest=20)[0][0]
        target = torch.tensor([[*best.symbols, 3]])
        given = torch.tensor([[2, *best.symbols]])
        logs = net((SOURCE[:1], given)).log_softmax(-1).gather(-1, target[..., None])
        if len(best.symbols) < 20:
            assert best.score == pytest.approx(float(logs.mean()), abs=1e-5)

    def test_all_stop_at_the_end(self):
        table = torch.eye(4).roll(1, 1) * 50
        step = lambda y, s: (table[y], s)  # noqa: E731
        assert get("free-running", step, None, begin=0, end=3, longest=9) == [[1, 2]]
        drawn = get("free-running", step, None, begin=0, end=3, choose=Selection(1.0), longest=9)
        assert drawn == [[1, 2]]
        assert get("beam-search", step, None, begin=0, end=3, beam=2, longest=9)[0][0].symbols == [1, 2]
        assert get("free-running", step, None, begin=0, end=None, longest=5) == [[1, 2, 3, 0, 1]]

    def test_length_normalisation_prefers_longer_sequences(self):
        logs = torch.tensor([[0.0, 0.6, 0.0, 0.4], [0.0, 0.0, 0.6, 0.4], [0, 0, 0, 1.0], [0, 0, 0, 1.0]])
        step = lambda y, s: ((logs[y] + 1e-9).log(), s)  # noqa: E731
        lengths = [
            len(get("beam-search", step, None, begin=0, end=3, beam=4, length_penalty=p)[0][0].symbols)
            for p in (0.0, 2.0)
        ]
        assert lengths == [0, 2]

    def test_numbers_that_cannot_be(self):
        for option in ({"beam": 0}, {"longest": 0}, {"length_penalty": -1.0}):
            with pytest.raises(ConfigError, match=next(iter(option))):
                get("beam-search", lambda y, s: (y, s), None, **option)


CANDIDATES = (
    "It is a guide to action which ensures that the military always obeys the commands of the party",
    "It is to insure the troops forever hearing the activity guidebook that party direct",
)
REFERENCES = (
    "It is a guide to action that ensures that the military will forever heed Party commands",
    "It is the guiding principle which guarantees the military forces always being under the command of the "
    "Party",
    "It is the practical guide for the army always to heed the directions of the party",
)


class TestWordByWord:
    def test_it_is_the_largest_dice_coefficient(self):
        draw = torch.Generator().manual_seed(0)
        sources, targets = (
            [torch.randint(low, low + 6, (5,), generator=draw).tolist() for _ in range(40)] for low in (0, 2)
        )
        best = get("w-baseline", sources, targets)
        for s in range(6):
            scores = {}
            for t in range(2, 8):
                both = sum(s in a and t in b for a, b in zip(sources, targets, strict=True))
                scores[t] = 2 * both / (sum(s in a for a in sources) + sum(t in b for b in targets))
            assert scores[int(best[s])] == pytest.approx(max(scores.values()))

    def test_order_and_length_stay_by_construction(self):
        best = get("word-by-word-translation", [[4, 5], [4], [9]], [[7, 8], [8], [1]], hidden=(1, 9))
        assert best[[4, 5]].tolist() == [8, 7]
        assert best[9] == -1
        with pytest.raises(DataError, match="0 sources"):
            get("word-by-word", [], [])


class TestBleu:
    def test_the_shares_of_the_paper(self):
        # Papineni et al. 2002, examples 1 and 2: modified precisions of words and pairs of words.
        first, second = (shared_n_grams(text, REFERENCES, 2) for text in CANDIDATES)
        assert (first[0], first[2], first[1], first[3]) == (17, 18, 10, 17)
        assert (second[0], second[2], second[1], second[3]) == (8, 14, 1, 13)
        the = shared_n_grams("the the the the the the the", ("The cat is on the mat",), 1)
        assert shared_n_grams(
            " ".join(["the"] * 7), ("the cat is on the mat", "there is a cat on the mat"), 1
        )[:2] == [2, 7]
        assert the[:2] == [1, 7]

    def test_by_hand(self):
        metric = get("bleu")
        metric.update([["a", "b", "c", "d", "x"], ["e", "f", "g", "h"]], [list("abcde"), list("efghi")])
        # 8/9 words, 6/7 pairs, 4/5, 2/3; 9 words where the references have 10
        shares = [8 / 9, 6 / 7, 4 / 5, 2 / 3]
        assert metric.precisions == pytest.approx(shares)
        assert metric.brevity_penalty == pytest.approx(math.exp(1 - 10 / 9))
        expected = 100 * math.exp(1 - 10 / 9) * math.prod(shares) ** 0.25
        assert metric.compute() == pytest.approx(expected, rel=1e-12)

    def test_the_nearest_reference_decides_the_brevity(self):
        assert shared_n_grams(list("abcd"), (list("abcdef"), list("ab"), list("abc")))[-2:] == [4, 3]
        assert (
            shared_n_grams(list("abcd"), (list("abcde"), list("abc")))[-1] == 3
        )  # of two as near the shorter

    def test_a_corpus_is_no_mean_of_sentences(self):
        pairs = [
            ("the cat sat on the mat", "the cat sat on the mat"),
            ("a dog runs fast", "the dog ran fast"),
        ]
        whole, parts = get("bleu"), []
        whole.update([p[0] for p in pairs], [p[1] for p in pairs])
        for translation, reference in pairs:
            one = get("bleu")
            one.update([translation], [reference])
            parts.append(one.compute())
        assert parts == [pytest.approx(100.0), 0.0]
        assert 0 < whole.compute() < 100
        assert whole.compute() != pytest.approx(sum(parts) / 2)

    def test_it_is_that_of_an_independent_count(self):
        words = ["a", "b", "c", "d"]
        draw = torch.Generator().manual_seed(4)

        def text() -> list[str]:
            size = int(torch.randint(5, 12, (), generator=draw))
            return [words[int(i)] for i in torch.randint(4, (size,), generator=draw)]

        said, wanted = [text() for _ in range(30)], [text() for _ in range(30)]
        shares = []
        for n in range(1, 5):
            matched = total = 0
            for a, b in zip(said, wanted, strict=True):
                own, other = (Counter(tuple(t[i : i + n]) for i in range(len(t) - n + 1)) for t in (a, b))
                matched += sum(min(count, other[gram]) for gram, count in own.items())
                total += sum(own.values())
            shares.append(matched / total)
        c, r = sum(map(len, said)), sum(map(len, wanted))
        expected = 100 * min(1.0, math.exp(1 - r / c)) * math.exp(sum(map(math.log, shares)) / 4)
        metric = get("bleu")
        metric.update(said, wanted)
        assert metric.compute() == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("smoothing", ["none", "exponential"])
    def test_it_is_sacrebleu_s(self, smoothing: str):
        sacrebleu = pytest.importorskip("sacrebleu")
        said, wanted = [CANDIDATES[0], "A man, 35, rides (slowly)."], [REFERENCES[0], "A 35-year-old rides."]
        for rows in (slice(None), slice(1, 2)):
            metric = get("bleu", smoothing=smoothing)
            metric.update(said[rows], wanted[rows])
            method = {"none": "none", "exponential": "exp"}[smoothing]
            theirs = sacrebleu.corpus_bleu(said[rows], [wanted[rows]], smooth_method=method)
            assert metric.compute() == pytest.approx(theirs.score, abs=1e-9)

    def test_words_are_those_of_the_standard(self):
        said = "He said: \"It's 3.5% of $1,000-2,000&amp;more\", didn't he? (No-one.)"
        assert " ".join(words_13a(said)) == (
            "He said : \" It's 3.5 % of $ 1,000 - 2,000 & more \" , didn't he ? ( No-one . )"
        )

    def test_smoothing_halves_with_each_share_that_is_missing(self):
        metric = get("bleu", smoothing="exponential")
        metric.update([list("abcxe")], [list("abcde")])
        assert metric.precisions == pytest.approx([4 / 5, 2 / 4, 1 / 3, (1 / 2) / 2])
        assert get("bleu").compute() != get("bleu").compute()

    def test_what_does_not_pair_up_is_refused(self):
        with pytest.raises(DataError, match="1 translations, 2 references"):
            get("bleu").update(["a"], ["a", "b"])
        with pytest.raises(ConfigError, match="smoothing"):
            get("bleu", smoothing="floor")
