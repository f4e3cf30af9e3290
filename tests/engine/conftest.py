from tests.cli.conftest import axialzoo, folder  # noqa: F401 (a checkpoint with random weights; the command line in this process)
from tests.engine.made import pictures  # noqa: F401
