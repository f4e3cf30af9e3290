"""Detection as a task: what the head's spec predicts, and the way from truth by targets and maps back to boxes of the picture."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from axialzoo.image import ResizeTransform, resize_transform
from axialzoo.spec import (
    Label,
    Model,
    Preprocessing,
    SpecError,
    adapt,
    from_dict,
    get_entry,
    list_models,
    parameters,
    same_architecture,
    to_dict,
)
from axialzoo.spec.heads.fcos import FCOS, PostprocessConfig, TargetConfig
from axialzoo.spec.heads.pyramid import Pyramid
from axialzoo.tasks import Detections, Segmentation, batch_targets, task_of
from axialzoo.torch import build
from axialzoo.torch.losses import loss_of
from tests.tasks.detection.scenes import SIZE, SIZES, STRIDES, SURE, located, scene

XS = get_entry("axial_fcos_blood_cells_xs").spec
SPEC = replace(XS, head=FCOS(4, Pyramid(8, STRIDES), 1, targets=TargetConfig(ends=(32.0, 64.0))), input_size=SIZE)
TASK = task_of(SPEC.head)
LONGER = Preprocessing(size=SIZE, resize="longer")
PICTURES = [(90, 200), (96, 160), (300, 170), (37, 61)]  # height and width


def in_view(seed: int, view: ResizeTransform) -> tuple[Detections, Detections]:
    """Boxes that some location is of, in pixels of the picture and of the model's input."""
    drawn = scene(seed, apart=0.4)
    picture = view.to_picture(drawn.boxes)
    moved = Detections(view.to_model(picture), drawn.scores, drawn.labels)
    some = located(moved) & ((moved.boxes[:, 2:] - moved.boxes[:, :2]) > 3).all(1) if len(drawn) else np.zeros(0, bool)
    scores, indices = drawn.scores[some], drawn.labels[some]
    return Detections(picture[some], scores, indices), Detections(moved.boxes[some], scores, indices)


def maps_of(targets: dict[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Outputs of a network that knows the targets."""
    central = np.clip(targets["centerness"].astype(float), 1e-9, 1 - 1e-9)[:, None]
    logits = np.where(targets["classes"][:, None] == np.arange(4), SURE, -SURE)
    rows = {"classes": logits, "boxes": targets["boxes"], "centerness": np.log(central / (1 - central))}
    ends = np.cumsum([height * width for height, width in SIZES])[:-1]
    return {name: [part.reshape(*size, -1) for part, size in zip(np.split(row, ends), SIZES)] for name, row in rows.items()}


def apart(found: Detections, annotation: Detections) -> float:
    """Pixels from each true box to the nearest that was found, of its class, at most."""
    far = np.abs(found.boxes[None] - annotation.boxes[:, None]).max(-1, initial=0)  # (truth, found)
    far[annotation.labels[:, None] != found.labels[None]] = np.inf
    return float(far.min(1, initial=np.inf).max(initial=0))


@pytest.mark.parametrize("picture", PICTURES)
def test_maps_that_know_the_targets_give_the_truth_back_in_the_pictures_own_pixels(picture):
    view, counted = resize_transform(*picture, LONGER), 0
    for seed in range(20):
        annotation, seen = in_view(seed, view)
        remaining = TASK.decode(maps_of(TASK.targets(seen, SPEC, SIZE)), SPEC, view)
        whole = [index for index in range(len(annotation)) if located(seen)[index]]
        counted += len(whole)
        assert apart(remaining, annotation) < 1e-3 * max(1, picture[0] / 50, picture[1] / 50)
        assert (remaining.boxes >= 0).all() and (remaining.boxes <= [picture[1], picture[0]] * 2).all()
    assert counted > 20


def test_a_view_of_another_picture_is_seen():
    view = resize_transform(90, 200, LONGER)
    annotation, seen = in_view(3, view)
    assert len(annotation)
    assert (
        apart(TASK.decode(maps_of(TASK.targets(seen, SPEC, SIZE)), SPEC, resize_transform(100, 200, LONGER)), annotation) < 1e-3
    )  # the same scale
    assert apart(TASK.decode(maps_of(TASK.targets(seen, SPEC, SIZE)), SPEC, resize_transform(90, 210, LONGER)), annotation) > 1


def test_options_go_over_what_the_checkpoint_says_and_unknown_ones_are_refused():
    view = resize_transform(*SIZE, LONGER)
    maps = maps_of(TASK.targets(in_view(3, view)[1], SPEC, SIZE))
    actual = TASK.decode(maps, SPEC, view)
    assert len(actual) > 1 and len(TASK.decode(maps, SPEC, view, max_detections=1)) == 1
    wary = replace(SPEC, head=replace(SPEC.head, postprocess=PostprocessConfig(max_detections=1)))
    assert len(TASK.decode(maps, wary, view)) == 1
    with pytest.raises(ValueError, match=r"options: expected some of threshold, .*, found treshold"):
        TASK.decode(maps, SPEC, view, treshold=0.5)
    with pytest.raises(SpecError, match="threshold"):
        TASK.decode(maps, SPEC, view, threshold=2.0)


def test_segments_that_are_things_are_truth_too():
    ids = np.zeros(SIZE, np.int32)
    ids[8:40, 16:64], ids[60:90, :] = 1, 2
    info = [{"id": 1, "label_id": 0, "area": 32 * 48}, {"id": 2, "label_id": 1, "area": 30 * 160}]
    segments = Segmentation(ids, info, (Label("cell"), Label("sky", thing=False)))
    boxes = Detections(np.array([[16.0, 8, 64, 40]]), np.ones(1), np.array([0]))
    for name, expected in TASK.targets(boxes, SPEC, SIZE).items():
        assert np.array_equal(TASK.targets(segments, SPEC, SIZE)[name], expected) and expected.any()
    metric = TASK.metric(SPEC)
    metric.update(boxes, segments)
    assert metric.compute()["box_ap50"] == pytest.approx(1)
    assert TASK.draw(Image.new("RGB", SIZE[::-1]), {"ground truth": segments, "prediction": boxes}).width > 1900


def test_a_class_that_the_head_has_not_is_refused():
    with pytest.raises(ValueError, match="annotation: expected classes from 0 to 3, found 4"):
        TASK.targets(Detections(np.array([[0.0, 0, 9, 9]]), np.ones(1), np.array([4])), SPEC, SIZE)


@pytest.mark.parametrize("name", list_models(task="detection"))
def test_the_spec_predicts_tensors_and_maps_of_the_modules(name):
    spec = get_entry(name).spec
    head = spec.head
    assert isinstance(head, FCOS)
    with torch.device("meta"):
        model = build(spec).eval()
        maps = model(torch.empty(1, 3, 65, 97))
    assert {parameter.name: parameter.shape for parameter in parameters(spec)} == {k: tuple(v.shape) for k, v in model.state_dict().items()}
    sizes = [(-(-65 // stride), -(-97 // stride)) for stride in head.strides]
    assert head.pyramid.sizes((65, 97)) == sizes
    for map, item in head.outputs(spec.backbone).items():
        assert [tuple(level.shape[1:]) for level in maps[map]] == [(item.channels, *size) for size in sizes]
    assert from_dict(Model, json.loads(json.dumps(to_dict(spec)))) == spec
    assert same_architecture(adapt(spec, num_classes=7), spec)
    assert not same_architecture(replace(spec, head=replace(head, depth=head.depth + 1)), spec)


def test_what_does_not_fit_is_refused():
    with pytest.raises(SpecError, match=r"strides: expected each twice the one before, found \[8, 16, 24\]"):
        Pyramid(8, (8, 16, 24))
    with pytest.raises(SpecError, match=r"expected the first to be among those of the backbone's endpoints, \[2, 4, 8, 16, 32\]"):
        Pyramid(8, (64, 128)).endpoints(XS.backbone)
    with pytest.raises(SpecError, match=r"ends: expected none, or one for each of the 3 levels but the last"):
        FCOS(2, Pyramid(8, (8, 16, 32)), targets=TargetConfig(ends=(8.0,)))
    assert Pyramid(8, (16, 32, 64, 128)).extra(XS.backbone) == 2


@pytest.mark.full
def test_ten_pictures_are_learnt_by_heart():
    torch.manual_seed(0)
    annotations = [in_view(seed, resize_transform(*SIZE, LONGER))[1] for seed in range(60)]
    annotations = [annotation for annotation in annotations if len(annotation) > 1][:10]
    x = np.stack([picture(annotation, seed) for seed, annotation in enumerate(annotations)])
    images = torch.from_numpy(x).permute(0, 3, 1, 2)
    targets = {name: torch.from_numpy(item) for name, item in batch_targets(TASK, annotations, SPEC, SIZE).items()}
    model = build(replace(SPEC, head=replace(SPEC.head, pyramid=Pyramid(32, STRIDES), depth=2)))
    optimizer, loss = torch.optim.AdamW(model.parameters(), 4e-3), loss_of(model.spec.head)
    steps = 500
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 4e-3 * min((step + 1) / 20, 1 - step / steps)
        optimizer.zero_grad()
        loss(model(images), targets, model.spec.head)["total"].backward()
        optimizer.step()
    with torch.no_grad():
        outputs = model.eval()(images)
    metric = TASK.metric(SPEC)
    for index, annotation in enumerate(annotations):
        own = {name: [level[index].permute(1, 2, 0).numpy() for level in maps] for name, maps in outputs.items()}
        metric.update(TASK.decode(own, model.spec, resize_transform(*SIZE, LONGER)), annotation)
    assert metric.compute()["box_ap50"] > 0.95


def picture(annotation: Detections, seed: int) -> np.ndarray:
    """(H, W, 3) float32: noise, and the boxes, the largest below, of their class's colour with a dark edge."""
    rng = np.random.default_rng(seed)
    drawn = Image.fromarray(rng.integers(90, 130, (*SIZE, 3)).astype(np.uint8))
    pen = ImageDraw.Draw(drawn)
    for place in np.argsort(-np.prod(annotation.boxes[:, 2:] - annotation.boxes[:, :2], 1)):
        left, top, right, bottom = annotation.boxes[place]
        colour = ((230, 60, 60), (60, 230, 60), (60, 60, 230), (230, 230, 60))[annotation.labels[place]]
        pen.rectangle((left, top, right - 1, bottom - 1), fill=colour, outline=(10, 10, 10))
    return (np.asarray(drawn, np.float32) / 255 - 0.5) / 0.25
