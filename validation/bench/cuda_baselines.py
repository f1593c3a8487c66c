"""What CUDA kernels are measured against: the same ops as CuPy and PyTorch users would write them.

    cupy         expressions, one kernel for each operation
    cupy.fuse    the elementwise part as one kernel
    cublas       the matrix product by cuBLAS
    torch        PyTorch's eager operations on the same memory

They compute in the number type of their arguments, as the kernels do, and sum in float32 or more.
`xp` is CuPy, or NumPy in its place where there is no GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

Baselines = dict[str, Callable[..., Any]]


def baselines(function: str, xp: Any, moves_only: bool = False) -> Baselines:
    """The baselines of an op, by name; empty if there are none.

    Args:
      function: the name of the specification.
      xp: the array module.
      moves_only: the arrays hold bits that nobody but the kernels computes with.
    """
    found: Baselines = {}
    if moves_only and function not in _MOVING:
        return found
    for name, makers in (("cupy", _EXPRESSIONS), ("cupy.fuse", _FUSED), ("cublas", _PRODUCTS)):
        if function in makers:
            found[name] = partial(makers[function], xp)
    if function in _TORCH and _torch_has_cuda() and xp.__name__ == "cupy":
        found["torch"] = partial(_with_torch, xp, _TORCH[function])
    return found


# ---- squeeze ------------------------------------------------------------------------------------

def _squeeze(xp: Any, y: Any, n: int) -> Any:
    b, h, w, c = y.shape
    tiles = y.reshape(b, h // n, n, w // n, n, c).transpose(0, 1, 3, 5, 2, 4)
    return xp.ascontiguousarray(tiles).reshape(b, h // n, w // n, c * n * n), _zero(xp, y)


def _unsqueeze(xp: Any, x: Any, n: int) -> Any:
    b, h, w, c = x.shape
    rows = x.reshape(b, h, w, c // (n * n), n, n).transpose(0, 1, 4, 2, 5, 3)
    return xp.ascontiguousarray(rows).reshape(b, h * n, w * n, c // (n * n)), _zero(xp, x)


def _zero(xp: Any, x: Any) -> Any:
    return xp.zeros((), computing_dtype(x.dtype.name))


def computing_dtype(dtype: str) -> str:
    """The number type in which kernels for `dtype` compute and return log-dets."""
    return "float64" if dtype == "float64" else "float32"


def _summed(log_scale: Any) -> Any:
    return log_scale.sum((1, 2), dtype=computing_dtype(log_scale.dtype.name))


# ---- coupling -----------------------------------------------------------------------------------

def _sigmoid(xp: Any, raw: Any) -> Any:
    return 1 / (1 + xp.exp(-2 - raw))


def _sigmoid_forward(xp: Any, x: Any, output: Any, deciding: int) -> Any:
    raw, shift = _halves(output)
    scale = _sigmoid(xp, raw)
    mapped = x[..., deciding:] * scale + shift
    return xp.concatenate([x[..., :deciding], mapped], -1), _summed(xp.log(scale))


def _sigmoid_inverse(xp: Any, y: Any, output: Any, deciding: int) -> Any:
    raw, shift = _halves(output)
    scale = _sigmoid(xp, raw)
    mapped = (y[..., deciding:] - shift) / scale
    return xp.concatenate([y[..., :deciding], mapped], -1), -_summed(xp.log(scale))


def _sigmoid_forward_vjp(xp: Any, x: Any, output: Any, deciding: int, y_bar: Any,
                         fldj_bar: Any) -> Any:
    raw, _ = _halves(output)
    scale, bar = _sigmoid(xp, raw), y_bar[..., deciding:]
    raw_bar = (bar * x[..., deciding:] * scale
               + fldj_bar.astype(x.dtype)[:, None, None]) * (1 - scale)
    return (xp.concatenate([y_bar[..., :deciding], bar * scale], -1),
            xp.concatenate([raw_bar, bar], -1))


def _exp_forward(xp: Any, x: Any, output: Any, deciding: int) -> Any:
    raw, shift = _halves(output)
    mapped = x[..., deciding:] * xp.exp(raw + 2) + shift
    return xp.concatenate([x[..., :deciding], mapped], -1), _summed(raw + 2)


def _exp_inverse(xp: Any, y: Any, output: Any, deciding: int) -> Any:
    raw, shift = _halves(output)
    mapped = (y[..., deciding:] - shift) * xp.exp(-2 - raw)
    return xp.concatenate([y[..., :deciding], mapped], -1), -_summed(raw + 2)


def _halves(output: Any) -> tuple[Any, Any]:
    half = output.shape[-1] // 2
    return output[..., :half], output[..., half:]


def _fused_sigmoid_forward(xp: Any, x: Any, output: Any, deciding: int) -> Any:
    raw, shift = _halves(output)
    mapped, log_scale = _fused(xp, _sigmoid_elements)(x[..., deciding:], raw, shift)
    return xp.concatenate([x[..., :deciding], mapped], -1), _summed(log_scale)


def _sigmoid_elements(xp: Any, x: Any, raw: Any, shift: Any) -> Any:
    scale = 1 / (1 + xp.exp(-2 - raw))
    return x * scale + shift, xp.log(scale)


@cache
def _fused(xp: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one kernel; under NumPy, which fuses nothing, as it is."""
    def elements(*arrays: Any) -> Any:
        return function(xp, *arrays)
    return xp.fuse(kernel_name=function.__name__)(elements) if hasattr(xp, "fuse") else elements


# ---- 1x1 convolution ----------------------------------------------------------------------------

def _matrix(xp: Any, lower_upper: Any, permutation: Any) -> Any:
    lower = xp.tril(lower_upper, -1) + xp.eye(len(lower_upper), dtype=lower_upper.dtype)
    return (lower @ xp.triu(lower_upper))[xp.argsort(permutation)]


def _product(xp: Any, x: Any, lower_upper: Any, permutation: Any) -> Any:
    matrix = _matrix(xp, lower_upper, permutation)
    y = xp.matmul(x.reshape(-1, x.shape[-1]), matrix.T).reshape(x.shape)
    return y, _log_det(xp, lower_upper)


def _log_det(xp: Any, lower_upper: Any) -> Any:
    return xp.log(abs(xp.diagonal(lower_upper).astype("float64"))).sum()


def _inverse_product(xp: Any, y: Any, lower_upper: Any, permutation: Any) -> Any:
    inverse = xp.linalg.inv(_matrix(xp, lower_upper, permutation))
    x = xp.matmul(y.reshape(-1, y.shape[-1]), inverse.T).reshape(y.shape)
    return x, -_log_det(xp, lower_upper)


# ---- PyTorch ------------------------------------------------------------------------------------

def _torch_has_cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def _with_torch(xp: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """The function on the same memory, CuPy arrays in and out."""
    import torch
    from torch.utils.dlpack import from_dlpack
    given = [from_dlpack(value) if hasattr(value, "__dlpack__") else value
             for value in arguments]
    with torch.inference_mode():
        return tuple(xp.from_dlpack(result) for result in function(*given))


def _torch_computing_dtype(x: Any) -> Any:
    import torch
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _torch_squeeze(y: Any, n: int) -> Any:
    b, h, w, c = y.shape
    tiles = y.reshape(b, h // n, n, w // n, n, c).permute(0, 1, 3, 5, 2, 4)
    return (tiles.contiguous().reshape(b, h // n, w // n, c * n * n),
            y.new_zeros((), dtype=_torch_computing_dtype(y)))


def _torch_sigmoid_forward(x: Any, output: Any, deciding: int) -> Any:
    import torch
    raw, shift = output.chunk(2, -1)
    mapped = x[..., deciding:] * torch.sigmoid(raw + 2) + shift
    log_scale = torch.nn.functional.logsigmoid(raw + 2)
    return (torch.cat([x[..., :deciding], mapped], -1),
            log_scale.sum((1, 2), dtype=_torch_computing_dtype(x)))


def _torch_product(x: Any, lower_upper: Any, permutation: Any) -> Any:
    import torch
    lower = torch.tril(lower_upper, -1) + torch.eye(
        len(lower_upper), dtype=lower_upper.dtype, device=lower_upper.device)
    matrix = (lower @ torch.triu(lower_upper))[torch.argsort(permutation)]
    return x @ matrix.T, torch.log(torch.abs(torch.diagonal(lower_upper).double())).sum()


_MOVING = ("expand_inverse", "expand_forward")
_EXPRESSIONS: Baselines = {
    "expand_inverse": _squeeze, "expand_forward": _unsqueeze,
    "sigmoid_coupling_forward": _sigmoid_forward, "sigmoid_coupling_inverse": _sigmoid_inverse,
    "sigmoid_coupling_forward_vjp": _sigmoid_forward_vjp,
    "exp_coupling_forward": _exp_forward, "exp_coupling_inverse": _exp_inverse}
_FUSED: Baselines = {"sigmoid_coupling_forward": _fused_sigmoid_forward}
_PRODUCTS: Baselines = {"scale_matvec_lu_forward": _product,
                        "scale_matvec_lu_inverse": _inverse_product}
_TORCH: Baselines = {"expand_inverse": _torch_squeeze,
                     "sigmoid_coupling_forward": _torch_sigmoid_forward,
                     "scale_matvec_lu_forward": _torch_product}
