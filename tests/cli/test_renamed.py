"""Earlier spellings of commands and options are refused with the spelling of today."""

from __future__ import annotations

import pytest
import typer

from axialzoo.cli.app import app
from axialzoo.cli.renamed import CODE_BASES, COMMANDS, OPTIONS

COMMAND = typer.main.get_command(app)
OPTIONS_OF = {
    name: {option for parameter in command.params for option in parameter.opts}
    for name, command in COMMAND.commands.items()  # pyright: ignore[reportAttributeAccessIssue]
}
CASES = [
    (command, old, new)
    for old, names in OPTIONS.items()
    for new in names
    for command, known in OPTIONS_OF.items()
    if new in known and old not in known
]  # fmt: skip


def test_every_row_of_the_table_is_of_some_command():
    assert set(OPTIONS) - {old for _, old, _ in CASES} == {"--long-axis", "--reading"}  # these are arguments in Python alone
    assert set(COMMANDS.values()) <= set(OPTIONS_OF)


@pytest.mark.parametrize(("command", "old", "new"), CASES)
def test_an_earlier_option_is_refused_with_the_new_one(axialzoo, command, old, new):
    for words in ((old,), (f"{old}=1",), ("a", "b", old, "1")):
        result = axialzoo(command, *words)
        assert result.code == 2 and f"{old}: this option is {new} now" in result.err


@pytest.mark.parametrize("old", COMMANDS)
def test_an_earlier_command_is_refused_with_the_new_one(axialzoo, old):
    result = axialzoo(old, "a", "b")
    assert result.code == 2 and f"{old}: this command is axialzoo {COMMANDS[old]} now" in result.err


@pytest.mark.parametrize("zoo", CODE_BASES)
def test_an_export_to_other_code_is_refused_with_the_new_command(axialzoo, zoo):
    result = axialzoo("export", zoo, "folder", "file")
    assert result.code == 2 and f"axialzoo convert FOLDER FILE --to {zoo}" in result.err


def test_what_follows_two_dashes_is_no_option(axialzoo):
    assert "this option is" not in axialzoo("predict", "--model", "nothing", "--", "--plain").err


def test_one_option_has_one_form_in_all_commands():
    """An option takes a value in every command that has it, or in none."""
    flags: dict[str, set[bool]] = {}
    for command in COMMAND.commands.values():  # pyright: ignore[reportAttributeAccessIssue]
        for parameter in command.params:
            for option in parameter.opts:
                flags.setdefault(option, set()).add(bool(getattr(parameter, "is_flag", False)))
    assert [option for option, forms in flags.items() if option.startswith("--") and len(forms) > 1] == []
