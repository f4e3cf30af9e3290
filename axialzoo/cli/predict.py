"""``axialzoo predict``."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from axialzoo.cli.completion import complete_weights
from axialzoo.cli.exported_objects import ExportedObjects
from axialzoo.cli.object_files import ObjectFiles
from axialzoo.cli.predict_batch import BATCHES, run_batch
from axialzoo.cli.shared import (
    Device,
    Force,
    Hflip,
    Json,
    NoFused,
    Overlap,
    Quiet,
    Scales,
    Tile,
    emit,
    say,
    say_if_compiling,
    show,
    stdout_kept_clean,
    table,
    tta_options,
)


def run(
    images: Annotated[
        list[Path],
        typer.Argument(help="Pictures, or folders of them; in batches also .tar and .parquet.", metavar="IMAGE..."),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="A name, name.tag, a folder, or org/repo[@revision].", metavar="NAME|FOLDER|ORG/REPO", autocompletion=complete_weights
        ),
    ],
    framework: Annotated[str | None, typer.Option(help="torch, keras, native, or several; default native where it can.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="How many classes or objects to show; default 5 classes, all objects.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Draw the result: a picture, or a folder of them. A name.parquet or name.jsonl: in batches.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Write the objects as a label map of 16 bits: name.tif, or a folder for several pictures.")
    ] = None,
    table_out: Annotated[
        Path | None, typer.Option("--table", help="Write a row for each object: area, box, centroid, intensity.", metavar="NAME.csv")
    ] = None,
    min_score: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Leave out objects of a lower score.")] = None,
    save_crops: Annotated[Path | None, typer.Option(help="Cut out each object: FOLDER/CLASS/PICTURE_1.png.", metavar="FOLDER")] = None,
    yolo: Annotated[Path | None, typer.Option(help="Write the boxes as YOLO's text, a file a picture.", metavar="FOLDER")] = None,
    coco: Annotated[Path | None, typer.Option(help="Write all objects as COCO's JSON.", metavar="NAME.json")] = None,
    page: Annotated[int | None, typer.Option(min=1, help="Page of a TIFF stack, or frame of an animation; default the first.")] = None,
    channel: Annotated[int | None, typer.Option(min=1, help="Channel to read as a grey picture; default all.")] = None,
    tile: Tile = None,
    overlap: Overlap = None,
    hflip: Hflip = False,
    scales: Scales = None,
    no_fused: NoFused = False,
    device: Device = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="In batches: processes; default one a core.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="In batches: of each worker; default 1.")] = None,
    chunk: Annotated[int | None, typer.Option(min=1, help="In batches: pictures of a file of results; default 256.")] = None,
    engine: Annotated[str | None, typer.Option(help="In batches: processes, or ray.")] = None,
    address: Annotated[str | None, typer.Option(help="In batches: of a cluster of Ray; default Ray on this machine.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="In batches: go on; only what is missing is done.")] = False,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict the classes, objects or segments of pictures. Transparent pictures are laid over white, and EXIF rotation is applied.

    A picture that cannot be read is named and left out; the exit code is then 1.

    In batches, with an --out that ends in .parquet or .jsonl, results of any number of pictures go to a folder of files, each of which
    appears whole or not at all; a picture that cannot be read is a row with an error.

    Examples:
      axialzoo predict photo.jpg --model axial_resnet_cifar10
      axialzoo predict a.jpg --model ./folder --framework torch,keras --out b.png
      axialzoo predict *.jpg --model axial_resnet_cifar10 --top 3 --json
      axialzoo predict photos/ --model axial_resnet_cifar10 --out results/
      axialzoo predict photos/ --model axial_resnet_cifar10 --device cuda:1 --json
      axialzoo predict slide.png --model axial_deeplab_nuclei --tile 512x512 --overlap 64 --hflip --out cut.png
      axialzoo predict stack.tif --model axial_deeplab_nuclei --page 3 --out cut.png
      axialzoo predict slide.tif --model axial_deeplab_nuclei --masks masks.tif --table cells.csv
      axialzoo predict photos/ --model axial_fcos_blood_cells --min-score 0.5 --save-crops crops/ --coco found.json --yolo labels/
      axialzoo predict photos/ --model axial_resnet_cifar10 --out results.parquet --workers 2
      axialzoo predict photos/ --model axial_resnet_cifar10 --out results.parquet --workers 2 --resume
      axialzoo predict shards/ --model axial_deeplab_nuclei --out results.jsonl --engine ray
    """
    batch = {"workers": workers, "threads": threads, "chunk": chunk, "engine": engine, "address": address, "resume": resume or None}
    batch = {name: value for name, value in batch.items() if value is not None}
    files = {"--masks": masks, "--table": table_out, "--min-score": min_score, "--save-crops": save_crops, "--yolo": yolo, "--coco": coco}
    named = [name for name, value in files.items() if value is not None]
    if out is not None and out.suffix in BATCHES:
        if named:
            raise ValueError(
                f"{', '.join(named)}: not of predictions in batches; expected an --out that is a picture or a folder, found {out}"
            )
        how = {"framework": framework, "optimize": not no_fused, "device": device, "top": top, "overwrite": force, **batch}
        how |= {"page": page, "channel": channel}
        run_batch(images, model, out, how, tta_options(tile, overlap, hflip, scales), as_json=as_json, quiet=quiet)
        return
    if batch:
        options = ", ".join(f"--{name}" for name in batch)
        raise ValueError(f"{options}: of predictions in batches; expected an --out that ends in {' or '.join(BATCHES)}, found {out}")
    from axialzoo.hub import fetch_checkpoint
    from axialzoo.image import ImageError
    from axialzoo.runtime import Runner
    from axialzoo.runtime.frameworks import choose
    from axialzoo.runtime.local import default_framework
    from axialzoo.runtime.predict import pictures_in, predict_files, prediction_json
    from axialzoo.tasks import tta_from_options
    from axialzoo.tasks.object_files import keep_scores
    from axialzoo.tasks.tta import tile_progress

    tta = tta_from_options(**tta_options(tile, overlap, hflip, scales))
    with stdout_kept_clean():
        paths = pictures_in(images)
        targets = [] if out is None else output_paths(out, paths, several=len(paths) > 1 or images[0].is_dir(), force=force)
        names = [] if framework is None else choose(framework, native=True)
        checkpoint = fetch_checkpoint(model)
        names = names or [default_framework(checkpoint.config.spec, device, not no_fused, lambda text: say(text, quiet))]
        objects = ObjectFiles(masks, table_out, paths, several=len(paths) > 1 or images[0].is_dir(), force=force)
        objects.check(checkpoint.config, names, [name for name in named if name in ("--masks", "--table")])
        exported = ExportedObjects(save_crops, yolo, coco, paths, force=force)
        exported.check(checkpoint.config, names, [name for name in named if name not in ("--masks", "--table")])
        if shared := {*targets} & {*objects.masks, table_out}:
            raise ValueError(f"{shared.pop()}: --out and --masks or --table name one file; expected a file for each")
        if not no_fused:
            say_if_compiling(quiet)
        runners = [Runner(checkpoint, name, optimize=not no_fused, device=device) for name in names]
    config, predictions, drawn, skipped = checkpoint.config, [], [], []
    tile_progress.set(None if quiet or tile is None else _tile_lines())
    for index, prediction in enumerate(predict_files(runners, paths, tta=tta, page=page, channel=channel)):
        if prediction.picture is None:
            skipped.append({"image": str(prediction.path), "error": prediction.error})
            if len(paths) > 1:
                say(f"skipped: {prediction.error}")
            continue
        for note in prediction.notes:
            say(f"{prediction.path}: {note}", quiet)
        if min_score is not None:
            prediction = replace(prediction, results=tuple(keep_scores(result, min_score) for result in prediction.results))
        limit = {} if top is None else {"top": top}
        for runner, result in zip(runners, prediction.results):
            for text in getattr(result, "warnings", ()):
                say(f"warning: {prediction.path}: {text}")
            predictions.append(prediction_json(str(prediction.path), runner, result, **limit))
        results = {runner.title: result for runner, result in zip(runners, prediction.results)}
        if not as_json:
            show(_table(prediction.path, {title: result.summary(**limit) for title, result in results.items()}))
        if named:
            objects.add(index, prediction.path, prediction.picture, prediction.results[0])
            exported.add(index, prediction.path, prediction.picture, prediction.results[0])
        if targets:
            _draw(prediction.picture, results, targets[index], config)
            drawn.append(str(targets[index]))
            say(f"drawn: {targets[index]}", quiet or as_json)
    if not predictions:
        raise ImageError(skipped[0]["error"] if len(skipped) == 1 else f"none of {len(skipped)} pictures can be read")
    written = [*objects.finish(), *exported.finish()]
    for path in written:
        say(f"written: {path}", quiet or as_json)
    if as_json:
        report = {"model": config.model, "digest": config.digest, **tta.options, "predictions": predictions, "pictures": drawn}
        emit({**report, **({"files": written} if written else {}), **({"skipped": skipped} if skipped else {})})
    if skipped:
        raise typer.Exit(1)


def output_paths(out: Path, paths: Sequence[Path], several: bool, force: bool) -> list[Path]:
    """Return the output path of each picture.

    Raises:
        ValueError: for a place that does not suit one picture, or several, and for one of the pictures themselves.
        FileExistsError: for a file that is there already, unless `force`.
    """
    from axialzoo.files import check_output
    from axialzoo.image.draw import picture_format

    targets = [out]
    if not several:
        if out.is_dir():
            raise IsADirectoryError(f"--out {out}: expected a picture such as result.png, found a folder")
        picture_format(out)
    else:
        if out.suffix and not out.is_dir():
            raise ValueError(f"--out {out}: expected a folder for the results of {len(paths)} pictures, found the name of a file")
        if out.exists() and not out.is_dir():
            raise NotADirectoryError(f"--out {out}: expected a folder for the results of {len(paths)} pictures, found a file")
        targets, taken = [], set()
        for index, path in enumerate(paths):
            name = f"{path.stem}.png" if f"{path.stem}.png" not in taken else f"{path.stem}_{index}.png"
            taken.add(name)
            targets.append(out / name)
    for target in targets:
        check_output(target, inputs=paths, overwrite=force)
    return targets


def _tile_lines(seconds: float = 5.0) -> Callable[[int, int], None]:
    """Return a function that says how many tiles of a picture are done, every so many seconds."""
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            say(f"{done:,} of {total:,} tiles")

    return report


def _draw(picture: Any, results: dict[str, Any], target: Path, config: Any) -> None:
    from axialzoo.files import atomic_write
    from axialzoo.image import model_view
    from axialzoo.tasks import task_of

    drawn = task_of(config.spec.head).draw(picture, results, model=config.model, model_view=model_view(picture, config.preprocessing))
    with atomic_write(target) as beside:
        drawn.save(beside)


def _table(image: Path, columns: dict[str, list[tuple[str, float]]]) -> Any:
    """One row a rank, one pair of columns a framework."""
    from axialzoo.image.draw import percent

    shown = table(*(part for title in columns for part in (title, ">")), title=str(image))
    for row in itertools.zip_longest(*columns.values(), fillvalue=None):
        shown.add_row(*(part for cell in row for part in (("", "") if cell is None else (cell[0], percent(cell[1])))))
    return shown
