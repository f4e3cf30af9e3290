"""The native runtime computes what PyTorch computes: every network that the parity tests have, on the kernel and in numpy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from axialzoo.native import Engine, NoPlan, Weights, check_plan, plan
from axialzoo.native.arena import lifetimes, place
from axialzoo.native.builder import Builder
from axialzoo.native.engine import Compiled
from axialzoo.native.program import Program, Step
from axialzoo.native.reference import run_program, view_array
from axialzoo.native.shapes import Shapes
from axialzoo.native.tokens import cluster_sums
from axialzoo.ops.kernels import kernel, use_kernel
from axialzoo.runtime.local import InProcessModel, Outputs, torch_model
from axialzoo.spec import get_entry, list_models, num_parameters
from axialzoo.spec.heads.classifier import Classifier
from tests.parity.common import CASES, segmenting, small, tensors
from tests.parity.common import axial as axial_block

TOLERANCE = 5e-6  # of the largest value
PATHS = (
    "xs_odd", "panoptic_pyramid", "pre_activation", "decoder", "fcos", "unet", "dilated", "span", "global", "local", "shifted_window",
    "sinusoidal", "max_deeplab_nuclei_xs", "kmax_deeplab_nuclei_xs",
)  # fmt: skip
LARGE = 2_500_000  # parameters; larger networks are compared in the full run
MARKS = {name: [pytest.mark.full] if num_parameters(CASES[name].spec) > LARGE else [] for name in CASES}


def arrays(outputs: Outputs) -> Iterator[np.ndarray]:
    for name in sorted(outputs):
        value = outputs[name]
        yield from value if isinstance(value, list) else [value]


def error(outputs: Outputs, expected: Outputs) -> float:
    pairs = zip(arrays(outputs), arrays(expected), strict=True)
    return max(float(np.abs(y - reference).max() / np.abs(reference).max()) for y, reference in pairs)


def images(spec, size: tuple[int, int], batch: int = 2) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((batch, *size, spec.backbone.in_channels), np.float32)


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks) for name, marks in MARKS.items()])
def test_outputs_are_those_of_pytorch_at_two_sizes(name):
    case = CASES[name]
    weights = tensors(case.spec, "float32")
    engine, model = Engine(case.spec, weights), InProcessModel(torch_model(case.spec, weights))
    for size in (case.size, (case.size[1] | 1, case.size[0] | 1)):
        x = images(case.spec, size)
        assert error(engine.outputs(x), model.outputs(x)) <= TOLERANCE


def test_what_has_no_plan_is_refused_by_name():
    class Other(Classifier):
        kind = "other"

    with pytest.raises(NoPlan, match=r"no plan for the head 'other'.*use framework="):
        check_plan(replace(CASES["xs_odd"].spec, head=Other(5)))


@pytest.mark.full
def test_every_registered_model_has_a_plan():
    for name in list_models():
        check_plan(get_entry(name).spec)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("path", ["plain", "portable", "avx2"])
def test_every_path_computes_the_same(name, path):
    library = kernel()
    if path != "plain" and (library is None or path not in library.isas):
        pytest.skip(f"no {path} here")
    case = CASES[name]
    engine, x = Engine(case.spec, tensors(case.spec, "float32")), images(case.spec, case.size)
    expected = engine.outputs(x)
    with use_kernel(path):
        with pytest.warns(UserWarning, match="runs on numpy") if path == "plain" else contextlib.nullcontext():
            outputs = engine.outputs(x)
        assert error(engine.outputs(x), expected) <= TOLERANCE  # it says so once
    assert error(outputs, expected) <= TOLERANCE


@pytest.mark.parametrize("name", ["xs_odd", "panoptic", "decoder", "local", "max_deeplab_nuclei_xs", "kmax_deeplab_nuclei_xs"])
def test_results_are_the_same_bits_for_any_number_of_threads_and_images(name):
    case = CASES[name]
    weights, x = tensors(case.spec, "float32"), images(case.spec, case.size, 3)
    expected = list(arrays(Engine(case.spec, weights).outputs(x)))
    for threads in (2, 5):
        outputs = Engine(case.spec, weights, threads).outputs(x)
        assert all(np.array_equal(y, reference) for y, reference in zip(arrays(outputs), expected))
    alone = Engine(case.spec, weights).outputs(x[1:2])
    assert all(np.array_equal(y[0], reference[1]) for y, reference in zip(arrays(alone), expected))


def test_programs_of_many_sizes_are_kept_while_their_arenas_are_small(monkeypatch):
    case = CASES["xs_odd"]
    engine = Engine(case.spec, tensors(case.spec, "float32"))
    first = engine.compiled(1, (32, 32))
    monkeypatch.setattr("axialzoo.native.engine.KEPT", 3 * first.program.floats)
    assert engine.compiled(1, (32, 32)) is first
    for side in (33, 34, 35):
        engine.compiled(1, (side, side))
    assert engine.compiled(1, (32, 32)) is not first


def test_a_large_batch_runs_in_parts(monkeypatch):
    case = CASES["fcos"]
    engine, x = Engine(case.spec, tensors(case.spec, "float32")), images(case.spec, case.size, 5)
    expected = list(arrays(engine.outputs(x)))
    monkeypatch.setattr("axialzoo.native.engine.PART", 2 * engine.compiled(1, case.size).program.floats)
    assert all(np.array_equal(y, reference) for y, reference in zip(arrays(engine.outputs(x)), expected, strict=True))


def programs() -> Iterator[Program]:
    for spec in (segmenting(rates=(1, 2)), small(axial_block(8, 16, 2, max_length=9))):
        yield plan(spec, Engine(spec, tensors(spec, "float32")).weights, 2, (29, 34))


def test_a_large_picture_takes_no_more_memory_than_the_maps_in_use():
    spec = get_entry("axial_deeplab_nuclei").spec
    program = plan(spec, Shapes(spec), 1, (1040, 1388))
    lives, floats = lifetimes(program), [buffer.floats for buffer in program.buffers]
    in_use = [sum(floats[buffer] for buffer in lives if lives[buffer][0] <= step <= lives[buffer][1]) for step in range(len(program.steps))]
    assert program.floats <= 1.001 * max(in_use)  # whole cache lines
    assert 4 * program.floats < 2**30 - 2e8  # without the rest of the process
    assert clashes(program) == 0


def clashes(program: Program) -> int:
    """Count the pairs of buffers that share memory while both are in use."""
    lives = lifetimes(program)
    spans = {index: (program.buffers[index].offset, program.buffers[index].offset + program.buffers[index].floats) for index in lives}

    def meet(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return a[0] < b[1] and b[0] < a[1]

    pairs = [(a, b) for a in lives for b in lives if a < b]
    return sum(meet(spans[a], spans[b]) and lives[a][0] <= lives[b][1] and lives[b][0] <= lives[a][1] for a, b in pairs)


def test_buffers_in_use_share_no_memory():
    for program in programs():
        assert clashes(program) == 0
        assert program.floats < 0.7 * sum(buffer.floats for buffer in program.buffers)
        program.buffers[program.steps[1].y.buffer].offset = program.buffers[program.steps[1].x.buffer].offset  # planted
        assert clashes(program) > 0


@pytest.mark.parametrize("path", ["plain", "default"])
def test_pixels_belong_to_the_first_of_the_largest_logits(path):
    x = np.random.default_rng(0).integers(0, 4, (2, 5, 7, 13)).astype(np.float32)
    build = Builder(Weights({}, 1e-5), (2, 5, 7, 13))
    program = build.program({"y": cluster_sums(build, "sums", build.image.part(0, 6), build.image.part(6, 7))})
    place(program)
    compiled = Compiled(program)
    library = None if path == "plain" else kernel()
    run_program(program, compiled.arena, x) if library is None else compiled.run(library, x, 2)
    owner = np.eye(6)[x[..., :6].argmax(3)]  # (N, H, W, T)
    assert np.array_equal(compiled.array(program.outputs["y"])[:, 0], np.einsum("nhwt,nhwv->ntv", owner, x[..., 6:]))


def of_kind(program: Program, kind: str) -> Step:
    return next(step for step in program.steps if step.kind == kind)


def shift(array: np.ndarray) -> None:
    array += 0.1


def first_image(step: Step, name: str) -> None:
    view = getattr(step, name)
    setattr(step, name, replace(view, strides=(0, *view.strides[1:])))


ERRORS: dict[str, tuple[str, Callable[[Program], object]]] = {  # network, and an error planted in its program
    "bias": ("panoptic_pyramid", lambda p: shift(of_kind(p, "depthwise").matrix.bias)),
    "residual": ("panoptic_pyramid", lambda p: setattr(next(step for step in p.steps if step.residual), "residual", None)),
    "reach": ("panoptic_pyramid", lambda p: setattr(of_kind(p, "attention").attention, "reach", 2)),
    "padding": ("panoptic_pyramid", lambda p: setattr(next(step for step in p.steps if step.kernel.side == 3).kernel, "padding", 0)),
    "activation": ("panoptic_pyramid", lambda p: setattr(p.steps[0], "activation", "none")),
    "share": ("panoptic_pyramid", lambda p: shift(next(s for s in p.steps if s.kind == "resize" and s.x.size != (1, 1)).lines.share)),
    "offset": ("shifted_window", lambda p: setattr(of_kind(p, "attention_2d").attention2d.axes[1], "offset", 0)),
    "columns": ("local", lambda p: shift(of_kind(p, "attention_2d").attention2d.axes[1].tables[1][:2])),
    "rows": ("global", lambda p: shift(of_kind(p, "attention_2d").attention2d.axes[0].tables[2][:2])),
    "tokens": ("max_deeplab_nuclei_xs", lambda p: first_image(of_kind(p, "token_product"), "factor")),
    "scale": ("max_deeplab_nuclei_xs", lambda p: shift(of_kind(p, "attention_2d").attention2d.value_scale)),
    "layer norm": ("kmax_deeplab_nuclei_xs", lambda p: shift(of_kind(p, "layer_norm").matrix.weight)),
    "owners": ("kmax_deeplab_nuclei_xs", lambda p: first_image(of_kind(p, "cluster_sums"), "factor")),
}


@pytest.mark.parametrize("change", ERRORS)
def test_a_planted_error_is_caught(change):
    name, plant = ERRORS[change]
    case = CASES[name]
    weights, x = tensors(case.spec, "float32"), images(case.spec, case.size)
    engine = Engine(case.spec, weights)
    expected = engine.outputs(x)
    program = plan(case.spec, engine.weights, 2, case.size)
    plant(program)
    arena = np.zeros(program.floats, np.float32)
    run_program(program, arena, x)
    memories = [arena[buffer.offset :][: buffer.floats] for buffer in program.buffers]
    outputs = {name: view_array(memories[view.buffer], view).reshape(expected[name].shape) for name, view in program.outputs.items()}
    assert error(outputs, expected) > 10 * TOLERANCE
