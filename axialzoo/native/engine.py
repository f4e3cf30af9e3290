"""Execution of programs: by the compiled kernel in one call, or by numpy where there is none."""

from __future__ import annotations

import ctypes
import threading
import warnings
from collections import OrderedDict

import numpy as np

from axialzoo.native.attention2d import kernel_structure
from axialzoo.native.planner import check_plan, plan
from axialzoo.native.program import ACTIVATIONS, KINDS, Buffer, Matrix, Program, Step, Strips, View
from axialzoo.native.reference import run_program, view_array
from axialzoo.native.weights import Tensors, Weights
from axialzoo.ops.attributes import SCALES, TABLES
from axialzoo.ops.folding import pack
from axialzoo.ops.kernels import Kernel, kernel, kernel_status
from axialzoo.ops.kernels.structures import AxialForward, AxialMap, AxialProgram, AxialStep, AxialStrips
from axialzoo.spec import Model

Outputs = dict[str, "np.ndarray | list[np.ndarray]"]
PART = 2**23  # floats of an arena up to which images of a batch run together
KEPT = 2**26  # floats of all arenas that an engine keeps, for programs of different sizes
WIDTH, STEP = 64, 16  # outputs of a panel of a packed weight, and the multiple of which the last panel is


class Compiled:
    """A program as the kernel's structures, which point into its arena.

    Args:
        program: The program, with its buffers placed.
    """

    def __init__(self, program: Program):
        self.program = program
        self.arena = aligned_floats(program.floats)
        self._alive: list[object] = []  # what the structures point to
        self._local = {buffer: place for strips in program.strips for buffer, place in strips.local.items()}
        self.steps = (AxialStep * len(program.steps))(*map(self._step, program.steps))
        calls: list[AxialStep] = []
        self._timed: list[tuple[int, int]] = []  # operation, and the call that is it
        for index, step in enumerate(self.steps):
            strips = next((strips for strips in program.strips if strips.first <= index < strips.last), None)
            if strips is None:
                self._timed.append((index, len(calls)))
                calls.append(step)
            elif index == strips.first:
                calls.append(AxialStep(kind=KINDS.index("strips"), strips=self._strips(strips)))
        self._calls = (AxialStep * len(calls))(*calls)
        self.call = AxialProgram(count=len(calls), timed=0, steps=ctypes.addressof(self._calls))

    def run(self, library: Kernel, x: np.ndarray, threads: int, timed: bool = False) -> None:
        """Run all operations on the images (N, H, W, C); the outputs lie in the arena afterwards."""
        self.array(self.program.input)[:] = x
        self.call.timed = int(timed)
        library.run("program", self.call, threads)
        for index, call in self._timed if timed else ():
            self.steps[index].seconds = self._calls[call].seconds

    def memory(self, buffer: Buffer) -> np.ndarray:
        """Return the memory of a buffer, (floats,)."""
        if buffer.constant is not None:
            return buffer.constant.reshape(-1)
        return self.arena[buffer.offset : buffer.offset + buffer.floats]

    def array(self, view: View) -> np.ndarray:
        """Return a map, (N, H, W, C), in the arena."""
        return view_array(self.memory(self.program.buffers[view.buffer]), view)

    def _address(self, array: np.ndarray | None) -> int:
        if array is None:
            return 0
        self._alive.append(array)
        return array.ctypes.data

    def _strips(self, strips: Strips) -> int:
        """Return the address of the structure of operations that run together."""
        structure = AxialStrips(
            count=strips.last - strips.first, batch=self.program.steps[strips.first].y.shape[0], strips=len(strips.rows),
            floats=strips.floats, rows=self._address(strips.rows),
            steps=ctypes.addressof(self.steps) + strips.first * ctypes.sizeof(AxialStep),
        )  # fmt: skip
        self._alive.append(structure)
        return ctypes.addressof(structure)

    def _map(self, view: View | None) -> AxialMap:
        if view is None:
            return AxialMap()
        if view.buffer in self._local:
            offset, rows = self._local[view.buffer]
            every = view.strides[1] // self.program.buffers[view.buffer].line
            return AxialMap(4 * (offset + view.offset) + 1, *view.strides, rows // every)
        return AxialMap(self._address(self.memory(self.program.buffers[view.buffer])) + 4 * view.offset, *view.strides)

    def _step(self, step: Step) -> AxialStep:
        n, h, w, outputs = step.y.shape
        kernel = step.kernel
        fields = {
            "kind": KINDS.index(step.kind), "activation": ACTIVATIONS.index(step.activation), "late": int(step.late), "batch": n,
            "height": h, "width": w, "outputs": outputs, "in_height": step.x.shape[1], "in_width": step.x.shape[2],
            "inputs": step.x.channels, "side": kernel.side, "stride": kernel.stride, "dilation": kernel.dilation,
            "padding": kernel.padding, "x": self._map(step.x), "residual": self._map(step.residual), "factor": self._map(step.factor),
            "y": self._map(step.y), "epsilon": step.epsilon,
        }  # fmt: skip
        for axis, taps in (("line", step.lines), ("position", step.positions)):
            if taps is not None:
                fields |= {f"{axis}_{name}": self._address(getattr(taps, name)) for name in ("low", "high", "share")}
        if step.attention2d is not None:
            self._alive.append(structure := kernel_structure(step, self._address))
            fields["attention2d"] = ctypes.addressof(structure)
        elif step.attention is not None:
            fields["attention"] = self._attention(step)
        elif step.matrix is not None:
            weight, bias = packed(step.matrix)
            fields |= {"weight": self._address(weight), "bias": self._address(bias)}
        return AxialStep(**fields)

    def _attention(self, step: Step) -> int:
        arrays, matrix = step.attention, step.matrix
        assert arrays is not None and matrix is not None
        if "attention" not in matrix.packed:
            weight, bias = pack(matrix.weight[0].T, matrix.bias)
            matrix.packed |= {"attention": weight, "attention_bias": bias}
        x, y, attended, other = self._map(step.x), self._map(step.y), ("line", "position")[arrays.axis], ("position", "line")[arrays.axis]
        rows = next((len(table) for table in arrays.tables if table is not None), 1)
        scales, size = self._address(arrays.scales), step.x.size
        tables = dict(zip(TABLES, map(self._address, arrays.tables)))
        factors = {name: scales + 4 * index * arrays.heads for index, name in enumerate(SCALES)}  # addresses of floats
        factors[SCALES[0]] *= arrays.content_similarity
        structure = AxialForward(
            batch=step.x.shape[0], others=size[1 - arrays.axis], length=size[arrays.axis], heads=arrays.heads, key_depth=arrays.key_depth,
            value_depth=step.y.channels // arrays.heads, reach=arrays.reach, table_reach=rows // 2, x=x.data, x_batch=x.batch,
            x_other=getattr(x, other), x_position=getattr(x, attended), inputs=step.x.channels,
            weight=self._address(matrix.packed["attention"]), bias=self._address(matrix.packed["attention_bias"]),
            **tables, **factors, content_value=arrays.content_value, position_scale=self._address(arrays.position_scale),
            shift=self._address(arrays.shift), out=y.data, out_batch=y.batch,
            out_other=getattr(y, other), out_position=getattr(y, attended), out_head=1, out_depth=arrays.heads,
            relu=int(step.activation == "relu"),
        )  # fmt: skip
        self._alive.append(structure)
        return ctypes.addressof(structure)


class Engine:
    """A network in evaluation as a function of arrays, with a program for each size that it has seen.

    Args:
        spec: The network.
        tensors: Its canonical tensors.
        threads: Threads of the kernel; the result is the same for any number.

    Attributes:
        runs_on: ``"numpy"``, or the instruction set of the kernel.

    Raises:
        NoPlan: naming a part of the network that the native runtime cannot run.
    """

    def __init__(self, spec: Model, tensors: Tensors, threads: int = 1):
        self.spec, self.threads = spec, threads
        self.weights = Weights(tensors, spec.backbone.norm.epsilon)
        self._compiled: OrderedDict[tuple[int, ...], Compiled] = OrderedDict()
        self._floats: dict[tuple[int, ...], int] = {}  # size of an image -> of the arena of one
        self._lock = threading.Lock()
        self._outputs = {} if spec.head is None else spec.head.outputs(spec.backbone)
        self._said = False  # that it is slow
        check_plan(spec)

    @property
    def runs_on(self) -> str:
        library = kernel()
        return "numpy" if library is None else library.isa

    def compiled(self, batch: int, size: tuple[int, int]) -> Compiled:
        """Return the program for a batch of images of one size; the programs that were used last are kept while their arenas are small."""
        key = (batch, *size)
        if key not in self._compiled:
            compiled = Compiled(plan(self.spec, self.weights, batch, size))
            floats = compiled.program.floats
            while self._compiled and floats + sum(other.program.floats for other in self._compiled.values()) > KEPT:
                self._compiled.popitem(last=False)
            self._compiled[key] = compiled
        self._compiled.move_to_end(key)
        return self._compiled[key]

    def outputs(self, x: np.ndarray, timed: bool = False) -> Outputs:
        """Return the outputs by name of images (N, H, W, C), maps as (N, H, W, C). Large batches run in parts that fit the caches."""
        if len(x) == 0:
            raise ValueError(f"x: expected at least one image, found {x.shape}")
        size = x.shape[1:3]
        with self._lock:  # the arena is shared
            if size not in self._floats:
                self._floats[size] = plan(self.spec, self.weights, 1, size).floats
            count = max(1, min(len(x), PART // self._floats[size]))
            count = -(-len(x) // -(-len(x) // count))  # parts of like sizes
            parts = [self._part(x[first : first + count], timed) for first in range(0, len(x), count)]
        return parts[0] if len(parts) == 1 else {name: _joined([part[name] for part in parts]) for name in parts[0]}

    def _part(self, x: np.ndarray, timed: bool) -> Outputs:
        compiled, library = self.compiled(x.shape[0], x.shape[1:3]), kernel()
        if library is None:
            self._say_slow()
            run_program(compiled.program, compiled.arena, x)
        else:
            compiled.run(library, x, self.threads, timed)
        # of the outputs that are no maps
        shapes = {
            name: (-1,) if output.tokens is None else (output.tokens, -1) for name, output in self._outputs.items() if output.stride is None
        }

        def copy(name: str, view: View) -> np.ndarray:
            array = compiled.array(view).copy()
            return array.reshape(len(x), *shapes[name]) if name in shapes else array

        return {
            name: [copy(name, view) for view in value] if isinstance(value, list) else copy(name, value)
            for name, value in compiled.program.outputs.items()
        }

    def _say_slow(self) -> None:
        if not self._said:
            warnings.warn(f"the native runtime runs on numpy, which is slow: {kernel_status().reason}", stacklevel=4)
        self._said = True


def _joined(parts: list) -> np.ndarray | list[np.ndarray]:
    return [np.concatenate(level) for level in zip(*parts)] if isinstance(parts[0], list) else np.concatenate(parts)


def aligned_floats(count: int) -> np.ndarray:
    """Return uninitialised floats that begin at a cache line."""
    memory = np.empty(4 * count + 64, np.uint8)
    first = -memory.ctypes.data % 64
    return memory[first : first + 4 * count].view(np.float32)


def packed(matrix: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Return weight and bias as the kernel reads them: see ``weight`` of AxialStep in ``source/axial.h``."""
    if "weight" not in matrix.packed:
        weight, bias = matrix.weight, matrix.bias
        if weight.ndim == 3:
            outputs = weight.shape[2]
            rows = weight.reshape(-1, outputs)
            panels = []
            for first in range(0, outputs, WIDTH):
                panel = rows[:, first : first + WIDTH]
                panels.append(np.pad(panel, ((0, 0), (0, -panel.shape[1] % STEP))).reshape(-1))
            weight, bias = np.concatenate(panels), np.pad(bias, (0, -outputs % WIDTH))
        matrix.packed |= {"weight": align(weight), "bias": align(bias)}
    return matrix.packed["weight"], matrix.packed["bias"]


def align(array: np.ndarray) -> np.ndarray:
    """Return a copy that begins at a cache line, (floats,)."""
    copy = aligned_floats(array.size)
    copy[:] = array.reshape(-1)
    return copy
