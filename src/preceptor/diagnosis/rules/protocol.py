"""Rules: the order of zeroing, backward and step, and states that are carried from call to call."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from preceptor.diagnosis._cuts import above
from preceptor.diagnosis._order import count, line_of, on
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.observation.graph import Graph, Node, Value

__all__: list[str] = []


def _followed(case: Case) -> Iterator[tuple[dict[str, Any], dict[str, int]]]:
    """Yield each optimizer with what is known of the gradients of its first steps, from two steps on."""
    for optimizer in case.optimizers:
        counts = optimizer.get("gradients") or {}
        if counts.get("steps", 0) >= 2:
            yield optimizer, counts


@rule("missing-zero-grad", early=True)
def missing_zero_grad(case: Case) -> Iterator[Finding]:
    """Name gradients that are added to although the step before has used them.

    With g_s the gradient of step s, the optimizer is given Σ_{s ≤ t} g_s in place of g_t. Exact: the tensor
    that ``.grad`` holds at a step is the same, untouched, when the next backward pass adds to it. Clearing
    by hand touches it; accumulation has no step in between; a closure clears within the step; what another
    loss leaves in a part that is cleared before its own turn (games between nets) is cleared. PyTorch
    manual, Optimizer.zero_grad (2025).
    """
    for optimizer, counts in _followed(case):
        carried, steps = counts["carried"], counts["steps"]
        if not carried:
            continue
        zeroed = count(case, "zero_grad")
        always = carried >= steps - 1
        when = "never cleared" if always and not zeroed else "not cleared before the next backward pass"
        yield Finding(
            "missing-zero-grad",
            "critical",
            f"Gradients are {when}: {carried} of the first {steps} steps of {optimizer['label']} add"
            " to gradients that were used already.",
            {
                "steps that were followed": steps,
                "onto used gradients": carried,
                "calls of zero_grad in the run": zeroed,
                "optimizer built at": optimizer.get("where", ""),
            },
            exact=True,
            where=line_of(case, "backward"),
            steps=(1,),
            effect="each step follows the sum of all gradients so far, taken at weights that are long gone",
        )


@rule("missing-backward", early=True)
def missing_backward(case: Case) -> Iterator[Finding]:
    """Name steps that no backward pass has prepared.

    Of the first steps of an optimizer, exactly: no parameter has a gradient and no backward pass came
    before (step without backward); the gradients of a backward pass were cleared before the step used them
    (zero_grad between backward and step, or step before backward); or the gradients are those of the step
    before, untouched, with no backward pass since. Gradients that the program sets itself count as new. One
    such step, as before the first backward pass, does not count. PyTorch manual, torch.optim (2025).
    """
    for optimizer, counts in _followed(case):
        steps, label = counts["steps"], optimizer["label"]
        evidence: dict[str, Any] = {"steps that were followed": steps}
        idle = "the weights stay as they are, or only decay"
        if counts["none"] == steps and not counts["backward"]:
            title = f"No backward pass prepares the steps of {label}: its parameters have no gradient."
            evidence["without a gradient"], effect = counts["none"], idle
        elif counts["cleared"] >= max(2, steps - 2):
            title = f"Gradients are cleared between backward and step: {label} steps without any."
            evidence["cleared before the step"], effect = counts["cleared"], idle
        elif counts["stale"] >= max(2, steps // 2):
            title = f"{counts['stale']} of the first {steps} steps of {label} repeat an earlier gradient."
            evidence["without a new backward pass"] = counts["stale"]
            effect = "several steps follow one gradient, at weights where it is no longer the slope"
        else:
            continue
        yield Finding(
            "missing-backward",
            "critical" if effect == idle else "warning",
            title,
            evidence,
            exact=True,
            where=line_of(case, "step", on(label)),
            steps=(0, 1),
            effect=effect,
        )


@rule("state-not-detached", early=True)
def state_not_detached(case: Case) -> Iterator[Finding]:
    """Name a state that brings the graph of earlier pieces into the next backward pass.

    Exact, from one recorded step with losses L₁, L₂, … each followed by its backward pass: an operator of a
    module in the graph of L_k runs after L_{k−1} was there, and along a path with gradients depends on an
    operator of the same module that L_{k−1} has gone back through already. Each piece is then gone back
    through again by all later ones, which takes time k and counts its gradient up to k times. Several losses
    of one forward pass, and a net whose output another net judges twice, have no such path. Williams & Peng,
    An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network Trajectories (1990).
    """
    for step, graph in sorted(case.graphs.items()):
        found = _carried(graph)
        if found is None:
            continue
        late, early, pieces = found
        name = late.module or late.module_type or late.op
        yield Finding(
            "state-not-detached",
            "warning",
            f"The state of {name} keeps the graph of earlier pieces: each of {pieces} backward passes goes"
            " back through all before it.",
            {"backward passes in one step": pieces, "operator": late.op, "also gone through": early.op},
            exact=True,
            where=line_of(case, "backward") or late.where,
            layers=(name,),
            steps=(step,),
            effect=f"the first piece is gone back through {pieces} times; time grows with each piece, and"
            " gradients of long chains vanish or explode",
            remedy="detach the state between pieces (state = state.detach()) and drop retain_graph=True",
        )
        return


@rule("state-not-detached", early=True)
def state_of_earlier_steps(case: Case) -> Iterator[Finding]:
    """Name a state of an earlier step that enters the loss together with its history.

    Exact, from a recorded step of a run with one optimizer: among what the loss depends on is a tensor that
    an operator made before the optimizer's last step, and that still has a gradient to give. The backward
    pass then goes on through all earlier steps (with retain_graph=True; without it torch raises an error),
    with weights that are no longer those of the forward pass. With several optimizers what one of them left
    for the next is as meant. Williams & Peng (1990).
    """
    if len(case.optimizers) != 1:
        return
    for step, structure in case.structures.items():
        carried = [
            (node, value)
            for node in structure.nodes
            for value in node.inputs
            if value.kind == "carried" and value.requires_grad
        ]
        if step == 0 or not carried:
            continue
        node, value = carried[0]
        name = node.module or node.module_type
        seconds = case.signal("backward_seconds").values
        evidence: dict[str, Any] = {"read at": node.where, "shape": list(value.shape), "step": step}
        if len(seconds) > 2 and seconds[0] > 0:
            evidence["backward pass, last ÷ first"] = round(float(seconds[-1] / seconds[0]), 1)
        yield Finding(
            "state-not-detached",
            "warning",
            f"What {node.where} reads was made in an earlier step and still has its history: backward goes on"
            " through it.",
            evidence,
            exact=True,
            where=node.where,
            layers=(name,) if name else (),
            steps=(step,),
            effect="each backward pass goes through all steps so far: time and memory grow, and gradients are"
            " mixed with those of old weights",
            remedy="detach what is carried on (state = state.detach()) and drop retain_graph=True",
        )
        return


def _carried(graph: Graph) -> tuple[Node, Node, int] | None:
    """Return an operator, the earlier one of its module that it depends on, and the number of losses."""
    losses = [loss for loss in graph.losses if loss.producer is not None and loss.requires_grad]
    for before, after in pairwise(losses):
        if before.producer is None or after.producer is None:
            continue
        gone = _with_gradient(graph, before)
        for index in sorted(_with_gradient(graph, after)):
            node = graph.nodes[index]
            if index <= before.producer.index or not node.module_type:
                continue
            twin = next((graph.nodes[i] for i in above(node) & gone if _alike(graph.nodes[i], node)), None)
            if twin is not None:
                return node, twin, len(losses)
    return None


def _alike(one: Node, other: Node) -> bool:
    return (one.op, one.module, one.module_type) == (other.op, other.module, other.module_type)


def _with_gradient(graph: Graph, loss: Value) -> set[int]:
    """Indices of the operators that a backward pass from ``loss`` goes through."""
    return set() if loss.producer is None else {loss.producer.index} | above(loss.producer)
