"""The phone's shell: expands words, connects streams, runs commands of a table, and keeps ``$?`` right.

A command that is not in the table ends with 127, as on a phone, and is **recorded** by the phone: whoever drives it
(an Appium upgrade, say) has begun to ask for something that this phone does not know, and a test notices.
"""

import asyncio
import fnmatch
import posixpath
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from devicelab.emulator.filesystem import StorageFullError
from devicelab.emulator.options import UnknownOptionError
from devicelab.emulator.phone import Phone
from devicelab.emulator.syntax import Command, Redirection, ShellSyntaxError, Step, Word, parse

Sink = Callable[[bytes], Awaitable[None]]
NOT_FOUND = 127
_NAMED = re.compile(r"\$(?:\((?P<command>.*)\)|\{(?P<braced>\w+|\?|\$)\}|(?P<name>[A-Za-z_]\w*|[?$#0-9]))", re.DOTALL)
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Streams:
    """Standard input, output and error of a command."""

    stdin: asyncio.StreamReader
    out: Sink
    err: Sink


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a command: the phone, its name and arguments, its streams, and the shell that called it."""

    phone: Phone
    name: str
    args: tuple[str, ...]
    streams: Streams
    shell: "Shell"

    async def say(self, text: str) -> None:
        """Write *text* to standard output."""
        await self.streams.out(text.encode())

    async def complain(self, text: str, status: int = 1) -> int:
        """Write *text* as a line to standard error and return *status*."""
        await self.streams.err(f"{text}\n".encode())
        return status

    async def unknown(self, what: str = "", status: int = 1) -> int:
        """Record that this phone does not know *what* of the command, say so, and return *status*."""
        self.phone.unknown.append(f"{self.name} {' '.join(self.args)}".strip())
        return await self.complain(f'{self.name}: Unknown {what or "option"} (see "{self.name} --help")', status)


Program = Callable[[Call], Awaitable[int]]
"""A command: does its work with a call and returns its exit status."""


async def nowhere(data: bytes) -> None:
    """Drop *data*: ``/dev/null``."""
    del data


def empty() -> asyncio.StreamReader:
    """Return an input at its end."""
    reader = asyncio.StreamReader()
    reader.feed_eof()
    return reader


class Shell:
    """One shell process on *phone* that knows the commands of *table*."""

    def __init__(self, phone: Phone, table: Mapping[str, Program]) -> None:
        self.phone = phone
        self.table = table
        self.status = 0
        self.variables = {"HOME": "/", "USER": "shell", "TMPDIR": "/data/local/tmp", "HOSTNAME": "ali"}
        self.folder = "/"

    async def run(self, text: str, streams: Streams) -> int:
        """Run *text* and return the status of its last command."""
        try:
            steps = parse(text)
        except ShellSyntaxError as error:
            self.phone.unknown.append(text)
            await streams.err(f"/system/bin/sh: syntax error: {error}\n".encode())
            return 1
        return await self._steps(steps, streams)

    async def simple(self, words: Sequence[str], streams: Streams) -> int:
        """Run the command *words*, already expanded, and return its status."""
        name = posixpath.basename(words[0])
        program = self.table.get(name)
        if program is None:
            self.phone.unknown.append(" ".join(words))
            await streams.err(f"/system/bin/sh: {words[0]}: not found\n".encode())
            return NOT_FOUND
        if words[0].startswith(("/data/", "./")) and not self.phone.files.find(self.path(words[0])):
            await streams.err(f"/system/bin/sh: {words[0]}: not found\n".encode())
            return NOT_FOUND
        call = Call(self.phone, name, tuple(words[1:]), streams, self)
        try:
            return await program(call)
        except UnknownOptionError as error:
            return await call.unknown(str(error))

    def path(self, name: str) -> str:
        """Return the absolute path of *name*."""
        return posixpath.normpath(posixpath.join(self.folder, name))

    async def _steps(self, steps: Sequence[Step], streams: Streams) -> int:
        for step in steps:
            if (step.after == "&&" and self.status) or (step.after == "||" and not self.status):
                continue
            if step.background:
                self.phone.start(self._pipeline(step.pipeline, replace(streams, stdin=empty(), out=nowhere)))
                self.status = 0
            else:
                self.status = await self._pipeline(step.pipeline, streams)
        return self.status

    async def _pipeline(self, commands: Sequence[Command], streams: Streams) -> int:
        """Run *commands* at once, each one's output being the next one's input; return the last one's status."""
        stages: list[Awaitable[int]] = []
        stdin = streams.stdin
        for command in commands[:-1]:
            pipe = _Pipe()
            stages.append(self._stage(command, Streams(stdin, pipe.write, streams.err), pipe))
            stdin = pipe.reader
        running = [asyncio.ensure_future(stage) for stage in stages]
        try:
            return await self._command(commands[-1], replace(streams, stdin=stdin))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _stage(self, command: Command, streams: Streams, pipe: "_Pipe") -> int:
        try:
            return await self._command(command, streams)
        finally:
            pipe.reader.feed_eof()

    async def _command(self, command: Command, streams: Streams) -> int:
        try:
            for redirection in command.redirections:
                streams = await self._redirected(redirection, streams)
        except (FileNotFoundError, IsADirectoryError) as error:
            await streams.err(f"/system/bin/sh: can't open {error}: No such file or directory\n".encode())
            return 1
        try:
            if command.group is not None:
                return await self._steps(command.group, streams)
            words = [text for word in command.words for text in await self._expand(word, streams)]
            while words and (found := _ASSIGNMENT.fullmatch(words[0])):
                self.variables[found[1]] = found[2]
                words = words[1:]
            return await self.simple(words, streams) if words else 0
        except StorageFullError as error:
            await streams.err(f"{error}: No space left on device\n".encode())
            return 1

    async def _redirected(self, redirection: Redirection, streams: Streams) -> Streams:
        target = "".join(await self._expand(redirection.target, streams))
        if redirection.operator == "<":
            reader = asyncio.StreamReader(limit=1 << 30)
            reader.feed_data(b"" if target == "/dev/null" else self.phone.files.read(self.path(target)))
            reader.feed_eof()
            return replace(streams, stdin=reader)
        if redirection.operator == ">&":
            sink = streams.err if target == "2" else streams.out
        elif target == "/dev/null":
            sink = nowhere
        else:
            sink = self._file_sink(self.path(target), append=redirection.operator == ">>")
        return replace(streams, err=sink) if redirection.fd == 2 else replace(streams, out=sink)

    def _file_sink(self, path: str, *, append: bool) -> Sink:
        files, clock = self.phone.files, self.phone.clock
        entry = files.find(path)
        files.write(path, entry.data if append and entry else b"", clock.now())

        async def write(data: bytes) -> None:
            files.write(path, files.read(path) + data, clock.now())

        return write

    async def _expand(self, word: Word, streams: Streams) -> list[str]:
        """Return the words that *word* stands for: variables, ``$(...)``, splitting at blanks, ``*``."""
        fields: list[str] = []
        pattern = False
        for piece in word:
            text = piece.text if piece.quote == "'" else await self._substituted(piece.text, streams)
            expanded = not piece.quote and text != piece.text
            for place, part in enumerate(text.split() if expanded else [text]):
                if fields and place == 0:
                    fields[-1] += part
                else:
                    fields.append(part)
            pattern = pattern or (not piece.quote and any(char in text for char in "*?["))
        return [match for text in fields for match in self._glob(text)] if pattern else fields

    async def _substituted(self, text: str, streams: Streams) -> str:
        result, place = "", 0
        for found in _NAMED.finditer(text):
            result += text[place : found.start()]
            place = found.end()
            if found["command"] is not None:
                result += await self._output_of(found["command"], streams)
            else:
                result += self._variable(found["braced"] or found["name"])
        return result + text[place:]

    def _variable(self, name: str) -> str:
        special = {"?": str(self.status), "$": "4242", "0": "/system/bin/sh"}
        return special.get(name, self.variables.get(name, ""))

    async def _output_of(self, text: str, streams: Streams) -> str:
        """Run *text* as ``$(text)`` and return its output without the newlines at its end."""
        collected = bytearray()

        async def collect(data: bytes) -> None:
            collected.extend(data)

        self.status = await self.run(text, replace(streams, out=collect))
        return collected.decode(errors="replace").rstrip("\n")

    def _glob(self, pattern: str) -> list[str]:
        """Return the paths that *pattern* matches, or itself if there is none."""
        absolute = self.path(pattern)
        depth = absolute.count("/")
        found = [p for p in self.phone.files.entries if p.count("/") == depth and fnmatch.fnmatchcase(p, absolute)]
        return sorted(found) or [pattern]


class _Pipe:
    """Bytes from one command to the next."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader(limit=1 << 30)

    async def write(self, data: bytes) -> None:
        self.reader.feed_data(data)
        await asyncio.sleep(0)
