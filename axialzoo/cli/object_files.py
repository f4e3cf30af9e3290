"""Files of ``axialzoo predict`` for objects: label maps (``--masks``) and a table (``--table``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


class ObjectFiles:
    """Writes a label map for each picture and one table for all of them.

    Args:
        masks: A TIFF; for several pictures a folder of them. None: no label maps.
        table: A CSV file, or None.
        pictures: Files that are read.
        several: Whether `masks` is a folder.
        force: Whether existing files may be replaced.
    """

    def __init__(self, masks: Path | None, table: Path | None, pictures: Sequence[Path], *, several: bool, force: bool):
        from axialzoo.files import check_output
        from axialzoo.image.tiff import SUFFIXES

        self.table, self.masks, self.rows, self.written = table, [], [], []
        if masks is not None and not several:
            if masks.suffix.lower() not in SUFFIXES:
                raise ValueError(f"--masks {masks}: expected a name that ends in {' or '.join(SUFFIXES)}")
            self.masks = [masks]
        elif masks is not None:
            if masks.suffix and not masks.is_dir():
                raise ValueError(
                    f"--masks {masks}: expected a folder for the label maps of {len(pictures)} pictures, found the name of a file"
                )
            names: list[str] = []
            for index, path in enumerate(pictures):
                names.append(f"{path.stem}.tif" if f"{path.stem}.tif" not in names else f"{path.stem}_{index}.tif")
            self.masks = [masks / name for name in names]
        if table is not None and table.suffix.lower() != ".csv":
            raise ValueError(f"--table {table}: expected a name that ends in .csv")
        for target in (*self.masks, *([table] if table is not None else [])):
            check_output(target, inputs=pictures, overwrite=force)

    def check(self, config: Any, frameworks: Sequence[str], options: Sequence[str]) -> None:
        """Refuse `options` of a model without masks, or of several frameworks.

        Raises:
            SpecError: for a model whose results are no segments.
            ValueError: for more than one framework, whose files would have one name.
        """
        from axialzoo.tasks import task_of
        from axialzoo.tasks.objects import check_has_masks

        for option in options:
            check_has_masks(task_of(config.spec.head), option)
            if len(frameworks) > 1:
                raise ValueError(f"{option}: expected one framework, whose results are written, found {','.join(frameworks)}")

    def add(self, index: int, path: Path, picture: Any, result: Any) -> None:
        """Write the label map of picture number `index`, and keep its rows of the table."""
        from axialzoo.image.tiff import write_label_tiff
        from axialzoo.tasks.objects import label_map, object_table

        if self.masks:
            write_label_tiff(self.masks[index], label_map(result))
            self.written.append(str(self.masks[index]))
        if self.table is not None:
            self.rows += object_table(result, picture, str(path))

    def finish(self) -> list[str]:
        """Write the table and return the files written."""
        from axialzoo.tasks.objects import write_table

        if self.table is not None:
            write_table(self.table, self.rows)
            self.written.append(str(self.table))
        return self.written
