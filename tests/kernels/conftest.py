"""Fixtures of the tests of the kernel."""

from __future__ import annotations

import pytest

from axialzoo.ops.kernels import kernel, use_kernel


@pytest.fixture(params=(actual.isas if (actual := kernel()) else ()))
def path(request):
    """Each path of the kernel that this processor has, in use."""
    with use_kernel(request.param):
        yield request.param
