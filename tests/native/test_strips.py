"""Operations that run in strips of rows, and convolutions that run by lines, compute what they compute apart."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.native import Engine, passes, strips
from axialzoo.native.arena import place
from axialzoo.native.builder import Builder
from axialzoo.native.engine import Compiled
from axialzoo.native.program import Kernel, Matrix, Program, Step
from axialzoo.native.reference import run_program, view_array
from axialzoo.native.weights import Weights
from axialzoo.ops.kernels import kernel, use_kernel
from tests.native.test_agreement import TOLERANCE, arrays, images
from tests.parity.common import CASES, tensors

pytestmark = pytest.mark.skipif(kernel() is None, reason="no kernel here")


@pytest.fixture
def short_strips(monkeypatch):
    """Group the operations of small maps too, in strips as short as can be."""
    for module in (strips, passes):
        monkeypatch.setattr(module, "LARGE", 0)
    monkeypatch.setattr(strips, "BUDGET", 0)


@pytest.mark.parametrize("name", ["xs_odd", "panoptic", "panoptic_pyramid", "decoder", "fcos", "unet", "dilated"])
def test_strips_compute_the_same_bits_for_any_number_of_threads(name, short_strips, monkeypatch):
    case = CASES[name]
    weights, x = tensors(case.spec, "float32"), images(case.spec, case.size)
    engine = Engine(case.spec, weights)
    outputs = list(arrays(engine.outputs(x)))
    groups = engine.compiled(2, case.size).program.strips
    assert groups and any(len(group.rows) > 1 and group.local for group in groups)
    alike = list(arrays(Engine(case.spec, weights, 3).outputs(x)))
    monkeypatch.setattr(strips, "BY_ROWS", ())
    engine = Engine(case.spec, weights)
    expected = list(arrays(engine.outputs(x)))
    assert not engine.compiled(2, case.size).program.strips
    assert all(np.array_equal(y, reference) for y, reference in zip(outputs, expected, strict=True))
    assert all(np.array_equal(y, reference) for y, reference in zip(alike, expected, strict=True))


def convolutions(inputs: int, outputs: int, kernel: Kernel, size: tuple[int, int], activation: str) -> Program:
    """Return a program of a convolution that adds a residual and a depthwise convolution of its result."""
    rng = np.random.default_rng(inputs)
    build = Builder(Weights({}, 1e-5), (2, *size, inputs))
    weight = rng.standard_normal((kernel.side**2, inputs, outputs), np.float32) / inputs**0.5
    x = build.convolution("residual", build.image, Matrix(weight[:1], np.zeros(outputs, np.float32)), stride=kernel.stride)
    y = build.new(2, x.size, outputs)
    bias = rng.standard_normal(outputs, np.float32)
    build.append(Step("convolution", "conv", build.image, y, Matrix(weight, bias), x, activation=activation, kernel=kernel))
    matrix = Matrix(rng.standard_normal((9, outputs), np.float32), bias)
    program = build.program({"y": y, "depthwise": build.convolution("depthwise", y, matrix, activation="relu")})
    program.strips = strips.group(program)
    place(program)
    return program


def differences(program: Program, compiled: Compiled) -> float:
    """Return the largest difference of the kernel's results from those of numpy, over their largest value."""
    x = np.random.default_rng(1).standard_normal(program.input.shape, np.float32)
    library = kernel()
    assert library is not None
    compiled.run(library, x, 2)
    outputs = [compiled.array(view).copy() for view in program.output_views()]
    arena = np.zeros(program.floats, np.float32)
    run_program(program, arena, x)
    memories = {view.buffer: arena[program.buffers[view.buffer].offset :] for view in program.output_views()}
    expected = [view_array(memories[view.buffer], view) for view in program.output_views()]
    return max(float(abs(y - reference).max() / abs(reference).max()) for y, reference in zip(outputs, expected))


@pytest.mark.parametrize("width", [49, 75])
@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "activation"),
    [
        (3, 32, Kernel(3, 1, 1, 1), "relu"), (3, 20, Kernel(7, 2, 1, 3), "none"), (20, 16, Kernel(3, 1, 2, 2), "silu"),
        (32, 3, Kernel(3, 1, 1, 1), "relu"), (48, 48, Kernel(3, 2, 1, 1), "relu"), (70, 130, Kernel(3, 1, 6, 6), "none"),
        (40, 40, Kernel(), "gelu"), (16, 1, Kernel(), "none"),
    ],
)  # fmt: skip
def test_convolutions_of_wide_maps_are_those_of_numpy(width, inputs, outputs, kernel, activation, short_strips):
    for path in ("portable", "avx2", "avx512"):
        if path in library_paths():
            with use_kernel(path):
                program = convolutions(inputs, outputs, kernel, (11, width), activation)
                assert differences(program, Compiled(program)) <= TOLERANCE


def library_paths() -> tuple[str, ...]:
    library = kernel()
    assert library is not None
    return library.isas


def test_rows_that_a_strip_misses_are_noticed(short_strips):
    program = convolutions(20, 32, Kernel(3, 1, 1, 1), (11, 75), "relu")
    program.strips[0].rows[3:, :-1, 1] -= 1  # planted
    assert differences(program, Compiled(program)) > 10 * TOLERANCE
