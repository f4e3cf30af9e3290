"""The command line: one file a command. Frameworks are imported by the command that needs one, never before."""

from __future__ import annotations


def main() -> None:
    """The entry point ``axialzoo``, and ``python -m axialzoo``."""
    from axialzoo.cli.app import app

    app(prog_name="axialzoo")
