"""Causes of the family 'optimisation': how far, how often and in which direction the weights are moved."""

from __future__ import annotations

from preceptor.diagnosis.cause import Cause

__all__ = ["CAUSES"]

_FAMILY = "optimisation"

CAUSES = (
    Cause(
        "learning-rate-too-high",
        _FAMILY,
        meaning="Each step overshoots: the loss diverges, swings, or jumps to a level that it never leaves.",
        mechanism="Along a direction of curvature λ a gradient step multiplies the error by 1 − ηλ, which"
        " grows once η > 2/λ (η = learning rate). A few such steps can push ReLU units to where their"
        " gradient is zero for good, after which the loss is flat.",
        recognised="The loss ends not finite, above its start, or stuck at the best constant prediction"
        " after a jump, while updates are large beside the weights (‖Δ‖/‖w‖ far above 10⁻²) or units died at"
        " that moment. Large updates alone are no evidence: new, zero or tiny parameters have them in every"
        " run.",
        confused={
            "unscaled-inputs": "the curvature is large because inputs are; a smaller rate only slows then",
            "numeric-instability": "the first value that is not finite comes from one operator, at any rate",
            "missing-gradient-clipping": "the loss falls well between rare spikes of the gradient",
        },
        remedy="divide the learning rate by 3 to 10 until the loss falls steadily; add a short warm-up",
        explains=("missing-gradient-clipping",),
        source="LeCun, Bottou, Orr & Müller, Efficient BackProp (1998)",
    ),
    Cause(
        "learning-rate-too-low",
        _FAMILY,
        meaning="Each step is so short that the run ends long before anything is learned.",
        mechanism="After T steps a parameter has moved by at most about η · T · |g| (η = learning rate, g ="
        " gradient; with Adam η · T). Where that is small beside what is needed, the loss falls along an"
        " almost straight line.",
        recognised="The loss falls in a straight line by a small share, far from a good value, while"
        " gradients are sound and updates tiny (‖Δ‖/‖w‖ below 10⁻⁵ for SGD, rate far below usual for Adam)."
        " Not at the end of a schedule, during warm-up, or for parameters that are fine-tuned on purpose.",
        confused={
            "too-few-epochs": "steps have a sensible length and the curve bends; there are just too few",
            "unsuitable-hidden-activation": "gradients of the first layers are far smaller than of the last",
            "capacity-too-low": "the loss is flat at a level, however long it goes on",
        },
        remedy="multiply the learning rate by 3 to 10 until the loss falls quickly without swinging",
        source="Bengio, Practical Recommendations for Gradient-Based Training of Deep Architectures (2012)",
    ),
    Cause(
        "unsuitable-optimizer",
        _FAMILY,
        meaning="The rule by which weights are moved does not suit this problem or these batches.",
        mechanism="Plain SGD has one rate for all directions, so its progress along the flattest is slower"
        " by κ = λ_max/λ_min; AdaGrad and Adadelta let the rate fade; L-BFGS and line searches need the same"
        " loss at every call, which mini-batches and dropout do not give.",
        recognised="The loss moves slowly though its rate is near the largest that is stable, and gradients"
        " of different layers differ by orders of magnitude; or a full-batch method is given a new batch"
        " each step. Only together with a run that goes badly.",
        confused={
            "learning-rate-too-low": "a higher rate of the same optimizer would do",
            "unscaled-inputs": "the bad scaling comes from the inputs and goes when they are standardised",
        },
        remedy="use Adam or AdamW at 1e-3, or SGD with momentum 0.9; keep L-BFGS for full batches",
        explains=("learning-rate-too-high",),
        source="Kingma & Ba, Adam: A Method for Stochastic Optimization (2015)",
    ),
    Cause(
        "too-few-epochs",
        _FAMILY,
        meaning="Training stops while the loss still falls.",
        mechanism="What is left to gain is the area under the curve that was never walked; with a fixed"
        " number of epochs, large batches or small data sets mean few steps.",
        recognised="In the last part of the run the loss falls significantly (slope more than 2 standard"
        " errors below zero, judged on block means) by a share worth having, steps have a sensible length,"
        " and the validation loss does not rise. Early stopping, a finished decay, and short demonstrations"
        " that have learned the task are no cause for it.",
        confused={
            "learning-rate-too-low": (
                "the steps are too short; more of them would take orders of magnitude longer"
            ),
            "capacity-too-low": "the loss no longer falls",
        },
        remedy="train two to ten times as many epochs, or until the validation loss stops improving",
        source="Hoffer, Hubara & Soudry, Train Longer, Generalize Better (2017)",
    ),
    Cause(
        "unsuitable-batch-size",
        _FAMILY,
        meaning="So few samples make a step that it is mostly noise, or so many that there are hardly any"
        " steps.",
        mechanism="The gradient of B samples has variance σ²/B; above B ≈ tr(Σ)/‖g‖² (the noise scale)"
        " larger batches hardly improve a step, and an epoch has N/B of them.",
        recognised="Batch of one or two with a loss that stays noisy and does not improve, or one step per"
        " epoch in a run that ends early; together with a run that goes badly. Full-batch methods and small"
        " data sets are excused.",
        confused={
            "learning-rate-too-high": "a lower rate calms the curve at the same batch size",
            "batch-norm-small-batch": "only layers that take statistics over the batch suffer",
            "too-few-epochs": "batches are of a usual size and epochs are few",
        },
        remedy="use 16 to 128 samples a batch, and scale the learning rate along with it",
        source="McCandlish, Kaplan & Amodei, An Empirical Model of Large-Batch Training (2018)",
    ),
    Cause(
        "weight-decay-too-strong",
        _FAMILY,
        meaning="The penalty on the weights outweighs the loss: they shrink instead of learning.",
        mechanism="A step shrinks weights by ηλ (λ = weight decay) and moves them by ηg; they settle where"
        " λ‖w‖ ≈ ‖g‖, near zero for large λ, and the net says little more than a constant.",
        recognised="Weight norms fall steadily by an order of magnitude, λ‖w‖ is as large as the gradient of"
        " the loss, and the training loss stays high. Norms that merely fall, as after a large start, do not"
        " count.",
        confused={
            "capacity-too-low": "weights grow freely and the loss stays high all the same",
            "learning-rate-too-low": "weights hardly move at all",
        },
        remedy="lower weight_decay to 1e-4 or 0, and raise it only if the validation loss gains",
        explains=("capacity-too-low",),
        source="Loshchilov & Hutter, Decoupled Weight Decay Regularization (2019)",
    ),
    Cause(
        "missing-gradient-clipping",
        _FAMILY,
        meaning="Now and then a gradient is enormous, and one step undoes what many have learned.",
        mechanism="Through T applications of the same matrix a gradient grows like ρ^T (ρ = its spectral"
        " radius); a cliff in the loss gives a step thousands of times the usual length.",
        recognised="A recurrent or deep net whose gradient norm spikes to many times its running median,"
        " each spike followed by a jump of the loss, and no clipping in the protocol. A few hard batches"
        " without harm do not count.",
        confused={
            "learning-rate-too-high": "the loss swings all the time, not after rare spikes",
            "invalid-values-in-data": "the batch of the spike holds extreme or invalid values",
        },
        remedy="call torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) between backward() and step()",
        source="Pascanu, Mikolov & Bengio, On the Difficulty of Training Recurrent Neural Networks (2013)",
    ),
    Cause(
        "clipping-too-tight",
        _FAMILY,
        meaning="Gradients are cut to so small a norm that the weights can hardly get anywhere.",
        mechanism="With SGD a clipped step has length η·c (c = allowed norm), so that all T steps together"
        " move the weights by at most η·c·T/(1 − μ), μ = momentum, whatever the gradient says. Adam divides"
        " the factor out again.",
        recognised="Nearly every step is clipped, by a large factor, and the bound on the way is small"
        " beside the weights, while the loss does not come down. Clipping most steps is a recipe of its own"
        " where the run goes well.",
        confused={
            "learning-rate-too-low": "nothing is clipped, or only now and then",
        },
        remedy="raise max_norm to about the 90th percentile of the gradient norms that were measured",
        explains=("learning-rate-too-low", "too-few-epochs"),
        source="Godbole, Dahl, Gilmer, Shallue & Nado, Deep Learning Tuning Playbook (2023)",
    ),
    Cause(
        "scheduler-misuse",
        _FAMILY,
        meaning="The schedule drives the learning rate to nothing, or up, long before it should.",
        mechanism="A schedule counts its own calls: called per batch instead of per epoch it runs N/B times"
        " too fast, and γ^k underflows; periods shorter than the run make the rate rise again at its end.",
        recognised="The order of calls says where the schedule steps, and the rate is below 1 % of its peak"
        " for most of the run while the loss improved before and not after. Decay that ends with the run,"
        " and warm restarts, are as meant.",
        confused={
            "learning-rate-too-low": "the rate was low from the beginning",
            "too-few-epochs": "the rate is still high at the end",
        },
        remedy="call scheduler.step() as often as its lengths count (per epoch or per batch), after"
        " optimizer.step()",
        explains=("learning-rate-too-low", "too-few-epochs"),
        source="PyTorch manual, torch.optim: How to adjust learning rate (2025)",
    ),
    Cause(
        "loss-reduction",
        _FAMILY,
        meaning="The loss is a sum where it should be a mean, or is scaled twice: the step grows with the"
        " batch.",
        mechanism="A sum over B samples has a gradient B times that of the mean, so the rate is in effect"
        " η·B; the same holds for k backward passes per step without dividing by k.",
        recognised="The loss call says reduction='sum', or several backward passes feed one step undivided,"
        " with an optimizer that heeds the scale, and the run swings or diverges. Adam-like optimizers and"
        " clipping cancel the factor.",
        confused={
            "learning-rate-too-high": "the loss is a mean, and the rate itself is large",
            "missing-zero-grad": "gradients of earlier steps are in the sum too",
        },
        remedy="average the loss over samples (reduction='mean'), and divide by the number of accumulated"
        " batches",
        explains=("learning-rate-too-high", "missing-gradient-clipping"),
        source="Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour (2017)",
    ),
    Cause(
        "gradient-ascent",
        _FAMILY,
        meaning="The sign is wrong: each step makes the loss larger.",
        mechanism="The step is −η∇(−L) = +η∇L, so L climbs as fast as it can, without a bound for losses"
        " such as cross-entropy or squared error.",
        recognised="What backward starts from is the negative of a loss function's value, or the optimizer"
        " maximises, and that value rises. Objectives that are to be large (likelihood, reward, the other"
        " side of a game between two nets) are as meant.",
        confused={
            "learning-rate-too-high": "the loss rises although each step goes down its gradient",
        },
        remedy="minimise the loss itself: remove the minus sign, or set maximize=False",
        explains=("learning-rate-too-high", "numeric-instability", "missing-gradient-clipping"),
        source="Goodfellow, Bengio & Courville, Deep Learning, section 4.3 (2016)",
    ),
    Cause(
        "optimizer-state-lost",
        _FAMILY,
        meaning="The optimizer is built anew again and again, and forgets its running averages each time.",
        mechanism="Momentum and Adam's m, v begin at zero; Adam's first step after each new start is η·g/|g|"
        " = ±η for every weight, whatever the gradient's size, and momentum never builds up.",
        recognised="Optimizers with running averages are built from one line for one model, more than once"
        " in a few steps. New optimizers for new models (cross-validation, search) or for a new phase of a"
        " training are as meant.",
        confused={
            "learning-rate-too-high": "one optimizer is kept, and its steps are too long",
        },
        remedy="build the optimizer once, before the loop, and keep it",
        source="Kingma & Ba, Adam: A Method for Stochastic Optimization (2015)",
    ),
)
