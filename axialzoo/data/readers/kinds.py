"""``kinds.csv`` beside the pictures: the kind of each, and the group that a split must not part.

    id,kind,group
    00071198d059,fluo_256,g169

``id`` is the file's name without suffix; further columns are left alone. Either of ``kind`` and ``group`` may be missing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from axialzoo.data.dataset import DataError
from axialzoo.data.file_tree import Files

NAME = "kinds.csv"
COLUMNS = ("kind", "group")


def read_kinds(files: Files) -> dict[str, dict[str, str]]:
    """Return column -> id -> value of each column of `COLUMNS` that ``kinds.csv`` has; nothing without that file.

    Raises:
        DataError: for a file that is no such table, a row without a value, or an id that occurs twice.
    """
    if not files.exists(NAME):
        return {}
    where = files.path(NAME)
    try:
        rows = csv.DictReader(io.StringIO(files.read(NAME).decode("utf-8-sig"), newline=""), strict=True)
        header = rows.fieldnames or []
        table = list(rows)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{where}: not a CSV file in UTF-8 ({error})") from None
    columns = [name for name in COLUMNS if name in header]
    if "id" not in header or not columns:
        raise DataError(f"{where}: expected the columns id and kind, group or both, found {', '.join(map(str, header)) or 'nothing'}")
    values: dict[str, dict[str, str]] = {name: {} for name in columns}
    for number, row in enumerate(table, 2):
        for name in ("id", *columns):
            if not row[name]:
                raise DataError(f"{where}: line {number}: expected a value for {name!r}, found nothing")
        if row["id"] in values[columns[0]]:
            raise DataError(f"{where}: line {number}: id {row['id']!r} occurs twice")
        for name in columns:
            values[name][row["id"]] = row[name]
    return values


def column_of(values: Mapping[str, Mapping[str, str]], name: str, pictures: Sequence[str], where: str) -> list[str]:
    """Return the value of column `name` for each of the files `pictures`; nothing without that column.

    Raises:
        DataError: naming a picture that has no row.
    """
    if name not in values:
        return []
    stems = [picture.rpartition("/")[2].rpartition(".")[0] for picture in pictures]
    missing = [stem for stem in stems if stem not in values[name]]
    if missing:
        raise DataError(f"{where}: expected a row for every picture, found none for {missing[0]!r} ({len(missing)} such pictures)")
    return [values[name][stem] for stem in stems]


def parted_groups(groups: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the number of groups that lie in several splits, and the number of pictures in them.

    Args:
        groups: Of each split, the group of each picture.
    """
    splits_of: dict[str, set[str]] = {}
    for split, names in groups.items():
        for name in names:
            splits_of.setdefault(name, set()).add(split)
    parted = {name for name, splits in splits_of.items() if len(splits) > 1}
    return {"groups": len(parted), "pictures": sum(name in parted for names in groups.values() for name in names)}
