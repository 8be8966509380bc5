"""What a report shows of a text: escaped, coloured by surprise, and no longer than it may be."""

from __future__ import annotations

from preceptor.report import Summary, render
from preceptor.report.text import Compared, Passage, Sample, TextSummary, view


def summary(text: TextSummary) -> Summary:
    return Summary(
        "a text", None, "what comes next", "perplexity", "a text", "finished", [], None, "val_loss", text=text
    )


def test_markup_of_the_text_is_shown_and_not_obeyed():
    text = TextSummary(
        "validation",
        compared=(Compared("<i>lstm</i>", 1.0, 1.44), Compared("impossible", 1e4, 1e4)),
        samples=(Sample("after epoch 1", "<script>alert(1)</script>\x00\nnext"),),
        passages=(Passage(40, "<b>", (("<", 0.5), ("\n", 13.0), ("&", 5.9))),),
        notes=("val: <unk>",),
    )
    page = render(summary(text))
    for raw in ("<i>lstm", "<script>alert", "<b>", "<unk>", "\x00"):
        assert raw not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "∞" in page
    assert "There are no predictions" not in page


def test_the_colour_says_how_improbable_a_symbol_was():
    shown = view(TextSummary("test", passages=(Passage(3, "", (("a", 0.0), ("b", 6.1), ("c", 99.0))),)))
    assert shown
    (passage,) = shown["passages"]
    assert [level for _, level, _ in passage["symbols"]] == [0, 3, 5]
    assert passage["title"] == "symbol 3, 35.0 bits a symbol"
    assert view(None) is None


def test_a_long_sample_is_cut():
    page = render(summary(TextSummary("test", samples=(Sample("long", "x" * 900_000),))))
    assert len(page.encode()) < 500_000
