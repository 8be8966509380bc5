"""Sound programs that look like faults in what enters the loss, or in layers and axes: nobody may alarm."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._loss_runs import N, Program, inputs, labels, learn, mlp, yes_no

SOUND: list[Program] = []


def sound(program: Program) -> Program:
    SOUND.append(program)
    return program


# ---------------------------------------------------------------------- adversaries, rewards, densities


@sound
def least_squares_adversaries() -> None:
    maker, judge = mlp(4, 8, 2), mlp(2, 8, 1)
    ones, zeros = torch.ones(N, 1), torch.zeros(N, 1)

    def step() -> Tensor:
        made = maker(torch.randn(N, 4))
        judged = functional.mse_loss(judge(inputs(2)), ones) + functional.mse_loss(
            judge(made.detach()), zeros
        )
        return judged + functional.mse_loss(judge(made), ones)

    learn(step, maker, judge)


@sound
def adversaries_with_logarithms_by_hand() -> None:
    maker, judge = mlp(4, 8, 2), mlp(2, 8, 1, out=nn.Sigmoid())

    def step() -> Tensor:
        made = maker(torch.randn(N, 4))
        return -(torch.log(judge(inputs(2)) + 1e-8) + torch.log(1 - judge(made) + 1e-8)).mean()

    learn(step, maker, judge)


@sound
def a_critic() -> None:
    maker, judge = mlp(4, 8, 2), mlp(2, 8, 1)
    learn(lambda: judge(maker(torch.randn(N, 4))).mean() - judge(inputs(2)).mean(), maker, judge)


@sound
def values_of_actions() -> None:
    net, x, target = mlp(3, 8, 4), inputs(), torch.randn(N)
    learn(lambda: functional.smooth_l1_loss(net(x).gather(1, labels(4, 1)).squeeze(1), target), net)


@sound
def policy_gradient() -> None:
    net, x, gain = mlp(3, 8, 4), inputs(), torch.randn(N)
    learn(lambda: -(functional.log_softmax(net(x), 1)[torch.arange(N), labels(4)] * gain).mean(), net)


@sound
def policy_gradient_of_a_distribution() -> None:
    net, x, gain = mlp(3, 8, 4, out=nn.Softmax(dim=1)), inputs(), 3 * torch.randn(N)
    learn(lambda: -(torch.distributions.Categorical(net(x)).log_prob(labels(4)) * gain).mean(), net)


@sound
def quantiles() -> None:
    net, x, levels = mlp(3, 8, 3), inputs(), torch.tensor([0.1, 0.5, 0.9])

    def step() -> Tensor:
        error = x[:, :1] - net(x)
        return torch.maximum(levels * error, (levels - 1) * error).mean()

    learn(step, net)


@sound
def all_pairs_on_purpose() -> None:
    net, x, target = mlp(3, 8, 5), inputs(), torch.randn(N, 5)
    learn(lambda: (target.unsqueeze(1) - net(x).unsqueeze(2)).abs().mean(), net)


@sound
def a_normal_density_by_hand() -> None:
    net, x = mlp(3, 8, 2), inputs()

    def step() -> Tensor:
        mean, raw = net(x).chunk(2, 1)
        variance = functional.softplus(raw) + 1e-3
        return (0.5 * torch.log(variance) + 0.5 * (x[:, :1] - mean) ** 2 / variance).mean()

    learn(step, net)


@sound
def a_mixture_of_densities() -> None:
    net, x = mlp(3, 8, 9), inputs()

    def step() -> Tensor:
        share, mean, scale = net(x).chunk(3, 1)
        terms = functional.log_softmax(share, 1) - scale - 0.5 * ((x[:, :1] - mean) / scale.exp()) ** 2
        return -torch.logsumexp(terms, 1).mean()

    learn(step, net)


@sound
def evidence_of_classes() -> None:
    net, x, y = mlp(3, 8, 3), inputs(), functional.one_hot(labels(3), 3).float()

    def step() -> Tensor:
        alpha = functional.softplus(net(x)) + 1
        return (y * (torch.log(alpha.sum(1, keepdim=True)) - torch.log(alpha))).sum(1).mean()

    learn(step, net)


# ---------------------------------------------------------------------- likelihoods


@sound
def focal_loss_by_hand() -> None:
    net, x = mlp(3, 8, 1), inputs()

    def step() -> Tensor:
        p, y = torch.sigmoid(net(x)).clamp(1e-6, 1 - 1e-6), yes_no(x)
        return -(y * (1 - p) ** 2 * torch.log(p) + (1 - y) * p**2 * torch.log(1 - p)).mean()

    learn(step, net)


@sound
def cross_entropy_by_hand() -> None:
    net, x, y = mlp(3, 8, 4), inputs(), functional.one_hot(labels(4), 4).float()
    learn(lambda: -(y * functional.log_softmax(net(x), 1)).sum(1).mean(), net)


@sound
def cross_entropy_of_softmax_by_hand() -> None:
    net, x, y = mlp(3, 8, 4, out=nn.Softmax(dim=1)), inputs(), functional.one_hot(labels(4), 4).float()
    learn(lambda: -(y * torch.log(net(x) + 1e-9)).sum(1).mean(), net)


@sound
def softmax_by_hand() -> None:
    net, x = mlp(3, 8, 4), inputs()

    def step() -> Tensor:
        scores = net(x)
        e = (scores - scores.max(1, keepdim=True).values).exp()
        return -(e / e.sum(1, keepdim=True))[torch.arange(N), labels(4)].log().mean()

    learn(step, net)


@sound
def logsumexp_by_hand() -> None:
    net, x = mlp(3, 8, 4), inputs()

    def step() -> Tensor:
        scores = net(x)
        return (torch.logsumexp(scores, 1) - scores.gather(1, labels(4, 1)).squeeze(1)).mean()

    learn(step, net)


@sound
def log_softmax_into_cross_entropy() -> None:
    net, x = mlp(3, 8, 4, out=nn.LogSoftmax(dim=1)), inputs()
    learn(lambda: functional.cross_entropy(net(x), labels(4)), net)


@sound
def log_softmax_over_the_last_of_three_axes() -> None:
    table, head, ids = nn.Embedding(20, 8), nn.Linear(8, 20), torch.randint(0, 20, (N, 5))

    def step() -> Tensor:
        scores = functional.log_softmax(head(table(ids)), dim=-1)
        return functional.nll_loss(scores.view(-1, 20), ids.view(-1))

    learn(step, table, head)


@sound
def similarities_with_a_temperature() -> None:
    net, x = mlp(8, 16, 8), inputs(8)

    def step() -> Tensor:
        a = functional.normalize(net(x), dim=1)
        b = functional.normalize(net(x + 0.1), dim=1)
        return functional.cross_entropy(a @ b.T / 0.1, torch.arange(N))

    learn(step, net)


@sound
def ranking_of_the_batch() -> None:
    net, x, target = mlp(4, 8, 1), inputs(4), functional.softmax(torch.randn(N), 0)
    learn(lambda: -(target * functional.log_softmax(net(x).squeeze(1), 0)).sum(), net)


@sound
def soft_targets() -> None:
    net, x, target = mlp(3, 8, 4), inputs(), functional.softmax(torch.randn(N, 4), 1)
    learn(lambda: functional.cross_entropy(net(x), target), net)


@sound
def distillation() -> None:
    teacher, student, x = mlp(3, 8, 4), mlp(3, 4, 4), inputs()

    def step() -> Tensor:
        with torch.no_grad():
            aim = functional.softmax(teacher(x) / 2, 1)
        return functional.kl_div(functional.log_softmax(student(x) / 2, 1), aim, reduction="batchmean")

    learn(step, student)


@sound
def mixed_labels() -> None:
    net, x, target = mlp(3, 8, 4), inputs(), torch.rand(N, 4)
    learn(lambda: functional.binary_cross_entropy_with_logits(net(x), target), net)


@sound
def words_and_their_neighbours() -> None:
    a, b = nn.Embedding(30, 8), nn.Embedding(30, 8)
    centre, near, far = (torch.randint(0, 30, (N, *more)) for more in ((), (), (5,)))

    def step() -> Tensor:
        good = functional.logsigmoid((a(centre) * b(near)).sum(1))
        bad = functional.logsigmoid(-(b(far) @ a(centre).unsqueeze(2)).squeeze(2)).sum(1)
        return -(good + bad).mean()

    learn(step, a, b)


@sound
def a_bag_of_words() -> None:
    net, counts = mlp(12, 8, 12), torch.randint(0, 4, (N, 12)).float()
    learn(lambda: -(counts * functional.log_softmax(net(counts), 1)).sum(1).mean(), net)


@sound
def thresholds_in_order() -> None:
    net, x = mlp(3, 8, 4), inputs()
    target = (labels(5, 1) > torch.arange(4)).float()
    learn(lambda: functional.binary_cross_entropy_with_logits(net(x), target), net)


@sound
def hinge_of_signs() -> None:
    net, x = mlp(3, 8, 1), inputs()
    y = 2 * yes_no(x) - 1
    learn(lambda: functional.relu(1 - y * net(x)).mean() + functional.soft_margin_loss(net(x), y), net)


# ---------------------------------------------------------------------- quantities


@sound
def ratings() -> None:
    net, x = mlp(3, 8, 1), inputs()
    target = torch.tensor([0.0, 1, 1, 2, 2, 2, 3, 3, 2, 4, 2, 3]).repeat(2)[:, None]
    learn(lambda: functional.mse_loss(net(x), target), net)


@sound
def rectified_answers_to_magnitudes() -> None:
    net, x = mlp(3, 8, 1, out=nn.ReLU()), inputs()
    nn.init.constant_(net[2].bias, 1.0)
    learn(lambda: functional.mse_loss(net(x), x[:, :1].abs()), net)


@sound
def counts() -> None:
    net, x = mlp(3, 8, 1, out=nn.Softplus()), inputs()
    target = torch.poisson(torch.ones(N, 1))
    learn(lambda: functional.poisson_nll_loss(net(x), target, log_input=False), net)


@sound
def scaled_tanh() -> None:
    net, x = mlp(3, 8, 1, out=nn.Tanh()), inputs()
    learn(lambda: functional.mse_loss(2 * net(x), 2 * torch.tanh(x[:, :1])), net)


@sound
def pictures_in_the_unit_range() -> None:
    net, x = mlp(16, 8, 16, out=nn.Sigmoid()), torch.rand(N, 16)
    learn(lambda: functional.mse_loss(net(x), x), net)


@sound
def binary_pictures_that_are_learned() -> None:
    net, x = mlp(16, 32, 16, out=nn.Sigmoid()), (torch.rand(N, 2) > 0.5).float().repeat(1, 8)
    learn(lambda: functional.mse_loss(net(x), x), net, steps=60, lr=0.05)


@sound
def a_linear_bottleneck() -> None:
    net, x = nn.Sequential(nn.Linear(16, 3), nn.Linear(3, 16)), inputs(16)
    learn(lambda: functional.mse_loss(net(x), x), net)


@sound
def a_residual_of_an_equation() -> None:
    net = mlp(1, 8, 1, act=nn.Tanh)

    def step() -> Tensor:
        t = torch.rand(N, 1, requires_grad=True)
        u = net(t)
        slope = torch.autograd.grad(u, t, torch.ones_like(u), create_graph=True)[0]
        return (slope + u).pow(2).mean() + (net(torch.zeros(1, 1)) - 1).pow(2).mean()

    learn(step, net)


@sound
def several_tasks() -> None:
    net, x = mlp(3, 8, 4), inputs()

    def step() -> Tensor:
        out = net(x)
        return functional.cross_entropy(out[:, :3], labels(3)) + 0.5 * functional.mse_loss(
            out[:, 3:], x[:, :1]
        )

    learn(step, net)


# ---------------------------------------------------------------------- axes


@sound
def time_first() -> None:
    net, head, x = nn.LSTM(3, 8), nn.Linear(8, 2), torch.randn(6, N, 3)
    learn(lambda: functional.cross_entropy(head(net(x)[0][-1]), labels(2)), net, head)


@sound
def time_first_for_each_step() -> None:
    net, head, x = nn.LSTM(3, 8), nn.Linear(8, 1), torch.randn(6, N, 3)
    learn(lambda: functional.mse_loss(head(net(x)[0]), x[:, :, :1]), net, head)


@sound
def attention_with_masks_and_heads() -> None:
    q, k, v, head = (nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2))
    x, later = torch.randn(N, 6, 8), torch.triu(torch.ones(6, 6, dtype=torch.bool), 1)

    def split(layer: nn.Module) -> Tensor:
        return layer(x).view(N, 6, 2, 4).transpose(1, 2)

    def step() -> Tensor:
        scores = (split(q) @ split(k).transpose(-2, -1) / 2).masked_fill(later, float("-inf"))
        mixed = functional.dropout(functional.softmax(scores, -1), 0.1) @ split(v)
        return functional.cross_entropy(head(mixed.transpose(1, 2).reshape(N, 6, 8).mean(1)), labels(2))

    learn(step, q, k, v, head)


@sound
def attention_in_letters() -> None:
    q, k, v, head = (nn.Linear(3, 8), nn.Linear(3, 8), nn.Linear(3, 8), nn.Linear(8, 2))
    x = torch.randn(N, 6, 3)

    def step() -> Tensor:
        weights = torch.einsum("bqd,bkd->bqk", q(x), k(x)).softmax(-1)
        return functional.cross_entropy(head(torch.einsum("bqk,bkd->bqd", weights, v(x)).mean(1)), labels(2))

    learn(step, q, k, v, head)


@sound
def attention_to_one_position() -> None:
    q, k, v, head = (nn.Linear(3, 8), nn.Linear(3, 8), nn.Linear(3, 8), nn.Linear(8, 2))
    x, memory = torch.randn(N, 6, 3), torch.randn(N, 1, 3)

    def step() -> Tensor:
        mixed = functional.softmax(q(x) @ k(memory).transpose(1, 2), -1) @ v(memory)
        return functional.cross_entropy(head(mixed.mean(1)), labels(2))

    learn(step, q, k, v, head)


@sound
def attention_both_ways() -> None:
    a, b, head = nn.Linear(3, 8), nn.Linear(3, 8), nn.Linear(8, 2)
    x, y = torch.randn(N, 6, 3), torch.randn(N, 5, 3)

    def step() -> Tensor:
        scores = a(x) @ b(y).transpose(1, 2)
        there, back = functional.softmax(scores, 2), functional.softmax(scores, 1)
        return functional.cross_entropy(head((there @ back.transpose(1, 2) @ a(x)).mean(1)), labels(2))

    learn(step, a, b, head)


@sound
def slots_that_compete() -> None:
    k, v, head, slots = nn.Linear(3, 8), nn.Linear(3, 8), nn.Linear(8, 2), nn.Linear(8, 8)
    x, start = torch.randn(N, 6, 3), torch.randn(N, 4, 8)

    def step() -> Tensor:
        weights = functional.softmax(slots(start) @ k(x).transpose(1, 2) / 3, dim=1) + 1e-8
        weights = weights / weights.sum(-1, keepdim=True)
        return functional.cross_entropy(head((weights @ v(x)).mean(1)), labels(2))

    learn(step, k, v, head, slots)


@sound
def attention_without_a_table() -> None:
    q, k, v, head = (nn.Linear(3, 8), nn.Linear(3, 8), nn.Linear(3, 8), nn.Linear(8, 2))
    x = torch.randn(N, 6, 3)

    def step() -> Tensor:
        context = functional.softmax(k(x), 1).transpose(1, 2) @ v(x)
        return functional.cross_entropy(head((functional.softmax(q(x), -1) @ context).mean(1)), labels(2))

    learn(step, q, k, v, head)


@sound
def pooling_by_scores() -> None:
    layer, score, head, x = nn.Linear(3, 8), nn.Linear(8, 1), nn.Linear(8, 2), torch.randn(N, 6, 3)

    def step() -> Tensor:
        z = torch.tanh(layer(x))
        return functional.cross_entropy(head((functional.softmax(score(z), dim=1) * z).sum(1)), labels(2))

    learn(step, layer, score, head)


@sound
def pooling_into_clusters() -> None:
    assign, head, x = nn.Linear(3, 4), nn.Linear(12, 2), torch.randn(N, 6, 3)

    def step() -> Tensor:
        pooled = functional.softmax(assign(x), -1).transpose(1, 2) @ x
        return functional.cross_entropy(head(pooled.flatten(1)), labels(2))

    learn(step, assign, head)


@sound
def experts_behind_a_gate() -> None:
    gate, experts, x = nn.Linear(3, 4), nn.ModuleList([mlp(3, 8, 2) for _ in range(4)]), inputs()

    def step() -> Tensor:
        weights = functional.softmax(gate(x), 1)
        answers = torch.stack([expert(x) for expert in experts], 1)
        return functional.cross_entropy((weights.unsqueeze(-1) * answers).sum(1), labels(2))

    learn(step, gate, experts)


@sound
def shuffled_channels_and_patches() -> None:
    a, b, head, x = (
        nn.Conv2d(8, 8, 1, groups=2),
        nn.Conv2d(8, 8, 1),
        nn.Linear(128, 2),
        torch.randn(N, 8, 4, 4),
    )

    def step() -> Tensor:
        z = functional.relu(a(x)).view(N, 2, 4, 4, 4).transpose(1, 2).reshape(N, 8, 4, 4)
        z = functional.relu(b(z)).reshape(N, 8, 2, 2, 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(N, 4, 32)
        return functional.cross_entropy(head(z.flatten(1)), labels(2))

    learn(step, a, b, head)


@sound
def steps_folded_into_features() -> None:
    net, x = mlp(20, 8, 2), torch.randn(N, 30, 4)
    learn(lambda: functional.cross_entropy(net(x.reshape(N, 6, 20)).mean(1), labels(2)), net)


# ---------------------------------------------------------------------- layers and weights


@sound
def up_and_down_with_a_bridge() -> None:
    down, mid, up, out = (
        nn.Conv2d(1, 4, 3, padding=1),
        nn.Conv2d(4, 8, 1),
        nn.ConvTranspose2d(8, 4, 2, 2),
        nn.Conv2d(8, 1, 1),
    )
    x = torch.randn(N, 1, 4, 4)

    def step() -> Tensor:
        p = functional.relu(down(x))
        q = functional.relu(mid(functional.max_pool2d(p, 2)))
        return functional.binary_cross_entropy_with_logits(out(torch.cat([up(q), p], 1)), (x > 0).float())

    learn(step, down, mid, up, out)


@sound
def linear_bottlenecks() -> None:
    layers = nn.ModuleList(
        [
            *(nn.Conv2d(3, 16, 1), nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.Conv2d(16, 4, 1)),
            *(nn.Conv2d(4, 16, 1), nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.Conv2d(16, 8, 1)),
        ]
    )
    head, x = nn.Linear(8, 2), torch.randn(N, 3, 4, 4)

    def step() -> Tensor:
        z = layers[2](functional.relu6(layers[1](functional.relu6(layers[0](x)))))
        z = layers[5](functional.relu6(layers[4](layers[3](z))))
        return functional.cross_entropy(head(functional.relu6(z).mean((2, 3))), labels(2))

    learn(step, layers, head)


@sound
def a_table_in_two_factors_and_adapters() -> None:
    table, wide, frozen = nn.Embedding(30, 4), nn.Linear(4, 16), nn.Linear(16, 16)
    frozen.requires_grad_(False)
    a, b, head = nn.Linear(16, 2, bias=False), nn.Linear(2, 16, bias=False), nn.Linear(16, 3)
    nn.init.zeros_(b.weight)
    ids = torch.randint(0, 30, (N, 5))

    def step() -> Tensor:
        z = wide(table(ids))
        return functional.cross_entropy(head(functional.gelu(frozen(z) + b(a(z))).mean(1)), labels(3))

    learn(step, table, wide, a, b, head)


@sound
def branches_that_start_at_zero() -> None:
    first, branches, head = (
        nn.Linear(4, 8),
        nn.ModuleList([nn.Linear(8, 8) for _ in range(4)]),
        nn.Linear(8, 3),
    )
    for layer in (branches[1], branches[3], head):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    x = inputs(4)

    def step() -> Tensor:
        z = first(x)
        z = z + branches[1](functional.relu(branches[0](z)))
        z = z + branches[3](functional.relu(branches[2](z)))
        return functional.cross_entropy(head(z), labels(3))

    learn(step, first, branches, head)


@sound
def a_graph_of_neighbours() -> None:
    near = torch.softmax(torch.randn(N, N), 1)
    a, b, x = nn.Linear(3, 8), nn.Linear(8, 3), inputs()

    def step() -> Tensor:
        z = near @ b(functional.relu(near @ a(x)))
        return functional.nll_loss(functional.log_softmax(z, 1), labels(3))

    learn(step, a, b)


@sound
def factors_of_a_matrix() -> None:
    a, b = nn.Embedding(30, 8), nn.Embedding(30, 8)
    row, column = torch.randint(0, 30, (N,)), torch.randint(0, 30, (N,))
    learn(lambda: functional.mse_loss((a(row) * b(column)).sum(1), torch.rand(N)), a, b)


@sound
def weights_by_hand() -> None:
    a = (0.3 * torch.randn(4, 16)).requires_grad_()
    b, c = torch.zeros(16, requires_grad=True), (0.3 * torch.randn(16, 3)).requires_grad_()
    x = inputs(4)
    learn(lambda: functional.cross_entropy(torch.relu(x @ a + b) @ c, labels(3)), a, b, c)


@sound
def tanh_layers_at_a_small_step() -> None:
    net, x = mlp(8, 16, 16, 16, 1, act=nn.Tanh), inputs(8)
    learn(lambda: functional.mse_loss(net(x), x[:, :1]), net, lr=1e-6)


@sound
def one_sigmoid_layer_at_a_small_step() -> None:
    net, x = mlp(8, 16, 1, act=nn.Sigmoid), inputs(8)
    learn(lambda: functional.mse_loss(net(x), x[:, :1]), net, lr=1e-6)


@sound
def rays_through_a_volume() -> None:
    net, x, colour = mlp(3, 8, 4), torch.rand(N, 8, 3), torch.rand(N, 3)

    def step() -> Tensor:
        out = net(x)
        seen = 1 - torch.exp(-functional.softplus(out[..., 3]) * 0.1)
        weights = seen * torch.cumprod(1 - seen + 1e-10, 1)
        return functional.mse_loss((weights[..., None] * torch.sigmoid(out[..., :3])).sum(1), colour)

    learn(step, net)


@sound
def a_latent_code_with_noise() -> None:
    down, up, x = mlp(16, 8, 8), mlp(4, 8, 16), inputs(16)

    def step() -> Tensor:
        mean, log_variance = down(x).chunk(2, 1)
        back = up(mean + torch.randn_like(mean) * (log_variance / 2).exp())
        divergence = -0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp()).sum() / N
        return functional.mse_loss(back, x, reduction="sum") / N + divergence

    learn(step, down, up)


@sound
def distances_of_three() -> None:
    net, x = mlp(8, 8, 4), torch.randn(3, N, 8)
    learn(lambda: functional.triplet_margin_loss(net(x[0]), net(x[1]), net(x[2])), net)


@sound
def pixels_and_their_overlap() -> None:
    net, x = nn.Conv2d(1, 1, 3, padding=1), torch.randn(N, 1, 4, 4)

    def step() -> Tensor:
        p, y = torch.sigmoid(net(x)), (x > 0).float()
        return 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)

    learn(step, net)
