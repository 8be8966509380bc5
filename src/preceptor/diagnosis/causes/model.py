"""Causes of the family 'model': what the network is made of, and how it starts."""

from __future__ import annotations

from preceptor.diagnosis.cause import Cause

__all__ = ["CAUSES"]

_FAMILY = "model"

CAUSES = (
    Cause(
        "unsuitable-hidden-activation",
        _FAMILY,
        meaning="The activation between layers lets too little gradient through.",
        mechanism="σ′ ≤ 1/4 for the sigmoid: L layers shrink a gradient by up to 4^−L, and saturated units"
        " (|x| > 5) pass less than 1 %. Positive outputs push all weights of a unit the same way.",
        recognised="Gradients of the first layers are orders of magnitude below those of the last, units are"
        " saturated or dead, and the loss does not come down. Gates of recurrent cells and a shallow net"
        " that learns are excused.",
        confused={
            "bad-initialization": "the activation is sound, and the weights' scale is not",
            "learning-rate-too-low": "gradients of all layers are of one size",
        },
        remedy="use ReLU, GELU or SiLU between layers; keep sigmoid and tanh for gates and outputs",
        source="Glorot, Bordes & Bengio, Deep Sparse Rectifier Neural Networks (2011)",
    ),
    Cause(
        "missing-nonlinearity",
        _FAMILY,
        meaning="Layers follow each other with nothing in between: together they are one linear map.",
        mechanism="W₂(W₁x + b₁) + b₂ = (W₂W₁)x + (W₂b₁ + b₂): depth adds no function that one layer could"
        " not compute.",
        recognised="In the graph, two affine operators with only rearranging ones between them. A narrow"
        " first factor (low rank), projections inside attention and a depthwise pair are as meant.",
        confused={
            "capacity-too-low": "nonlinearities are there, and layers are too few or narrow",
            "unsuitable-hidden-activation": "there is one, and it saturates",
        },
        remedy="put an activation such as ReLU between the layers",
        explains=("capacity-too-low",),
        source="Leshno, Lin, Pinkus & Schocken, Multilayer Feedforward Networks With a Nonpolynomial"
        " Activation Function (1993)",
    ),
    Cause(
        "bad-initialization",
        _FAMILY,
        meaning="Weights start equal, all zero, or at a scale that makes signals vanish or explode.",
        mechanism="Units with equal weights get equal gradients and stay equal for ever. Each layer"
        " multiplies the variance of signals by about n·Var(w) (half of that behind ReLU; n = inputs of a"
        " unit): far from 1 they die out or blow up within a few layers.",
        recognised="Rows of a weight that are identical at the first steps, or activations whose deviation"
        " falls or rises by a constant factor per layer, or a first loss far above the constant"
        " prediction's. Biases, scales of norms, and last layers of residual branches start at 0 or 1 by"
        " design.",
        confused={
            "unsuitable-hidden-activation": "the scale is sound, and the activation shrinks the gradient",
            "learning-rate-too-high": "units were alive at the start and died at one step",
        },
        remedy="use He initialisation (ReLU) or Glorot (tanh), random in every unit; biases zero",
        explains=("unsuitable-hidden-activation", "learning-rate-too-high"),
        source="He, Zhang, Ren & Sun, Delving Deep into Rectifiers (2015)",
    ),
    Cause(
        "capacity-too-low",
        _FAMILY,
        meaning="The model is too small, or too simple, for the task.",
        mechanism="Below the size at which the functions that it can form include a good one, the loss stops"
        " at its approximation error, on training and new data alike.",
        recognised="The training loss is flat at a high level while updates are sound, training and"
        " evaluation agree, and a layer is narrow or the net linear. What a bug keeps high looks the same:"
        " this is named only when no such evidence is there.",
        confused={
            "too-few-epochs": "the loss still falls",
            "learning-rate-too-high": "the level falls when the rate is lowered",
            "broadcast-in-loss": "the loss itself keeps the model at the mean",
        },
        remedy="add units or layers, or one hidden layer where there is none, until the training loss is"
        " good",
        source="Goodfellow, Bengio & Courville, Deep Learning, section 5.2 (2016)",
    ),
    Cause(
        "overfitting",
        _FAMILY,
        meaning="The model memorises: the training loss falls while the validation loss rises.",
        mechanism="After the common part is learned, lowering the training loss further means fitting the"
        " sample's noise; the validation loss has its minimum where that begins.",
        recognised="The validation loss rises from its minimum by more than its noise while the training"
        " loss goes on falling. One rise, a constant gap, or a gap that dropout and augmentation explain, do"
        " not count.",
        confused={
            "inconsistent-preprocessing": "the gap is there from the first epoch",
            "too-little-data": "the gap opens at once, and data are few",
        },
        remedy="stop at the best validation loss; add augmentation, weight decay or dropout, or more data",
        source="Prechelt, Early Stopping — But When? (1998)",
    ),
    Cause(
        "dropout-too-strong",
        _FAMILY,
        meaning="Dropout removes most of the signal, or stands on the output.",
        mechanism="Kept units are scaled by 1/(1 − p), so the variance that dropout adds is x²·p/(1 − p):"
        " for p = 0.9 nine times the signal. On the outputs it erases predictions themselves.",
        recognised="A rate above 0.7 in the graph, or a dropout between the last layer and the loss, while"
        " the training loss stays high. Strong dropout on a large net that learns is a choice.",
        confused={
            "capacity-too-low": "the loss is as high with dropout off",
            "training-mode-in-evaluation": "training is fine, and evaluation drops units too",
        },
        remedy="lower p to 0.1 to 0.5, and leave the output layer without dropout",
        explains=("capacity-too-low",),
        source="Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov, Dropout (2014)",
    ),
    Cause(
        "batch-norm-small-batch",
        _FAMILY,
        meaning="Batch normalisation takes its statistics over one or very few samples.",
        mechanism="The mean of B values has error σ/√B: what is subtracted is mostly noise, for B = 2 each"
        " unit becomes ±1, and the running averages do not match the batches.",
        recognised="Fewer than about 8 values for each statistic at a batch normalisation in training mode"
        " (samples times positions), with evaluation worse than training. A small last batch now and then"
        " does little harm.",
        confused={
            "unsuitable-batch-size": "no layer takes statistics over the batch",
            "training-mode-in-evaluation": "the training batches are large enough",
        },
        remedy="use batches of 16 or more (drop_last=True), or GroupNorm or LayerNorm",
        source="Wu & He, Group Normalization (2018)",
    ),
    Cause(
        "unused-parameters",
        _FAMILY,
        meaning="Layers are built, and never take part in the forward pass.",
        mechanism="A parameter that the loss does not depend on has no gradient and stays as it was drawn;"
        " the net is smaller than it looks.",
        recognised="Parameters of the model that appear in no recorded step and never get a gradient."
        " Branches that run only sometimes, experts and heads of other tasks are met at other steps.",
        confused={
            "detached-graph": "the layer runs, and the way back to it is cut",
            "frozen-parameters": "the layer runs, and is not to learn",
        },
        remedy="call the layer in forward, or delete it",
        source="PyTorch manual, DistributedDataParallel: find_unused_parameters (2025)",
    ),
    Cause(
        "shared-module",
        _FAMILY,
        meaning="One layer object stands in several places by accident, with one set of weights for all.",
        mechanism="[layer] * n repeats one object: its gradient is the sum over all places, its weights must"
        " suit each of them, and a normalisation mixes their statistics.",
        recognised="A module that runs several times within one forward pass at consecutive depths, equal in"
        " shape. Weight tying of embeddings and outputs, siamese nets, recurrence and weightless modules are"
        " as meant.",
        confused={
            "capacity-too-low": "each layer has weights of its own",
            "unused-parameters": "copies were made, and left out",
        },
        remedy="make one object each: nn.ModuleList(Layer(...) for _ in range(n))",
        source="PyTorch manual, torch.nn.ModuleList (2025)",
    ),
)
