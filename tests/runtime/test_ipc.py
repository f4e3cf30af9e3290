"""What is sent to a worker arrives bit for bit, and nothing but arrays of numbers does."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest

from axialzoo.runtime.ipc import receive, send


def test_arrays_and_lists_arrive_as_they_were_sent():
    random = np.random.default_rng(0)
    arrays = {
        "one": random.standard_normal((2, 3, 4)).astype(np.float32),
        "list": [random.standard_normal((5,)), random.integers(0, 9, (2, 2))],
        "empty": np.zeros((0, 3), np.float32),
        "none": [],
        "turned": random.standard_normal((3, 4)).T,
    }
    stream = io.BytesIO()
    send(stream, {"do": "x"}, arrays)
    send(stream, {"do": "y"})
    stream.seek(0)
    said, found = receive(stream)
    assert said == {"do": "x"} and list(found) == list(arrays) and len(found["list"]) == 2 and found["none"] == []
    for name in ("one", "empty", "turned"):
        assert found[name].dtype == arrays[name].dtype and np.array_equal(found[name], arrays[name])
    assert all(np.array_equal(one, other) for one, other in zip(found["list"], arrays["list"]))
    assert receive(stream) == ({"do": "y"}, {})
    with pytest.raises(EOFError):
        receive(stream)


def test_a_message_that_stops_half_way_is_told():
    stream = io.BytesIO()
    send(stream, {}, {"x": np.zeros(100)})
    with pytest.raises(EOFError, match="gone"):
        receive(io.BytesIO(stream.getvalue()[:-1]))


@pytest.mark.parametrize("dtype", ["object", "O", "|V8"])
def test_arrays_of_objects_are_refused(dtype):
    line = json.dumps({"said": {}, "arrays": [["x", None, [[dtype, [1]]]]]}).encode()
    with pytest.raises(ValueError, match="expected an array of float16"):
        receive(io.BytesIO(struct.pack("<Q", len(line)) + line + bytes(8)))
