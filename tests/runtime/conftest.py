from tests.cli.conftest import axialzoo, folder  # noqa: F401 (the command line; a checkpoint with random weights)
