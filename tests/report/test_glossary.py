"""The glossary: every usual word is found, says something, and leads somewhere."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from preceptor import catalogue
from preceptor.errors import UnknownName
from preceptor.report._words import Words
from preceptor.report.glossary import FAMILIES, TERMS, explained, spoken, symbols, term
from preceptor.report.glossary.pages import pages
from preceptor.training.experiment import Experiment

DOCS = Path(__file__).resolve().parents[2] / "docs"
WRITE = "python -m preceptor.report.glossary.pages docs"

# What introductions to the field use without ado.
USUAL = """
accuracy, activation function, AdaGrad, Adam, adaptive learning rates, AlexNet, annotation, anomaly
detection, attention weights, autoencoder, autoregressive, average pooling, backpropagation, bagging,
baseline, batch normalization, batch size, beam search, BFGS, bias, bias correction, binary cross-entropy,
BPTT, capacity, causal convolution, cell state, chain rule, channel, class, classification, co-adaptation,
co-occurrence matrix, computational graph, condition number, conditional log-likelihood, content-based
addressing, context vector, convex, convolution, cost function, covariate shift, cross-correlation,
cross-entropy, cross-validation, curvature, damping factor, data augmentation, data leakage, data sparsity,
data-generating distribution, dead ReLU, decoder, denoising, density estimation, depth, design matrix,
dilated convolution, distributed representation, double descent, dropconnect, dropout, early stopping, ELU,
embedding, empirical risk, encoder, end-to-end, ensemble, epoch, exploding gradient, exponential decay rate,
fan-in, fan-out, feature, feature map, feature reuse, feedforward network, filter, fine-tuning, flops,
forget gate, forward pass, fully connected layer, gap, Gauss-Newton, generalization, global minimum, GloVe,
GoogLeNet, gradient, gradient clipping, gradient descent, grid search, ground truth, growth rate, GRU,
Hadamard product, He-normal, Hessian, hidden state, hidden unit, hinge, hyperparameter, i.i.d., imputation,
inception, inference, initialization, input gate, internal covariate shift, inverted dropout, iteration,
Jacobian, keep probability, kernel, L-BFGS, L1, L2, label, label smoothing, language model, layer, leaky
ReLU, learning curve, learning rate, learning rate decay, least squares, LeNet-5, Levenberg,
Levenberg-Marquardt, likelihood, linear regression, linearly separable, local minimum, localist
representation, log-likelihood, log space, logistic regression, logits, loss function, LSTM, mae, maximum
likelihood, maxout, max pooling, mini-batch, model averaging, momentum, mse, multi-class classification,
multilayer perceptron, n-gram, Nesterov, neural tangent kernel, neuron, noise injection, norm penalty,
normal equations, NTK, one-hot, output gate, overfitting, overparameterization, padding, parameter sharing,
parameter tying, parameters, patience, PCA, performance measure, perplexity, plateau, Polyak averaging,
pooling, posterior, prediction, PReLU, prior, proper scoring rule, quasi-Newton method, random search,
ravine, receptive field, recurrent neural network, regression, regularization, reinforcement learning, ReLU,
representation learning, residual connection, ResNet-18, RMSProp, saddle point, saturation, seed, sequence
to sequence, SGD, sharp minimum, sigmoid, skip connection, softmax, softplus, sparsity, standardization,
step size, stochastic depth, stochastic gradient descent, stride, structured output, supervised learning,
symmetry breaking, tanh, target, task, teacher forcing, temperature, test set, top-5 error, training set,
transfer learning, translation invariance, transposed convolution, U-Net, underfitting, unit, unsupervised
learning, up-convolution, validation set, vanishing gradient, variance, velocity, VGG-16, vocabulary,
warm-up, weight, weight decay, weight scaling rule, weight sharing, weight space symmetry, width, word
vector, Xavier-uniform, Xception, zero-padding
"""
LETTERS = """
α alpha β γ δ ε epsilon η θ theta κ λ lambda μ ρ σ τ tau φ ψ Ω b g h_t J K m n N p r s t v w W x X y ŷ z
"""


def _resolves(word: str) -> bool:
    return bool(term(word) or catalogue.find(word))


@pytest.mark.parametrize("place", pages())
def test_the_pages_are_those_of_the_terms(place: str) -> None:
    assert (DOCS / place).read_text(encoding="utf-8") == pages()[place], WRITE


def test_no_page_is_left_over() -> None:
    assert {f"glossary/{page.name}" for page in (DOCS / "glossary").iterdir()} | {"glossary.md"} == set(
        pages()
    )


def test_every_usual_word_is_found() -> None:
    words = [" ".join(word.split()) for word in USUAL.split(",")]
    assert len(words) > 200
    assert [word for word in words if not _resolves(word)] == []
    assert [letter for letter in LETTERS.split() if not explained(letter)] == []


def test_words_are_told_apart() -> None:
    names = [name.lower().replace("-", " ") for each in TERMS.values() for name in (each.name, *each.aliases)]
    assert [name for name, times in Counter(names).items() if times > 1] == []
    assert {each.family for each in TERMS.values()} == set(FAMILIES)
    assert [each.name for each in TERMS.values() if not each.text.endswith(".") or "{" in each.name] == []
    assert len({each.text for each in TERMS.values()}) == len(TERMS)


def test_one_letter_stands_for_several_things() -> None:
    assert {each.name for each in explained("alpha")} >= {
        "learning rate",
        "momentum coefficient",
        "penalty strength",
    }
    assert explained("lambda") == explained("λ") == symbols()["λ"]
    assert [each.name for each in explained("omega")] == ["penalty"]
    assert spoken("λ") == "lambda"
    assert [each.name for each in explained("H")] == ["cross-entropy", "entropy", "width", "hessian"]
    with pytest.raises(UnknownName, match="did you mean 'generalization'"):
        explained("generalizaton")


def test_what_terms_lead_to_is_there() -> None:
    flat = set(Experiment().flat())
    sections = {key.partition(".")[0] for key in flat if "." in key}
    for each in TERMS.values():
        assert not each.page or (DOCS / each.page).is_file(), each
        for named in each.see:
            kind, _, name = named.partition(":")
            assert catalogue.entry(name, kind).name == name
        for key in re.findall(r"`([a-z]+\.[a-z_]+)`", each.here):
            if key.partition(".")[0] in sections - {"model", "optimizer", "schedule", "loss"}:
                assert key in flat, each


def test_reports_explain_their_words_from_here() -> None:
    words = Words()
    assert "#word-learning-rate" in words.link("Learning rate")
    assert "#word-epochs" in words.link("epoch")
    assert "#word-batch-size" in words.link("Mini-batch")
    assert words.link("price") == "price"
    assert {each.name: each.text for each in words.used} == {
        name: TERMS[name].text for name in ("batch size", "epochs", "learning rate")
    }
    told = dict(next(each for each in words.used if each.name == "learning rate").more)
    assert told["written"] == "α, ε, η"
    assert "--lr" in told["here"]
