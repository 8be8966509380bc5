"""How one operator call is written down so that it can be made again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

BACKWARD = "backward"
ESCAPES = frozenset(
    {"item", "tolist", "numpy", "float", "int", "bool", "index", "array", "complex", "__dlpack__"}
)  # a tensor's value goes to Python
CONSTANTS = frozenset(
    {"tensor", "as_tensor", "from_numpy", "asarray", "frombuffer", "from_dlpack", "scalar_tensor"}
    | {"empty", "empty_like", "new_empty", "empty_strided", "new_tensor"}
)  # made from foreign memory or from none: kept as they came out
INDEXING = frozenset({"getitem", "index_select", "take", "select", "narrow", "split", "chunk", "unbind"})
GETTERS = frozenset({"T", "mT", "H", "mH", "real", "imag", "data", "grad"})  # attributes that are tensors
METADATA = frozenset(
    {"requires_grad_", "detach_", "set_", "resize_", "data_set", "requires_grad_set"}
)  # unversioned
IGNORED = frozenset(
    [
        "size",
        "dim",
        "stride",
        "numel",
        "nelement",
        "ndimension",
        "is_floating_point",
        "is_complex",
        "element_size",
        "is_contiguous",
        "len",
        "hash",
        "get_device",
        "storage_offset",
        "data_ptr",
        "untyped_storage",
        "register_hook",
        "repr",
        "format",
        "retain_grad",
        "is_pinned",
        "is_same_size",
        "is_inference",
        "dir",
        "grad_set",
        "register_post_accumulate_grad_hook",
        "is_nonzero_",
        "_is_view",
        "_set_grad_enabled",
        "deepcopy",
        "reduce_ex",
        "has_names",
        "is_signed",
        "is_set_to",
    ]
)  # neither make nor change a tensor
DRAWLESS = frozenset(
    {"linear", "matmul", "mm", "bmm", "einsum", "add", "sub", "rsub", "mul", "div", "truediv"}
    | {"rtruediv", "rmul", "radd", "neg", "pow", "square", "sqrt", "exp", "log", "abs", "relu", "relu_"}
    | {"leaky_relu", "sigmoid", "tanh", "gelu", "silu", "elu", "softplus", "softmax", "log_softmax"}
    | {"clamp", "maximum", "minimum", "where", "conv1d", "conv2d", "conv3d", "max_pool2d", "avg_pool2d"}
    | {"adaptive_avg_pool2d", "batch_norm", "layer_norm", "group_norm", "embedding", "view", "reshape"}
    | {"flatten", "transpose", "permute", "squeeze", "unsqueeze", "expand", "contiguous", "getitem"}
    | {"cat", "stack", "chunk", "split", "T", "sum", "mean", "max", "min", "argmax", "var", "std"}
    | {"float", "long", "to", "detach", "item", "eq", "gt", "lt", "ge", "le", "masked_fill"}
    | {"cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div"}
    | {"binary_cross_entropy", "binary_cross_entropy_with_logits"}
)  # so common that they need not be asked whether they drew a random number
_KEPT_NAMES = {"__get__": "", "__set__": "_set"}
_DEPTH = 6
_FEW = 1024


@dataclass(frozen=True)
class Ref:
    """A tensor's place in a recorded argument: the cell that holds it."""

    cell: int


@dataclass(slots=True)
class Call:
    """A function with its arguments, tensors replaced by `Ref`, and the state it ran under."""

    func: Callable[..., Any]
    args: Any
    kwargs: Any
    outputs: tuple[int, ...] = ()
    grad: bool = True
    autocast: tuple[tuple[str, torch.dtype], ...] = ()
    generators: list[tuple[torch.Generator, Tensor]] = field(default_factory=list)


@dataclass(frozen=True)
class Applied:
    """A custom Function's ``apply``, looked up when it is called."""

    function: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the Function with its own forward and backward."""
        return self.function.apply(*args, **kwargs)


def op_name(func: Any) -> str:
    """Return an operator's name: ``Tensor.__add__`` → "add", ``__iadd__`` → "add_", the getter of T → "T"."""
    name = getattr(func, "__name__", type(func).__name__)
    if name in _KEPT_NAMES:
        return str(getattr(getattr(func, "__self__", None), "__name__", name)) + _KEPT_NAMES[name]
    return _plain(str(name))


@functools.lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    if not (name.startswith("__") and name.endswith("__")):
        return name
    bare = name[2:-2]
    return bare[1:] + "_" if bare in _IN_PLACE else bare


_IN_PLACE = frozenset(
    f"i{op}"
    for op in [
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "div",
        "mod",
        "pow",
        "and",
        "or",
        "xor",
        "lshift",
        "rshift",
        "matmul",
    ]
)


def is_getter(func: Any) -> bool:
    """Whether ``func`` reads an attribute of a tensor."""
    return getattr(func, "__name__", "") == "__get__"


def is_plain_attribute(func: Any) -> bool:
    """Whether ``func`` reads an attribute that is no tensor: a dtype, a shape."""
    return is_getter(func) and getattr(func.__self__, "__name__", "grad") not in GETTERS


def is_ignored(func: Any, name: str) -> bool:
    """Whether a call of ``func`` neither makes nor changes a tensor."""
    return name in IGNORED or (name not in GETTERS and is_getter(func))


def changed_by_name(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """Return the tensors that a call changes in place as far as its name and arguments tell."""
    found: list[Tensor] = []
    first = args[0] if args else kwargs.get("input")
    if name.endswith("_") or name in ("setitem", "data_set", "requires_grad_set") or kwargs.get("inplace"):
        found += tensors_in(first)
    if name in ("batch_norm", "instance_norm"):
        found += [t for t in (*args[1:3], kwargs.get("running_mean"), kwargs.get("running_var")) if _is(t)]
    if name == "embedding" and len(args) > 1:
        found += [args[1]]
    return found + tensors_in(kwargs["out"]) if "out" in kwargs else found


def _is(value: Any) -> bool:
    return isinstance(value, Tensor)


def tensors_in(tree: Any) -> list[Tensor]:
    """Return the tensors of nested lists, tuples, dicts and slices, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    found: list[Tensor] = []
    _collect(tree, found, 0)
    return found


def _collect(tree: Any, found: list[Tensor], depth: int) -> None:
    if isinstance(tree, Tensor):
        found.append(tree)
        return
    if isinstance(tree, dict):
        items: Any = tree.values()
    elif isinstance(tree, (list, tuple)):
        items = tree
    elif isinstance(tree, slice):
        items = (tree.start, tree.stop, tree.step)
    else:
        return
    if depth < _DEPTH:
        for item in items:
            _collect(item, found, depth + 1)


def rebuild(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    """Copy nested containers, with ``leaf`` applied to everything that is not one."""
    if isinstance(tree, Tensor) or not isinstance(tree, _CONTAINERS):
        return leaf(tree)
    if isinstance(tree, tuple):
        items = [rebuild(item, leaf) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    if isinstance(tree, list):
        return [rebuild(item, leaf) for item in tree]
    if isinstance(tree, dict):
        return {key: rebuild(item, leaf) for key, item in tree.items()}
    if isinstance(tree, slice):
        return slice(*(rebuild(item, leaf) for item in (tree.start, tree.stop, tree.step)))
    return tree.copy()


_CONTAINERS = (tuple, list, dict, slice, np.ndarray)


def options_of(args: Any, kwargs: dict[str, Any]) -> str:
    """Return the arguments that are not tensors as short text."""
    parts = [_short(item) for item in args if not isinstance(item, Ref)]
    parts += [
        f"{key}={_short(item)}"
        for key, item in kwargs.items()
        if item is not None and not isinstance(item, Ref)
    ]
    return ", ".join(part for part in parts if part)[:120]


def _short(item: Any) -> str:
    if isinstance(item, (bool, int, float, str, slice, torch.dtype, torch.device)) or item is None:
        return str(item).replace("torch.", "")
    if isinstance(item, (tuple, list)) and len(item) <= 8:
        inner = [_short(part) if not isinstance(part, Ref) else "·" for part in item]
        return f"({', '.join(inner)})"
    return ""


def measure(tensor: Tensor) -> Tensor | None:
    """Return minimum, maximum, mean and standard deviation as one tensor on the tensor's own device."""
    values = tensor.detach()
    size = values.numel()
    if size == 0 or values.layout != torch.strided or values.is_quantized or values.device.type == "meta":
        return None
    if values.is_complex():
        values = torch.view_as_real(values)
        size *= 2
    if not values.is_floating_point():
        if size > 1 << 20:
            return None
        values = values.double()
    elif values.element_size() < 4:
        values = values.float()
    if size == 1:
        value = values.reshape(())
        return torch.stack((value, value, value, value - value))
    if size <= _FEW:
        std, mean = torch.std_mean(values, correction=0)
    else:  # a processor takes several times as long for the two in one pass
        mean = values.mean()
        std = torch.linalg.vector_norm(values - mean) * size**-0.5
    return torch.stack((*_range(values), mean, std))


def _range(values: Tensor) -> tuple[Tensor, Tensor]:
    if values.device.type in ("cpu", "cuda"):
        low, high = torch.aminmax(values)
        return low, high
    return values.min(), values.max()


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors agree in shape, type and every bit; NaN equals the same NaN."""
    if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
        return False
    if a.layout != torch.strided:
        return bool(torch.equal(a.to_dense(), b.to_dense()))
    left, right = (t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (a, b))
    return bool(torch.equal(left, right))
