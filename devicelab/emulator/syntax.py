"""The grammar of the phone's shell: text to a tree, as far as adb, Appium and this lab's driver use mksh.

    list      = and-or { (";" | "&" | newline) and-or }
    and-or    = pipeline { ("&&" | "||") pipeline }
    pipeline  = command { "|" command }
    command   = "(" list ")" | word... , each with redirections  [n]> [n]>> [n]< [n]>&m

Words keep their quotes until they are expanded (``devicelab.emulator.shell``). Control structures (``if``, ``for``)
are not known: their first word is an unknown command, which the phone records.
"""

from dataclasses import dataclass, field

_OPERATORS = ("&&", "||", ">>", ">&", ";", "&", "|", "(", ")", ">", "<", "\n")
_REDIRECTIONS = (">", ">>", ">&", "<")
_SEPARATORS = (";", "&", "\n")


class ShellSyntaxError(Exception):
    """What the shell says about text that it does not understand."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a word. ``quote`` is ``'`` (as it is), ``"`` (expanded, not split) or "" (expanded and split)."""

    text: str
    quote: str


Word = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Redirection:
    """``operator`` from or to ``target`` for file descriptor ``fd``."""

    fd: int
    operator: str
    target: Word


@dataclass(frozen=True, slots=True)
class Command:
    """Either words or, in parentheses, a list of its own; and where its streams go."""

    words: tuple[Word, ...] = ()
    group: "tuple[Step, ...] | None" = None
    redirections: tuple[Redirection, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A pipeline, and when it runs: after ``;`` always, after ``&&`` or ``||`` by the status before it."""

    after: str
    pipeline: tuple[Command, ...]
    background: bool = False


@dataclass(slots=True)
class _Lexer:
    text: str
    place: int = 0
    word: list[Piece] = field(default_factory=list)
    tokens: list[str | Word] = field(default_factory=list)

    def run(self) -> list[str | Word]:
        while self.place < len(self.text):
            self._next()
        self._end_word()
        return self.tokens

    def _next(self) -> None:
        char = self.text[self.place]
        if char in "'\"":
            self._quoted(char)
        elif char == "\\":
            self.word.append(Piece(self.text[self.place + 1 : self.place + 2], "'"))
            self.place += 2
        elif char == "$" and self.text.startswith("$(", self.place):
            self._substitution()
        elif operator := next((o for o in _OPERATORS if self.text.startswith(o, self.place)), None):
            self._operator(operator)
        elif char.isspace():
            self._end_word()
            self.place += 1
        else:
            self._literal(char)

    def _literal(self, char: str) -> None:
        if self.word and not self.word[-1].quote:
            self.word[-1] = Piece(self.word[-1].text + char, "")
        else:
            self.word.append(Piece(char, ""))
        self.place += 1

    def _quoted(self, quote: str) -> None:
        end = self.place + 1
        text = ""
        while end < len(self.text) and self.text[end] != quote:
            if quote == '"' and self.text[end] == "\\" and self.text[end + 1 : end + 2] in '\\"$`':
                if self.text[end + 1] == "$":
                    self.word.append(Piece(text, quote))
                    self.word.append(Piece("$", "'"))
                    text, end = "", end + 2
                    continue
                end += 1
            text += self.text[end]
            end += 1
        if end >= len(self.text):
            raise ShellSyntaxError(f"no closing quote: {quote}")
        self.word.append(Piece(text, quote))
        self.place = end + 1

    def _substitution(self) -> None:
        depth, end = 0, self.place + 1
        while end < len(self.text):
            depth += {"(": 1, ")": -1}.get(self.text[end], 0)
            end += 1
            if not depth:
                break
        if depth:
            raise ShellSyntaxError("no closing ')'")
        self.word.append(Piece(self.text[self.place : end], ""))
        self.place = end

    def _operator(self, operator: str) -> None:
        fd = ""
        if operator in _REDIRECTIONS and len(self.word) == 1 and self.word[0] in {Piece("1", ""), Piece("2", "")}:
            fd = self.word.pop().text
        self._end_word()
        self.tokens.append(fd + operator)
        self.place += len(operator)

    def _end_word(self) -> None:
        if self.word:
            self.tokens.append(tuple(self.word))
            self.word = []


def parse(text: str) -> tuple[Step, ...]:
    """Return the steps of *text*.

    Raises:
        ShellSyntaxError: it is no list of commands.
    """
    tokens = _Lexer(text).run()
    steps, rest = _list(tokens)
    if rest:
        raise ShellSyntaxError(f"unexpected '{rest[0]}'")
    return steps


def _list(tokens: list[str | Word]) -> tuple[tuple[Step, ...], list[str | Word]]:
    """Return the steps before a ``)`` or the end, and the tokens after them."""
    steps: list[Step] = []
    after = ";"
    while tokens and tokens[0] != ")":
        if tokens[0] in _SEPARATORS:
            tokens, after = tokens[1:], ";"
            continue
        pipeline, tokens = _pipeline(tokens)
        operator = tokens[0] if tokens else ";"
        background = operator == "&"
        steps.append(Step(after, pipeline, background))
        if isinstance(operator, str) and operator in {"&&", "||"}:
            tokens, after = tokens[1:], operator
            if not tokens:
                raise ShellSyntaxError("unexpected end of file")
        else:
            after = ";"
    return tuple(steps), tokens


def _pipeline(tokens: list[str | Word]) -> tuple[tuple[Command, ...], list[str | Word]]:
    command, tokens = _command(tokens)
    commands = [command]
    while tokens and tokens[0] == "|":
        command, tokens = _command(tokens[1:])
        commands.append(command)
    return tuple(commands), tokens


def _command(tokens: list[str | Word]) -> tuple[Command, list[str | Word]]:
    group: tuple[Step, ...] | None = None
    words: list[Word] = []
    redirections: list[Redirection] = []
    if tokens and tokens[0] == "(":
        group, tokens = _list(tokens[1:])
        if not tokens:
            raise ShellSyntaxError("no closing ')'")
        tokens = tokens[1:]
    while tokens:
        token = tokens[0]
        if not isinstance(token, str):
            words.append(token)
            tokens = tokens[1:]
        elif token.lstrip("12") in _REDIRECTIONS:
            redirection, tokens = _redirection(token, tokens[1:])
            redirections.append(redirection)
        else:
            break
    if (group is None and not words and not redirections) or (group is not None and words):
        raise ShellSyntaxError(f"unexpected '{tokens[0] if tokens else 'newline'}'")
    return Command(tuple(words), group, tuple(redirections)), tokens


def _redirection(token: str, tokens: list[str | Word]) -> tuple[Redirection, list[str | Word]]:
    if not tokens or isinstance(tokens[0], str):
        raise ShellSyntaxError(f"unexpected '{tokens[0] if tokens else 'newline'}'")
    operator = token.lstrip("12")
    fd = int(token[0]) if token[0] in "12" else (0 if operator == "<" else 1)
    return Redirection(fd, operator, tokens[0]), tokens[1:]
