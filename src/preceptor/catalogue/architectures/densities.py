"""Networks that give the log-density of their input, and draw examples from it."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import check_sizes
from preceptor.catalogue.architectures.autoencoder import Autoencoder
from preceptor.errors import ModelError

__all__ = ["Density", "GaussianMixture", "MaskedAutoregressive", "ReconstructionError"]

_SHAPES = "(N, …) → (N, 1): log p(x) of each example; sample(n) → (n, …)"
_LOG_2PI = math.log(2 * math.pi)
_TRAITS = {"density": True, "outputs": 1}


class Density(nn.Module):
    """A density over examples of one shape, which are flattened.

    Attributes:
        shape: of one example.
    """

    def __init__(self, owner: str, inputs: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.shape, self.width = check_sizes(owner, inputs, outputs)
        if outputs != 1:
            raise ModelError(
                f"{owner} gives a log-density",
                expected="one output, and no classes",
                received=f"{outputs} outputs",
                hint='task="density-estimation", or "anomaly-detection"',
            )
        self.sizes: tuple[int, ...] = (self.width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return log p(x), (N, 1)."""
        return self.log_density(x.flatten(1))[:, None]

    @abstractmethod
    def log_density(self, x: Tensor) -> Tensor:
        """Return log p(x) of flattened examples (N, D), (N,)."""

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw examples from the density, (count, …)."""
        return self.draw(count, generator).reshape(count, *self.shape)

    def draw(self, count: int, generator: torch.Generator | None) -> Tensor:
        """Return flattened examples, (count, D)."""
        raise ModelError(
            f"{type(self).__name__} cannot draw examples",
            expected="a model of the whole density",
            received="errors of reconstruction alone",
            hint='the model "gaussian-mixture", "masked-autoregressive" or "variational-autoencoder"',
        )


def normal(shape: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return standard normal numbers on the device of another tensor, drawn on the CPU.

    Example:
        >>> normal((2, 3), torch.zeros(1), None).shape
        torch.Size([2, 3])
    """
    return torch.randn(*shape, generator=generator).to(like)


@registered(
    kind="architecture",
    name="gaussian-mixture",
    aliases=("gmm", "mixture-of-gaussians", "mixture-density"),
    formula="log p(x) = log Σ_k π_k N(x; μ_k, Σ_k), k = 1 … components; π = softmax(a); "
    "covariance='diagonal': "
    "Σ_k = diag(σ_k²), σ ≥ floor; 'full': Σ_k⁻¹ = P_kᵀP_k, P_k lower triangular with a positive diagonal "
    "below "
    "1/floor",
    shapes=_SHAPES,
    when="densities of few dimensions; the first thing to compare any other with: components=1 is a Gaussian",
    pitfalls="without the floor a component can shrink onto one example, and the likelihood grows "
    "without end; "
    "full covariances have components · D²/2 weights",
    source="Pearson, Contributions to the Mathematical Theory of Evolution, 1894; Bishop, Mixture Density "
    "Networks, 1994",
    differs="learned by gradients, like any network; scikit-learn's GaussianMixture by expectation and "
    "maximisation",
    example=">>> net = get('gaussian-mixture', (2,), 1, components=3)\n"
    ">>> net(torch.zeros(4, 2)).shape, net.sample(5).shape\n(torch.Size([4, 1]), torch.Size([5, 2]))",
    traits={**_TRAITS, "tiny": {"components": 2}},
)
class GaussianMixture(Density):
    """Mixture of Gaussians."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        components: int = 8,
        covariance: str = "diagonal",
        floor: float = 0.05,
    ) -> None:
        owner = "gaussian-mixture"
        super().__init__(owner, inputs, outputs)
        k, d = check_count(owner, "components", components), self.width
        full = check_choice(owner, "covariance", covariance, ("diagonal", "full")) == "full"
        self.floor = check_number(owner, "floor", floor, 1e-9)
        self.weights = nn.Parameter(torch.zeros(k))
        self.means = nn.Parameter(torch.randn(k, d))
        self.scales = nn.Parameter(torch.zeros(k, d))
        self.mixing = nn.Parameter(torch.zeros(k, d, d)) if full else None

    def _precision(self, mixing: Tensor) -> Tensor:
        """Return P, (K, D, D) lower triangular."""
        return mixing.tril(-1) + torch.diag_embed(1 / self._deviations())

    def _deviations(self) -> Tensor:
        """Return what scales each direction: e^s, smoothly kept above the floor; 1 at the start."""
        return self.floor + (1 - self.floor) * self.scales.exp()

    def log_density(self, x: Tensor) -> Tensor:
        """Return log p(x), (N,)."""
        apart = x[:, None] - self.means
        if self.mixing is not None:
            z = torch.einsum("kij,nkj->nki", self._precision(self.mixing), apart)
        else:
            z = apart / self._deviations()
        each = -0.5 * (z.square().sum(2) + self.width * _LOG_2PI) - self._deviations().log().sum(1)
        return (each + self.weights.log_softmax(0)).logsumexp(1)

    def draw(self, count: int, generator: torch.Generator | None) -> Tensor:
        """Return flattened examples, (count, D)."""
        which = torch.multinomial(self.weights.softmax(0).cpu(), count, True, generator=generator)
        which = which.to(self.means.device)
        noise = normal((count, self.width), self.means, generator)
        if self.mixing is None:
            return self.means[which] + self._deviations()[which] * noise
        apart = torch.linalg.solve_triangular(
            self._precision(self.mixing)[which], noise[..., None], upper=False
        )
        drawn: Tensor = self.means[which] + apart[..., 0]
        return drawn


class _Masked(nn.Linear):
    """A layer whose weights are kept where a mask is 1."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight * self.mask, self.bias)


@registered(
    kind="architecture",
    name="masked-autoregressive",
    aliases=("made", "masked-autoencoder-for-distribution-estimation"),
    formula="log p(x) = Σ_d log p(x_d | x_1 … x_{d−1}), each a mixture of components Gaussians whose "
    "weights, "
    "means "
    "and deviations (above floor) one network gives for all d at once: its weights are masked so that the "
    "outputs "
    "of x_d depend on earlier numbers alone",
    shapes=_SHAPES,
    when="densities of tens to hundreds of dimensions: exact, and flexible",
    pitfalls="a sample takes D passes, one for each number; the order of the numbers matters",
    source="Germain, Gregor, Murray and Larochelle, MADE: Masked Autoencoder for Distribution "
    "Estimation, 2015; "
    "Uria, Murray and Larochelle, RNADE, 2013",
    differs="the order is that of the inputs, and the masks are not drawn anew; the first number's "
    "weights are "
    "biases alone",
    example=">>> net = get('masked-autoregressive', (3,), 1)\n>>> net(torch.zeros(4, 3)).shape, "
    "net.sample(2).shape\n(torch.Size([4, 1]), torch.Size([2, 3]))",
    traits={**_TRAITS, "tiny": {"hidden": (16,), "components": 2}},
)
class MaskedAutoregressive(Density):
    """Masked autoregressive network: the density as a product of conditional ones."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int | Sequence[int] = (128, 128),
        components: int = 4,
        floor: float = 0.05,
    ) -> None:
        owner = "masked-autoregressive"
        super().__init__(owner, inputs, outputs)
        self.components = check_count(owner, "components", components)
        self.floor = check_number(owner, "floor", floor, 1e-9)
        widths = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        before = torch.arange(1, self.width + 1)
        layers: list[nn.Module] = []
        for width in widths:
            check_count(owner, "hidden", width)
            degrees = torch.arange(width) % max(1, self.width - 1) + 1
            layers += [_Masked(degrees[:, None] >= before), nn.ReLU()]
            before = degrees
        numbers = torch.arange(1, self.width + 1).repeat_interleave(3 * self.components)
        self.network = nn.Sequential(*layers, _Masked(numbers[:, None] > before))
        self.spread = nn.Parameter(torch.linspace(-1, 1, self.components))

    def _conditionals(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-weights, means and deviations of each number, (N, D, M) each."""
        raw = self.network(x).unflatten(1, (self.width, self.components, 3))
        means = raw[..., 1] + self.spread
        return raw[..., 0].log_softmax(2), means, self.floor + (1 - self.floor) * raw[..., 2].exp()

    def log_density(self, x: Tensor) -> Tensor:
        """Return log p(x), (N,)."""
        weights, means, deviations = self._conditionals(x)
        z = (x[..., None] - means) / deviations
        return (weights - 0.5 * (z.square() + _LOG_2PI) - deviations.log()).logsumexp(2).sum(1)

    def draw(self, count: int, generator: torch.Generator | None) -> Tensor:
        """Return flattened examples, (count, D), one number after the other."""
        x = self.spread.new_zeros(count, self.width)
        for d in range(self.width):
            weights, means, deviations = (part[:, d] for part in self._conditionals(x))
            which = torch.multinomial(weights.exp().cpu(), 1, generator=generator).to(x.device)
            noise = normal((count, 1), x, generator)
            x[:, d : d + 1] = means.gather(1, which) + deviations.gather(1, which) * noise
        return x


@registered(
    kind="architecture",
    name="reconstruction-error",
    aliases=("autoencoder-score", "autoencoder-for-anomalies"),
    formula="log p̃(x) = −½ ‖x − x̂‖², x̂ what an autoencoder of hidden units and code numbers makes of x: the "
    "log-density of N(x; x̂, I) without its constant",
    shapes="(N, …) → (N, 1): −½ ‖x − x̂‖² of each example",
    when="anomalies: what was not learned is not given back well",
    pitfalls="no density: it does not integrate to 1, and has no samples; a code that is too wide gives "
    "anomalies back "
    "as well",
    source="Japkowicz, Myers and Gluck, A Novelty Detection Approach to Classification, 1995; Sakurada and "
    "Yairi, Anomaly Detection Using Autoencoders, 2014",
    example=">>> get('reconstruction-error', (1, 8, 8), 1)(torch.zeros(4, 1, 8, "
    "8)).shape\ntorch.Size([4, 1])",
    traits={**_TRAITS, "tiny": {"hidden": 8, "code": 4}},
)
class ReconstructionError(Density):
    """Error of an autoencoder as an unnormalised log-density."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int | Sequence[int] = (128,),
        code: int = 16,
        noise: float = 0.0,
        activation: str = "relu",
    ) -> None:
        super().__init__("reconstruction-error", inputs, outputs)
        self.coder = Autoencoder((self.width,), self.width, hidden, code, noise, activation)

    def log_density(self, x: Tensor) -> Tensor:
        """Return −½ ‖x − x̂‖², (N,)."""
        made: Tensor = self.coder(x)
        return -0.5 * (x - made).square().sum(1)
