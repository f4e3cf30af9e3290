"""What tests of the kernel share."""

from __future__ import annotations

import pytest

from axialzoo.ops.kernels import kernel, use_kernel


@pytest.fixture(params=(found.isas if (found := kernel()) else ()))
def path(request):
    """Each path of the kernel that this processor has, in use."""
    with use_kernel(request.param):
        yield request.param
