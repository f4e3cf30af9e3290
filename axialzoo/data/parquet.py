"""Parquet files: pictures in a column of bytes, by row. pyarrow reads them, an extra of its own: `pip install 'axialzoo[parquet]'`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from axialzoo.data.dataset import DataError

NAMES = ("image", "picture", "bytes", "img", "jpg", "png")  # of a column of pictures, in order of preference
ROWS = 32  # read at once


class Table:
    """A Parquet file whose rows are pictures.

    Args:
        path: The file.

    Attributes:
        rows: How many there are.
        column: That of the pictures: bytes, or a struct with ``bytes`` in it, as data sets on the Hub have.
        columns: The names of all.
        metadata: Of the schema, as other programs left it there.

    Raises:
        DataError: naming the file: damaged, or without such a column.
        ModuleNotFoundError: where pyarrow is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path, self._arrow = str(path), arrow()
        with self._errors(), self._open() as file:
            schema, self.rows = file.schema_arrow, file.metadata.num_rows
            self.columns, self.metadata = list(schema.names), dict(schema.metadata or {})
            counts = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        if sum(counts) != self.rows:
            raise DataError(f"{self.path}: damaged: expected {self.rows} rows, found {sum(counts)} in its groups; fetch or write it again")
        self.starts = [sum(counts[:number]) for number in range(len(counts) + 1)]  # of each row group, and the end
        known = [name for name in (*NAMES, *schema.names) if name in schema.names and self._holds_bytes(schema.field(name).type)]
        if not known:
            raise DataError(f"{self.path}: expected a column of bytes such as {NAMES[0]!r}, found {', '.join(schema.names) or 'none'}")
        self.column = known[0]

    def read(self, start: int, stop: int, columns: tuple[str, ...] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the rows from `start` to before `stop`, in order, a few at a time in memory; pictures as bytes, None where there is none.

        Raises:
            DataError: naming the file, at the row where it is damaged.
        """
        names = list(columns or (self.column,))
        groups = [number for number in range(len(self.starts) - 1) if self.starts[number] < stop and self.starts[number + 1] > start]
        if not groups:
            return
        at = self.starts[groups[0]]
        with self._errors(), self._open() as file:
            for batch in file.iter_batches(ROWS, row_groups=groups, columns=names, use_threads=False):
                for row in batch.slice(max(start - at, 0), max(stop - max(at, start), 0)).to_pylist():
                    value = row.get(self.column)
                    yield {**row, self.column: value.get("bytes") if isinstance(value, dict) else value}
                at += batch.num_rows
                if at >= stop:
                    return

    def _open(self) -> Any:
        return self._arrow.parquet.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20)

    def _holds_bytes(self, kind: Any) -> bool:
        types = self._arrow.types
        if types.is_struct(kind):
            names = [kind.field(number).name for number in range(kind.num_fields)]
            return "bytes" in names and self._holds_bytes(kind.field(names.index("bytes")).type)
        return types.is_binary(kind) or types.is_large_binary(kind)

    def _errors(self) -> _Errors:
        return _Errors(self.path, self._arrow.ArrowException)


class _Errors:
    """Errors of pyarrow and of the system, raised as DataError of the file."""

    def __init__(self, path: str, kind: type[Exception]):
        self.path, self.kind = path, kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (self.kind, OSError, UnicodeDecodeError)):
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(f"{self.path}: not a Parquet file, or a damaged one ({reason})") from None


@lru_cache(maxsize=1)
def arrow() -> Any:
    """Return pyarrow, with its Parquet.

    Raises:
        ModuleNotFoundError: saying how to install it.
    """
    try:
        import pyarrow
        import pyarrow.parquet
        import pyarrow.types
    except ModuleNotFoundError as error:
        message = "Parquet needs pyarrow; pip install 'axialzoo[parquet]' (in a clone: pip install '.[parquet]')"
        raise ModuleNotFoundError(message, name=error.name) from None
    return pyarrow
