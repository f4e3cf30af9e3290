"""Files of ``axialzoo predict`` for other tools: cut-outs (``--save-crops``), YOLO's text (``--yolo``) and COCO's JSON (``--coco``)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class ExportedObjects:
    """Writes the objects of each picture as other tools have them.

    Args:
        crops: Folder of cut-outs, one folder a class; None for none.
        yolo: Folder of a text file for each picture and ``classes.txt``; None for none.
        coco: A JSON file for all pictures; None for none.
        pictures: Files that are read.
        force: Whether existing files may be replaced.
    """

    def __init__(self, crops: Path | None, yolo: Path | None, coco: Path | None, pictures: Sequence[Path], *, force: bool):
        from axialzoo.files import check_output

        self.crops, self.yolo, self.coco, self.pictures, self.force = crops, yolo, coco, pictures, force
        self.labels: Sequence[Any] = ()
        self.images: list[tuple[str, tuple[int, int]]] = []
        self.annotations: list[dict[str, Any]] = []
        self.written: list[str] = []
        if coco is not None and coco.suffix.lower() != ".json":
            raise ValueError(f"--coco {coco}: expected a name that ends in .json")
        stems: set[str] = set()
        self.stems = []
        for index, path in enumerate(pictures):
            self.stems.append(path.stem if path.stem not in stems else f"{path.stem}_{index}")
            stems.add(self.stems[-1])
        for option, folder in (("--save-crops", crops), ("--yolo", yolo)):
            if folder is not None and folder.exists() and not folder.is_dir():
                raise NotADirectoryError(f"{option} {folder}: expected a folder, found a file")
        texts = [] if yolo is None else [yolo / f"{stem}.txt" for stem in [*self.stems, "classes"]]
        for target in (*texts, *([] if coco is None else [coco])):
            check_output(target, inputs=pictures, overwrite=force)
        if crops is not None and crops.is_dir() and any(crops.iterdir()) and not force:
            raise FileExistsError(f"--save-crops {crops}: expected an empty or a new folder, found files in it (--force adds to them)")

    def check(self, config: Any, frameworks: Sequence[str], options: Sequence[str]) -> None:
        """Refuse `options` of a model without objects, or of several frameworks.

        Raises:
            SpecError: for a model whose results are classes of the whole picture.
            ValueError: for more than one framework, whose files would have one name.
        """
        from axialzoo.tasks import task_of
        from axialzoo.tasks.object_files import check_has_objects

        self.labels = config.labels
        for option in options:
            check_has_objects(task_of(config.spec.head), option)
            if len(frameworks) > 1 and option != "--min-score":
                raise ValueError(f"{option}: expected one framework, whose results are written, found {','.join(frameworks)}")

    def add(self, index: int, path: Path, picture: Any, result: Any) -> None:
        """Write the cut-outs and the text of picture number `index`, and keep its rows of the JSON."""
        from axialzoo.files import atomic_write, write_text
        from axialzoo.tasks.object_files import coco_objects, crops, yolo_lines

        if self.crops is not None:
            for number, (name, crop) in enumerate(crops(result, picture), 1):
                target = self.crops / (re.sub(r"[^\w.\- ]", "_", name).strip(".") or "_") / f"{self.stems[index]}_{number}.png"
                with atomic_write(target) as beside:
                    crop.save(beside, "PNG")
        if self.yolo is not None:
            target = self.yolo / f"{self.stems[index]}.txt"
            write_text(target, "".join(f"{line}\n" for line in yolo_lines(result, picture.size)))
        if self.coco is not None:
            self.images.append((path.name, picture.size))
            self.annotations += coco_objects(result, len(self.images), len(self.annotations) + 1)

    def finish(self) -> list[str]:
        """Write the JSON and the list of classes, and return the files written."""
        from axialzoo.files import write_text
        from axialzoo.tasks.object_files import coco_file

        self.written += [] if self.crops is None else [str(self.crops)]
        if self.yolo is not None:
            names = self.yolo / "classes.txt"
            write_text(names, "".join(f"{label.name}\n" for label in self.labels))
            self.written.append(str(self.yolo))
        if self.coco is not None:
            write_text(self.coco, json.dumps(coco_file(self.images, self.annotations, self.labels), allow_nan=False) + "\n")
            self.written.append(str(self.coco))
        return self.written
