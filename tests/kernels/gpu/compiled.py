"""``python -m tests.kernels.gpu.compiled CAPABILITY LxDkxDv TYPE``: compiles the kernels for a GPU, which need not be here.

Prints a line a kernel: its name, warps, and the bytes of shared memory that a program takes.
"""

from __future__ import annotations

import sys

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from axialzoo.ops.kernels.gpu import backward, forward
from axialzoo.ops.kernels.gpu.settings import settings

NUMBERS = ("others", "length", "reach", "far", "lines")
STRIDES = ("x_batch", "x_other", "x_position", "out_batch", "out_other", "out_position")


def main(capability: str, shape: str, dtype: str) -> None:
    length, key_depth, value_depth = map(int, shape.split("x"))
    heads, kind, short = 8, getattr(tl, dtype), {"bfloat16": "bf16", "float32": "fp32"}[dtype]
    plan = settings(length, heads, key_depth, value_depth, kind.primitive_bitwidth // 8)
    constants = {
        "heads": heads, "key_depth": key_depth, "value_depth": value_depth, "x_depth": 1, "key_head": key_depth, "value_head": value_depth,
        "out_depth": 1, "out_head": value_depth, "positions_at": heads * value_depth, "CONTENT": True, "QUERY": True, "KEY": True,
        "CONTENT_VALUE": True, "POSITION_VALUE": True, "HEADS": plan.heads, "B": plan.tile, "DK": plan.key_width, "DV": plan.value_width,
        "TYPE": kind, "UNIT": kind, "PRECISION": "ieee",
    }  # fmt: skip
    calls = [(forward.forward_kernel, {"FOLDED": False, "RELU": False}), (forward.forward_kernel, {"FOLDED": True, "RELU": True})]
    calls += [(backward.tables_kernel, {"WHOLE": plan.whole})]
    calls += [] if plan.whole else [(backward.queries_kernel, {}), (backward.keys_kernel, {})]
    for kernel, flags in calls:
        names = kernel.arg_names
        known = {name: 1 for name in ("others", "length", "lines") if length == 1 and name in names}  # as Triton takes arguments of 1
        known |= {name: value for name, value in (constants | flags).items() if name in names}
        pointers = [name for name in names if name not in (*known, *NUMBERS, *STRIDES)]
        types = {name: short if name in ("x", "out", "grad", "grad_x") else "fp32" for name in pointers}
        signature = {name: "constexpr" if name in known else "*" + types[name] if name in types else "i32" for name in names}
        aligned = {(index,): [["tt.divisibility", 16]] for index, name in enumerate(names) if name in (*pointers, *STRIDES)}
        source = ASTSource(kernel, signature, constexprs=known, attrs=aligned)
        options = {"num_warps": plan.warps, "num_stages": plan.stages}
        compiled = triton.compile(source, target=GPUTarget("cuda", int(capability), 32), options=options)
        print(kernel.__name__, plan.warps, compiled.metadata.shared, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
