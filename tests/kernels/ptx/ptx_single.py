"""One PTX instruction on columns of operands: what the tests of arithmetic run."""

from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.kernels.ptx import Module, Pointer, run

_BYTES = {"8": 1, "16": 2, "32": 4, "64": 8}


def kernel_text(body: str, operands: list[str], results: list[str]) -> str:
    """A kernel that loads %a, %b, ... of the given types, runs `body`, stores %w, %x, ..."""
    inputs, outputs = "abcde"[: len(operands)], "wxyz"[: len(results)]
    names = [*inputs, *outputs]
    lines = [
        ".version 8.0",
        ".target sm_80",
        ".address_size 64",
        f".visible .entry single({', '.join(f'.param .u64 p{name}' for name in names)})",
        "{",
        ".reg .b32 %tid, %cta, %ntid;",
        ".reg .b64 %n, %q, %off;",
        ".reg .pred %p<9>;",
        *(
            f".reg .{kind} %{name};"
            for name, kind in zip(names, [*operands, *results], strict=True)
        ),
        "mov.u32 %tid, %tid.x; mov.u32 %cta, %ctaid.x; mov.u32 %ntid, %ntid.x;",
        "mad.lo.s32 %tid, %cta, %ntid, %tid;",
        "cvt.u64.u32 %n, %tid;",
    ]
    for name, kind in zip(inputs, operands, strict=True):
        lines += _place(name, kind) + [f"ld.global.{kind} %{name}, [%q];"]
    lines.append(body)
    for name, kind in zip(outputs, results, strict=True):
        lines += _place(name, kind) + [f"st.global.{kind} [%q], %{name};"]
    return "\n".join([*lines, "ret;", "}"])


def _place(name: str, kind: str) -> list[str]:
    size = _BYTES[kind.lstrip("bsuf")]
    return [
        f"ld.param.u64 %q, [p{name}];",
        f"mul.lo.u64 %off, %n, {size};",
        "add.u64 %q, %q, %off;",
    ]


def evaluate(
    body: str, operands: dict[str, npt.NDArray[Any]] | list[npt.NDArray[Any]], *results: str
) -> list[npt.NDArray[Any]]:
    """The results, as unsigned bits, of `body` for each row of the operand columns.

    Args:
        body: PTX that computes %w (, %x, ...) from %a (, %b, ...).
        operands: a column per operand; its dtype decides the register type (uint is .bN).
        results: the types of the results, as .bN, .fN and so on.
    """
    columns = list(operands)
    kinds = [f"{'f' if c.dtype.kind == 'f' and c.itemsize > 2 else 'b'}{8 * c.itemsize}"
             for c in columns]
    size = columns[0].size
    pad = -size % 32
    padded = [np.ascontiguousarray(np.concatenate([c, np.repeat(c[-1:], pad)])) for c in columns]
    outputs = [
        np.zeros(size + pad, f"u{_BYTES[kind.lstrip('bsuf')]}") for kind in results
    ]
    kernel = Module.parse(kernel_text(body, kinds, list(results))).kernel("single")
    run(kernel, (size + pad) // 32, 32, [Pointer(x) for x in (*padded, *outputs)])
    return [output[:size] for output in outputs]
