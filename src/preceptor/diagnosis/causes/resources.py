"""Causes of the family 'precision and resources': half precision, time and memory."""

from __future__ import annotations

from preceptor.diagnosis.cause import Cause

__all__ = ["CAUSES"]

_FAMILY = "precision and resources"

CAUSES = (
    Cause(
        "loss-scale-collapse",
        _FAMILY,
        meaning="Gradients in half precision keep overflowing: steps are left out and the loss scale falls.",
        mechanism="Numbers of 16 bits end at 65,504. The scaler halves its scale S and leaves the step out"
        " whenever a gradient is not finite; S far below 1 means that no scale helps.",
        recognised="The scale falls at more than one step in twenty after the first fifty, or ends below 1."
        " The first ten to twenty steps find the scale, and a fall every two thousand steps probes it.",
        confused={
            "numeric-instability": "one operator makes the value that is not finite, in 32 bits too",
            "learning-rate-too-high": "the loss itself grows",
        },
        remedy="use bfloat16, or find the operator that overflows and run it in float32",
        source="Micikevicius et al., Mixed Precision Training (2018)",
    ),
    Cause(
        "clip-before-unscale",
        _FAMILY,
        meaning="Gradients are clipped while the loss scale is still on them.",
        mechanism="The scaled gradient S·g (S = 65,536 at first) is cut to norm c and then divided by S: the"
        " step sees a gradient of norm c/S, next to nothing, and one that changes with S.",
        recognised="Between scale(loss).backward() and scaler.step() the order of calls has clipping without"
        " unscale_ before it. With a scaler that is disabled nothing is scaled.",
        confused={
            "clipping-too-tight": "gradients are unscaled first, and the allowed norm is tiny",
        },
        remedy="call scaler.unscale_(optimizer) before clip_grad_norm_",
        explains=("clipping-too-tight", "learning-rate-too-low", "too-few-epochs"),
        source="PyTorch manual, Automatic Mixed Precision examples: Gradient clipping (2025)",
    ),
    Cause(
        "updates-lost-to-rounding",
        _FAMILY,
        meaning="Weights are kept in half precision, and most updates are too small to change them.",
        mechanism="A 16-bit weight w moves only if |Δ| > ulp(w)/2: |Δ/w| > 2⁻⁹ = 0.002 in bfloat16 and 2⁻¹²"
        " in float16, while a sound step has |Δ/w| of about 10⁻³.",
        recognised="Parameters of 16 bits whose elements have a gradient and did not change at a step, for"
        " more than half of them, at most looks. In 32 bits the same share means that gradients have"
        " vanished or the run has converged.",
        confused={
            "learning-rate-too-low": "weights are in 32 bits, and each moves a little",
        },
        remedy="keep the weights in float32 and use torch.autocast for the computation",
        explains=("learning-rate-too-low", "too-few-epochs"),
        source="Zamirai, Zhang, Aberger & De Sa, Revisiting BFloat16 Training (2020)",
    ),
    Cause(
        "evaluation-with-gradient",
        _FAMILY,
        meaning="Evaluation records a graph that no backward pass ever uses.",
        mechanism="Every layer's inputs are kept until the output is gone: memory like that of a training"
        " step, and more time; the numbers are the same.",
        recognised="Forward passes of a trained model with gradients recorded that no backward pass follows."
        " Attacks and saliency take gradients of inputs, and have a backward pass.",
        confused={
            "training-mode-in-evaluation": "the mode is wrong, which changes the numbers",
        },
        remedy="evaluate within torch.no_grad() or torch.inference_mode()",
        explains=("memory-growth",),
        source="PyTorch manual, Autograd mechanics: No-grad mode (2025)",
    ),
    Cause(
        "slow-data-loading",
        _FAMILY,
        meaning="Much of the time goes into waiting for the next batch.",
        mechanism="A step takes t_data + t_compute where loading and computing do not overlap, and the"
        " larger of the two where they do.",
        recognised="Waiting for the loader takes a third of a step or more, and adds up to many seconds. In"
        " a run of a few seconds it does not matter.",
        confused={
            "memory-growth": "each step takes longer than the one before",
        },
        remedy="load with worker processes (num_workers, persistent_workers=True), or keep the data in"
        " memory",
        source="Mohan, Phanishayee, Raniwala & Chidambaram, Analyzing and Mitigating Data Stalls in DNN"
        " Training (2021)",
    ),
    Cause(
        "memory-growth",
        _FAMILY,
        meaning="The program keeps something of every step, and its memory grows without an end.",
        mechanism="total += loss keeps the graph of every step alive, a list of outputs all activations;"
        " memory rises in proportion to the number of steps until none is left.",
        recognised="Memory rises along a straight line through the second half of the run, by gigabytes."
        " What is allocated at the start, or once per epoch, does not count.",
        confused={
            "state-not-detached": "time per step grows as well",
            "evaluation-with-gradient": "memory rises during evaluation only",
        },
        remedy="keep numbers, not tensors: total += loss.item(), outputs.append(y.detach().cpu())",
        source="PyTorch manual, Frequently asked questions: memory (2025)",
    ),
)
