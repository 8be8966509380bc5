"""Causes of the family 'procedure': which calls are made, in which order and mode."""

from __future__ import annotations

from preceptor.diagnosis.cause import Cause

__all__ = ["CAUSES"]

_FAMILY = "procedure"

CAUSES = (
    Cause(
        "missing-zero-grad",
        _FAMILY,
        meaning="Gradients of earlier steps are never cleared.",
        mechanism="backward adds: at step t the optimizer is given Σ_{s≤t} g_s, a sum over stale weights,"
        " whose length grows with t; in effect momentum 1 without decay.",
        recognised="Two backward passes with an optimizer's step between them and no zeroing, the second"
        " onto gradients of the first. Accumulation (no step in between) and closures are as meant.",
        confused={
            "learning-rate-too-high": "gradients are cleared, and the rate is too large",
            "loss-reduction": "several backward passes feed one step, and are not divided",
        },
        remedy="call optimizer.zero_grad() in every step, before backward()",
        explains=("learning-rate-too-high", "missing-gradient-clipping", "numeric-instability"),
        source="PyTorch manual, torch.optim.Optimizer.zero_grad (2025)",
    ),
    Cause(
        "missing-backward",
        _FAMILY,
        meaning="The optimizer steps without a new gradient.",
        mechanism="With no gradient a step does nothing (or only weight decay); with the gradient of an"
        " earlier batch it repeats that one.",
        recognised="In the order of calls, a step with no backward pass since the one before, or zeroing"
        " between backward and step. Several optimizers after one backward pass are as meant.",
        confused={
            "detached-graph": "backward runs, and reaches no parameter",
            "parameters-not-optimized": "gradients are there, and the optimizer holds other tensors",
        },
        remedy="call loss.backward() before each optimizer.step(), and zero gradients before it, not after",
        explains=("learning-rate-too-low", "too-few-epochs", "capacity-too-low"),
        source="PyTorch manual, torch.optim: Taking an optimization step (2025)",
    ),
    Cause(
        "parameters-not-optimized",
        _FAMILY,
        meaning="The loss reaches trainable parameters that no optimizer holds.",
        mechanism="Such parameters get gradients and never move; layers on top adapt to random features. An"
        " optimizer built before a head was replaced holds tensors that no longer matter.",
        recognised="Parameters with gradients after backward that are in no optimizer's groups, through the"
        " whole run. Frozen teachers, moving averages and the other net of a game have no gradient or an"
        " optimizer of their own.",
        confused={
            "frozen-parameters": "they are told not to learn (requires_grad=False)",
            "unused-parameters": "they take no part in the forward pass",
        },
        remedy="build the optimizer from the final model: optim.Adam(model.parameters()), after any change"
        " to it",
        explains=("learning-rate-too-low", "too-few-epochs", "capacity-too-low"),
        source="PyTorch manual, torch.optim: Constructing it (2025)",
    ),
    Cause(
        "frozen-parameters",
        _FAMILY,
        meaning="Parameters that should learn have requires_grad=False.",
        mechanism="No gradient is computed for them; the net is a fixed random map with a trained rest.",
        recognised="Frozen parameters in a model that is not known to be pretrained (no weights were"
        " loaded), with a run that learns badly. Fine-tuning freezes on purpose.",
        confused={
            "parameters-not-optimized": "they may learn, and no optimizer holds them",
            "detached-graph": "they may learn, and the way from the loss is cut",
        },
        remedy="set requires_grad_(True) on what should learn, before the optimizer is built",
        explains=("capacity-too-low", "too-few-epochs"),
        source="PyTorch manual, Autograd mechanics: Locally disabling gradient computation (2025)",
    ),
    Cause(
        "detached-graph",
        _FAMILY,
        meaning="The way from the loss back to parameters is cut.",
        mechanism="detach, item, numpy, .data, torch.tensor(...) and no_grad make new leaves: the chain rule"
        " ends there, and everything before stays as it was drawn.",
        recognised="Parameters that took part in the forward pass, may learn, and get no gradient; the graph"
        " names the operator where the way ends. Stop-gradients of target networks, of the other side of a"
        " game and of straight-through tricks have another way round.",
        confused={
            "unused-parameters": "the layer never ran",
            "missing-backward": "nothing is cut, and backward is not called",
        },
        remedy="stay within tensors between parameters and loss; detach only what is logged",
        explains=("learning-rate-too-low", "too-few-epochs", "capacity-too-low"),
        source="PyTorch manual, Autograd mechanics (2025)",
    ),
    Cause(
        "state-not-detached",
        _FAMILY,
        meaning="A recurrent state carries the graph of all earlier batches into the next.",
        mechanism="Backward at batch t goes through all t batches: time and memory grow with t, and torch"
        " raises an error unless the graph is retained.",
        recognised="A step whose graph begins at a tensor made before the step that still has a history, or"
        " backward passes that retain their graph while time per step grows. Penalties on gradients retain"
        " it within one step.",
        confused={
            "memory-growth": "steps take the same time, and something else is kept",
            "missing-gradient-clipping": "the graph has one batch, and is deep",
        },
        remedy="cut the state between batches: state = state.detach(), or a tuple of detached ones",
        explains=("memory-growth",),
        source="Williams & Peng, An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent"
        " Network Trajectories (1990)",
    ),
    Cause(
        "training-mode-in-evaluation",
        _FAMILY,
        meaning="The model is evaluated with dropout on, or with statistics of the evaluation batch.",
        mechanism="Dropout makes figures random and too low; batch normalisation lets a prediction depend on"
        " its neighbours, and moves its running averages towards the evaluation data.",
        recognised="Evaluation passes (no gradient, no step) of a model in training mode that holds dropout"
        " or batch normalisation. Where no such module is there the mode changes nothing; Monte-Carlo"
        " dropout is meant.",
        confused={
            "overfitting": "the gap stays in evaluation mode",
            "inconsistent-preprocessing": "the mode is right, and the data differ",
        },
        remedy="call model.eval() before evaluation, and model.train() before training goes on",
        source="PyTorch manual, torch.nn.Module.eval (2025)",
    ),
    Cause(
        "evaluation-mode-in-training",
        _FAMILY,
        meaning="Training steps run in evaluation mode: dropout is off, batch normalisation does not adapt.",
        mechanism="Running averages stay as they are (at the start 0 and 1), so nothing is normalised;"
        " nothing is dropped, so nothing regularises.",
        recognised="Steps whose forward pass has the model in evaluation mode although it holds dropout or"
        " batch normalisation, usually after the first evaluation. Frozen batch normalisation in fine-tuning"
        " is set for those layers alone.",
        confused={
            "overfitting": "dropout is on, and not enough",
        },
        remedy="call model.train() at the start of every epoch",
        source="PyTorch manual, torch.nn.Module.train (2025)",
    ),
    Cause(
        "stale-best-weights",
        _FAMILY,
        meaning="The 'best' weights are a reference to the live ones, or are kept and never put back.",
        mechanism="state_dict() holds the tensors themselves: they move on with every step, so that loading"
        " 'the best' loads the last.",
        recognised="A state that is taken during training and loaded at the end with the weights unchanged"
        " by it; or early stopping that keeps a state and evaluates without loading it.",
        confused={
            "overfitting": "the best weights are restored, and the gap is real",
        },
        remedy="keep copy.deepcopy(model.state_dict()) at the best epoch, and load it at the end",
        source="PyTorch tutorial, Saving and Loading Models (2025)",
    ),
    Cause(
        "metric-mistake",
        _FAMILY,
        meaning="The figure that is reported is computed wrongly.",
        mechanism="argmax over the batch, division by the number of batches instead of samples, a mean of"
        " means with an uneven last batch, a threshold at 0.5 on logits, or the training data instead of new"
        " ones.",
        recognised="The operators that make the figure, where they are seen: an argmax along the axis of the"
        " samples, a comparison of shapes that broadcast. A figure that contradicts the loss is the hint.",
        confused={
            "train-test-leakage": "the figure is right, and the data are not new",
            "overfitting": "loss and figure agree",
        },
        remedy="count correct predictions over all samples: (logits.argmax(1) == y).sum() / len(y)",
        source="Sokolova & Lapalme, A Systematic Analysis of Performance Measures (2009)",
    ),
)
