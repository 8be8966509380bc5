"""The variational autoencoder: a density with a code for each example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.architectures.densities import Density, normal

__all__ = ["VariationalAutoencoder"]

_SEED = (
    0x5EED  # of the codes that evaluation draws: always the same, so that measuring leaves nothing to chance
)


@registered(
    kind="architecture",
    name="variational-autoencoder",
    aliases=("vae",),
    formula="z ~ N(0, I) of code numbers, x ~ N(decoder(z), diag(σ²)), σ ≥ floor learned; q(z | x) = N(m, "
    "diag(s²)) by the encoder. Training: log p(x | z) + log p(z) − log q(z | x) at one z ~ q, the "
    "evidence lower "
    "bound; "
    "evaluation: log (1/S) Σ_s p(x, z_s)/q(z_s | x) over samples draws, a tighter bound",
    shapes="(N, …) → (N, 1): a lower bound of log p(x); sample(n) → (n, …); encode(x) → (N, code)",
    when="new examples that are like those of the data; codes that can be walked through",
    pitfalls="the output is a bound, and with few samples a loose one; where the decoder needs no code, "
    "none is "
    "learned: "
    "the codes collapse onto the prior",
    source="Kingma and Welling, Auto-Encoding Variational Bayes, 2014; evaluation: Burda, Grosse and "
    "Salakhutdinov, Importance Weighted Autoencoders, 2016",
    example=">>> net = get('variational-autoencoder', (1, 8, 8), 1, code=2)\n"
    ">>> net(torch.zeros(4, 1, 8, 8)).shape, net.sample(5).shape\n"
    "(torch.Size([4, 1]), torch.Size([5, 1, 8, 8]))",
    traits={"density": True, "outputs": 1, "tiny": {"hidden": (16,), "code": 2, "samples": 2}},
)
class VariationalAutoencoder(Density):
    """Variational autoencoder with fully connected encoder and decoder."""

    draws: Tensor

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int | Sequence[int] = (128,),
        code: int = 8,
        samples: int = 16,
        floor: float = 0.05,
        activation: str = "relu",
    ) -> None:
        owner = "variational-autoencoder"
        super().__init__(owner, inputs, outputs)
        self.code = check_count(owner, "code", code)
        self.floor = check_number(owner, "floor", floor, 1e-9)
        widths = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        self.encoder = _layers((self.width, *widths, 2 * code), activation)
        self.decoder = _layers((code, *widths[::-1], self.width), activation)
        self.scales = nn.Parameter(torch.zeros(self.width))
        generator = torch.Generator().manual_seed(_SEED)
        fixed = torch.randn(check_count(owner, "samples", samples), 1, code, generator=generator)
        self.register_buffer("draws", fixed, persistent=False)

    def _deviations(self) -> Tensor:
        return self.floor + (1 - self.floor) * self.scales.exp()

    def _posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-deviation of the codes, (N, code) each."""
        mean, spread = self.encoder(x).chunk(2, 1)
        return mean, spread.clamp(-8.0, 4.0)

    def encode(self, x: Tensor) -> Tensor:
        """Return the mean code of each example, (N, code)."""
        return self._posterior(x.flatten(1))[0]

    def decode(self, code: Tensor) -> Tensor:
        """Return what the codes stand for, (N, …)."""
        made: Tensor = self.decoder(code)
        return made.reshape(-1, *self.shape)

    def log_density(self, x: Tensor) -> Tensor:
        """Return a lower bound of log p(x), (N,): of one draw in training, of many in evaluation."""
        mean, spread = self._posterior(x)
        noise = torch.randn_like(mean)[None] if self.training else self.draws
        z = mean + spread.exp() * noise  # (S, N, code)
        made, deviations = self.decoder(z), self._deviations()
        likelihood = -((x - made) / deviations).square().sum(2) / 2 - deviations.log().sum()
        likelihood = likelihood - self.width * math.log(2 * math.pi) / 2
        # the constants of the two densities of the code are the same, and cancel
        prior = -z.square().sum(2) / 2
        posterior = -noise.square().sum(2) / 2 - spread.sum(1)
        bound: Tensor = (likelihood + prior - posterior).logsumexp(0) - math.log(len(noise))
        return bound

    def draw(self, count: int, generator: torch.Generator | None) -> Tensor:
        """Return flattened examples, (count, D)."""
        made: Tensor = self.decoder(normal((count, self.code), self.scales, generator))
        return made + self._deviations() * normal((count, self.width), self.scales, generator)


def _layers(sizes: Sequence[int], activation: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), make_activation(activation)]
    return nn.Sequential(*layers[:-1])
