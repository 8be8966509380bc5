"""Linear models by name: regression, classification, the support vector machine, polynomials."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import LinearSVC
from torch import nn

import preceptor
from preceptor.catalogue import entry, get
from preceptor.errors import ConfigError

NAMES = (
    "linear-regression",
    "linreg",
    "logistic-regression",
    "logreg",
    "softmax-regression",
    "softreg",
    "linear-svm",
)


def _blobs(classes: int = 2):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(classes).repeat_interleave(60)
    centres = 2.5 * torch.eye(classes, 4)
    return centres[y] + torch.randn(60 * classes, 4, generator=generator), y


def _fit(model: nn.Module, loss, steps: int = 15) -> None:
    optimizer = get("l-bfgs", model.parameters())

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(steps):
        optimizer.step(closure)


@pytest.mark.parametrize("name", NAMES)
def test_every_linear_model_is_one_architecture(name: str):
    assert entry(name, "architecture").name == "linear"


def test_logistic_regression_equals_scikit_learn():
    x, y = _blobs()
    model = get("logreg", (4,), 1, kind="architecture")
    loss = get("bce", kind="loss")
    _fit(model, lambda: loss(model(x)[:, 0], y.float()))
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x.numpy(), y.numpy())
    np.testing.assert_allclose(model[0].weight.detach().numpy(), theirs.coef_, atol=1e-3)
    np.testing.assert_allclose(model[0].bias.detach().numpy(), theirs.intercept_, atol=1e-3)


def test_the_sigmoid_has_its_minus():
    z = torch.linspace(-4, 4, 9)
    ours = get("sigmoid", kind="output-unit")(z)
    assert ours[4] == 0.5
    assert (ours.diff() > 0).all()
    assert ((1 / (1 + z.exp())).diff() < 0).all()  # without it the classes are swapped


@pytest.mark.slow
def test_logistic_regression_by_name_is_as_good_as_scikit_learn():
    x, y = load_breast_cancer(return_X_y=True)
    x = StandardScaler().fit_transform(x)
    run = preceptor.train(
        "logistic-regression",
        (x[:400], y[:400]),
        optimizer="adam",
        lr=0.02,
        epochs=60,
        val=0,
        test=(x[400:], y[400:]),
        out=False,
    )
    theirs = LogisticRegression(max_iter=1000).fit(x[:400], y[:400]).score(x[400:], y[400:])
    assert run.test().metrics["accuracy"] >= theirs - 0.012


def test_the_gradient_of_softmax_regression_is_output_minus_target():
    x, y = _blobs(3)
    z = get("softmax-regression", (4,), 3)(x).detach().requires_grad_()
    (slope,) = torch.autograd.grad(get("cross-entropy", reduction="sum")(z, y), z)
    torch.testing.assert_close(slope, z.softmax(1) - nn.functional.one_hot(y, 3))


@pytest.mark.slow
def test_a_support_vector_machine_decides_as_scikit_learn_does():
    x, y = _blobs()
    signs = 2.0 * y - 1
    model = get("linear-svm", (4,), 1)

    def loss() -> torch.Tensor:
        margins = (1 - signs * model(x)[:, 0]).clamp_min(0)
        return model[0].weight.square().sum() / 2 + margins.sum()

    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(600):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    theirs = LinearSVC(C=1.0, loss="hinge", max_iter=200_000).fit(x.numpy(), y.numpy())
    with torch.no_grad():
        same = (model(x)[:, 0] > 0).numpy() == (theirs.decision_function(x.numpy()) > 0)
    assert same.mean() >= 0.99


@pytest.mark.slow
def test_a_support_vector_machine_trains_by_name():
    run = preceptor.train(
        "linear-svm", "iris", loss="hinge", lr=0.02, weight_decay=1e-3, epochs=60, val=0, out=False
    )
    assert run.history[-1, "train_accuracy"] > 0.93


# Feature maps


def test_polynomial_features_of_one_number():
    assert get("polymap", degree=3)(torch.tensor([2.0])).tolist() == [[1, 2, 4, 8]]
    assert get("polymap", degree=3, bias=False)(torch.tensor([[2.0]])).tolist() == [[2, 4, 8]]


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_polynomial_features_equal_scikit_learn(degree: int, bias: bool):
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    ours = get("polynomial-features", degree=degree, bias=bias)
    expected = PolynomialFeatures(degree, include_bias=bias).fit_transform(x.numpy())
    np.testing.assert_allclose(ours(x).numpy(), expected, rtol=1e-5)
    assert ours.count(3) == len(ours.terms(3)) == expected.shape[1]
    alone = get("polynomial-features", degree=degree, bias=bias, interactions=False)
    assert alone(x).shape[1] == alone.count(3) == len(alone.terms(3))
    products = PolynomialFeatures(degree, interaction_only=True, include_bias=False).fit_transform(x.numpy())
    np.testing.assert_allclose(get("product-features", degree=degree)(x).numpy(), products, rtol=1e-5)


def test_too_many_products_are_refused():
    with pytest.raises(ConfigError, match="too many features"):
        get("polynomial", (500,), 1, degree=3, interactions=True)
    with pytest.raises(ConfigError, match="degree"):
        get("polymap", degree=0)
    assert get("polynomial", (4,), 2, degree=2, interactions=True)(torch.zeros(3, 4)).shape == (3, 2)


def test_logistic_regression_learns_xor_only_after_the_product_map():
    x, y = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), torch.tensor([0.0, 1.0, 1.0, 0.0])
    losses = []
    for features in (nn.Identity(), get("xor-map")):
        torch.manual_seed(0)
        model = nn.Sequential(features, nn.LazyLinear(1))
        model(x)
        _fit(model, lambda m=model: nn.functional.binary_cross_entropy_with_logits(m(x)[:, 0], y), 20)
        losses.append(nn.functional.binary_cross_entropy_with_logits(model(x)[:, 0], y).item())
    assert losses[0] == pytest.approx(np.log(2), abs=1e-4)
    assert losses[1] < 1e-3


def test_every_built_model_is_shown_as_a_graph():
    for name in ("linear", "polynomial", "mlp", "lenet-5"):
        model = get(name, (1, 28, 28), 10, kind="architecture")
        graph = get("network-graph", model, torch.zeros(2, 1, 28, 28))
        assert graph["nodes"][-1]["shape"] == (2, 10)
        assert graph.figure().axes
