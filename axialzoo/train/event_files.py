"""Event files for TensorBoard, by the package tensorboard alone."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class EventFiles:
    """Numbers of a run by step, in ``tensorboard/`` of its folder.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path):
        module: Any = importlib.import_module("tensorboard.summary.writer.event_file_writer")  # optional

        self.writer = module.EventFileWriter(str(folder / "tensorboard"))

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Write the numbers among `values` as scalars of a step."""
        event_pb2, summary_pb2 = (importlib.import_module(f"tensorboard.compat.proto.{name}_pb2") for name in ("event", "summary"))

        numbers = {name: value for name, value in values.items() if isinstance(value, float)}
        scalars = [summary_pb2.Summary.Value(tag=name, simple_value=number) for name, number in numbers.items()]
        if scalars:
            summary = summary_pb2.Summary(value=scalars)
            self.writer.add_event(event_pb2.Event(wall_time=time.time(), step=step, summary=summary))
            self.writer.flush()
