"""Options of the phone's commands, read as getopt does; one that a command does not know is recorded."""

from collections.abc import Sequence


class UnknownOptionError(Exception):
    """An option that the command does not have here."""


def read_options(args: Sequence[str], flags: str = "", valued: str = "") -> tuple[dict[str, str], list[str]]:
    """Return the options of *args* (letter: value, "" for flags) and what is left.

    *flags* are the letters of options without, *valued* those with a value (``-n 5`` or ``-n5``); ``--`` ends options.

    Raises:
        UnknownOptionError: another option, or one without its value.
    """
    found: dict[str, str] = {}
    rest: list[str] = []
    waiting = list(args)
    while waiting:
        arg = waiting.pop(0)
        if arg == "--":
            return found, rest + waiting
        if len(arg) < 2 or arg[0] != "-":
            rest.append(arg)
            continue
        letters = arg[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in flags:
                found[letter] = ""
            elif letter in valued and (letters or waiting):
                found[letter] = letters or waiting.pop(0)
                break
            else:
                raise UnknownOptionError(f"option '{letter}'")
    return found, rest
