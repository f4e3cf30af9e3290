"""Earlier spellings of commands and options, refused with the spelling of today."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from axialzoo.spec.renamed import RENAMED

COMMANDS = {"export-model": "export"}
OPTIONS = {f"--{name.replace('_', '-')}": tuple(f"--{word.replace('_', '-')}" for word in new) for name, new in RENAMED.items()}
NEIGHBOURS = {  # options of other command lines
    "--arch": ("--model",),
    "--batch_size": ("--batch-size",),
    "--bs": ("--batch-size",),
    "--conf": ("--min-score",),
    "--conf-thres": ("--min-score",),
    "--data-dir": ("--data",),
    "--data-path": ("--data",),
    "--dataset": ("--data",),
    "--image-size": ("--size",),
    "--img": ("--size",),
    "--img-size": ("--size",),
    "--imgsz": ("--size",),
    "--input-size": ("--size",),
    "--learning-rate": ("--lr",),
    "--lr0": ("--lr",),
    "--num-epochs": ("--epochs",),
    "--num_epochs": ("--epochs",),
    "--output": ("--out",),
    "--output-dir": ("--out",),
    "--project": ("--out",),
    "--save-crop": ("--save-crops",),
    "--save-json": ("--coco",),
    "--save-txt": ("--yolo",),
    "--threshold": ("--min-score",),
    "--weights": ("--init-from", "--model"),
}
CODE_BASES = ("axial-deeplab", "deeplab2", "kmax-deeplab", "medical-transformer")  # `export` took one as its first argument


class Group(TyperGroup):
    """Group of commands that names the new spelling of an earlier command."""

    def resolve_command(self, ctx: Any, args: list[str]):
        if args and args[0] in COMMANDS:
            _refuse(f"{args[0]}: this command is axialzoo {COMMANDS[args[0]]} now")
        return super().resolve_command(ctx, args)


class Command(TyperCommand):
    """Command that names the new spelling of an earlier option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {option for parameter in self.params for option in parameter.opts}
        check_spelling(self.name or "", args, known)
        return super().parse_args(ctx, args)


def check_spelling(command: str, args: Sequence[str], known: set[str]) -> None:
    """Refuse earlier spellings among the arguments of a command.

    Args:
        command: Name of the command.
        args: Its arguments, unparsed.
        known: Its options.

    Raises:
        typer.Exit: after a message with the earlier spelling and that of today.
    """
    if command == "export" and args and args[0] in CODE_BASES:
        _refuse(f"export writes files for other runtimes; weights for other code: axialzoo convert FOLDER FILE --to {args[0]}")
    for arg in args:
        option = arg.partition("=")[0]
        new = [name for name in (*OPTIONS.get(option, ()), *NEIGHBOURS.get(option, ())) if name in known]
        if arg == "--":
            return
        if option not in known and new:
            _refuse(f"{option}: this option is {new[0]} {'now' if option in OPTIONS else 'here'}")


def _refuse(text: str) -> NoReturn:
    typer.echo(f"error: {text}", err=True)
    raise typer.Exit(2)
