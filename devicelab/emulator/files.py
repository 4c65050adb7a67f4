"""Commands on files: those of Android's toybox that a lab uses, with its messages."""

import hashlib
import posixpath
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import UTC, datetime

from devicelab.emulator.filesystem import CAPACITY, Entry, normal
from devicelab.emulator.options import read_options
from devicelab.emulator.procfs import read_kernel_file
from devicelab.emulator.shell import Call, Program

CHUNK = 1 << 16


async def _content(call: Call, name: str) -> bytes | None:
    """Return what *name* holds, a kernel's file included; complain and return None if it cannot be read."""
    path = normal(call.shell.path(name))
    kernel = read_kernel_file(call.phone, path)
    if kernel is not None:
        return kernel.encode()
    entry = call.phone.files.find(path)
    if entry is None or entry.is_folder:
        reason = "Is a directory" if entry else "No such file or directory"
        await call.complain(f"{call.name}: {name}: {reason}")
        return None
    return entry.data


async def _inputs(call: Call, names: Iterable[str]) -> list[tuple[str, bytes]]:
    """Return (name, content) of each readable one of *names*, or of standard input if there is none."""
    listed = list(names)
    if not listed:
        return [("-", await call.streams.stdin.read())]
    found = [(name, await _content(call, name)) for name in listed]
    return [(name, content) for name, content in found if content is not None]


def _status(names: list[str], found: list[tuple[str, bytes]]) -> int:
    return 1 if len(found) < len(names) else 0


async def cat(call: Call) -> int:
    """Write files one after the other."""
    _, names = read_options(call.args)
    found = await _inputs(call, names)
    for _, content in found:
        await call.streams.out(content)
    return _status(names, found)


async def ls(call: Call) -> int:
    """List names; with ``-l`` also mode, size and time, with ``-d`` folders themselves."""
    chosen, names = read_options(call.args, flags="l1daAh")
    status = 0
    for name in names or ["."]:
        path = call.shell.path(name)
        entry = call.phone.files.find(path)
        if entry is None:
            status = await call.complain(f"ls: {name}: No such file or directory")
            continue
        inside = call.phone.files.names(path) if entry.is_folder and "d" not in chosen else None
        for shown in [name] if inside is None else inside:
            found = entry if inside is None else call.phone.files.entries[posixpath.join(normal(path), shown)]
            await call.say(_long(found, shown) if "l" in chosen else f"{shown}\n")
    return status


def _long(entry: Entry, name: str) -> str:
    kind = "d" if entry.is_folder else "-"
    size = 4096 if entry.is_folder else len(entry.data)
    moment = datetime.fromtimestamp(entry.mtime, tz=UTC)
    return f"{kind}rw-rw-rw- 1 shell shell {size:9d} {moment:%Y-%m-%d %H:%M} {name}\n"


async def stat(call: Call) -> int:
    """Tell size, mode and time in the format of ``-c``: ``%s %n %a %Y %F``."""
    chosen, names = read_options(call.args, valued="c")
    status = 0
    for name in names:
        entry = call.phone.files.find(call.shell.path(name))
        if entry is None:
            status = await call.complain(f"stat: '{name}': No such file or directory")
            continue
        kind = "directory" if entry.is_folder else "regular file"
        values = {"s": len(entry.data), "n": name, "a": f"{entry.mode & 0o7777:o}", "Y": entry.mtime, "F": kind}
        text = chosen.get("c", "%n %s %Y")
        for letter, value in values.items():
            text = text.replace(f"%{letter}", str(value))
        await call.say(text + "\n")
    return status


async def rm(call: Call) -> int:
    """Remove files; with ``-r`` folders, with ``-f`` without complaints."""
    chosen, names = read_options(call.args, flags="rRfi")
    status = 0
    for name in names:
        entry = call.phone.files.find(call.shell.path(name))
        if entry is None:
            status = status if "f" in chosen else await call.complain(f"rm: {name}: No such file or directory")
        elif entry.is_folder and not {"r", "R"} & set(chosen):
            status = await call.complain(f"rm: {name}: is a directory")
        else:
            call.phone.files.remove(call.shell.path(name))
    return status


async def mkdir(call: Call) -> int:
    """Make folders; with ``-p`` also those above, and it does not matter if they are there."""
    chosen, names = read_options(call.args, flags="p", valued="m")
    status = 0
    for name in names:
        path = call.shell.path(name)
        if call.phone.files.find(path) and "p" not in chosen:
            status = await call.complain(f"mkdir: '{name}': File exists")
        elif not call.phone.files.find(posixpath.dirname(path)) and "p" not in chosen:
            status = await call.complain(f"mkdir: '{name}': No such file or directory")
        else:
            call.phone.files.make_folder(path, call.phone.clock.now())
    return status


async def copy(call: Call) -> int:
    """Copy or move (``mv``) one file."""
    _, names = read_options(call.args, flags="frpR")
    if len(names) != 2:
        return await call.unknown("number of files")
    content = await _content(call, names[0])
    if content is None:
        return 1
    files = call.phone.files
    source, target = (call.shell.path(name) for name in names)
    entry = files.find(target)
    if entry and entry.is_folder:
        target = posixpath.join(target, posixpath.basename(source))
    files.write(target, content, call.phone.clock.now())
    if call.name == "mv":
        files.remove(source)
    return 0


async def chmod(call: Call) -> int:
    """Change the mode of files to an octal number; a symbolic one changes nothing but existence is checked."""
    _, rest = read_options([arg for arg in call.args if not arg.startswith("+")], flags="R")
    symbolic = len(rest) < len(call.args)
    names = rest if symbolic else rest[1:]
    status = 0
    for name in names:
        entry = call.phone.files.find(call.shell.path(name))
        if entry is None:
            status = await call.complain(f"chmod: {name}: No such file or directory")
        elif not entry.is_folder:
            mode = 0o755 if symbolic else int(rest[0], 8)
            call.phone.files.write(call.shell.path(name), entry.data, entry.mtime, mode)
    return status


async def touch(call: Call) -> int:
    """Make empty files, or make old ones new."""
    _, names = read_options(call.args, flags="c")
    for name in names:
        entry = call.phone.files.find(call.shell.path(name))
        data = entry.data if entry else b""
        call.phone.files.write(call.shell.path(name), data, call.phone.clock.now())
    return 0


def _digest(algorithm: str) -> Program:
    async def digest(call: Call) -> int:
        _, names = read_options(call.args)
        found = await _inputs(call, names)
        for name, content in found:
            await call.say(f"{hashlib.new(algorithm, content).hexdigest()}  {name}\n")
        return _status(names, found)

    return digest


async def wc(call: Call) -> int:
    """Count lines, words and bytes."""
    chosen, names = read_options(call.args, flags="clw")
    found = await _inputs(call, names)
    for name, content in found:
        counts = {"l": content.count(b"\n"), "w": len(content.split()), "c": len(content)}
        shown = " ".join(str(count) for letter, count in counts.items() if letter in chosen or not chosen)
        await call.say(f"{shown}{'' if name == '-' else f' {name}'}\n")
    return _status(names, found)


def _ends(take: Callable[[list[bytes], int], list[bytes]]) -> Program:
    async def ends(call: Call) -> int:
        args = [f"-n{arg[1:]}" if re.fullmatch(r"-\d+", arg) else arg for arg in call.args]
        chosen, names = read_options(args, valued="nc")
        found = await _inputs(call, names)
        for _, content in found:
            if "c" in chosen:
                pieces = [content[place : place + 1] for place in range(len(content))]
                await call.streams.out(b"".join(take(pieces, int(chosen["c"]))))
            else:
                await call.streams.out(b"".join(take(content.splitlines(keepends=True), int(chosen.get("n", "10")))))
        return _status(names, found)

    return ends


async def grep(call: Call) -> int:
    """Write the lines that match a pattern; reads standard input line by line, so it can follow a live log."""
    chosen, rest = read_options(call.args, flags="EFivqcno", valued="em")
    pattern, *names = [chosen["e"], *rest] if "e" in chosen else rest
    text = re.escape(pattern) if "F" in chosen else pattern
    wanted = re.compile(text.encode(), re.IGNORECASE if "i" in chosen else 0)
    left = int(chosen.get("m", "0")) or None
    count = 0
    async for line in _lines(call, names):
        if bool(wanted.search(line)) == ("v" in chosen):
            continue
        count += 1
        if not {"q", "c"} & set(chosen):
            await call.streams.out(line.rstrip(b"\n") + b"\n")
        if count == left or "q" in chosen:
            break
    if "c" in chosen:
        await call.say(f"{count}\n")
    return 0 if count else 1


async def _lines(call: Call, names: list[str]) -> AsyncIterator[bytes]:
    if not names:
        async for line in call.streams.stdin:
            yield line
        return
    for _, content in await _inputs(call, names):
        for line in content.splitlines(keepends=True):
            yield line


async def df(call: Call) -> int:
    """Tell the size of the storage in kilobytes; with ``-h`` in words (toybox df.c)."""
    chosen, names = read_options(call.args, flags="kh")
    used, free = call.phone.files.used(), call.phone.files.free()
    unit = 1_000_000_000 if "h" in chosen else 1024
    suffix = "G" if "h" in chosen else ""
    await call.say(
        f"{'Filesystem':<22}{'1K-blocks' if not suffix else 'Size':>10}{'Used':>10}{'Available':>10} Use% Mounted on\n"
    )
    sizes = "".join(f"{f'{size // unit}{suffix}':>10}" for size in (CAPACITY, used, free))
    for name in names or ["/data"]:
        mount = "/storage/emulated" if normal(name).startswith("/sdcard") else "/data"
        await call.say(f"{'/dev/block/dm-0':<22}{sizes} {100 * (CAPACITY - free) // CAPACITY:3d}% {mount}\n")
    return 0


async def du(call: Call) -> int:
    """Tell the kilobytes below paths."""
    _, names = read_options(call.args, flags="skh")
    entries = call.phone.files.entries
    for name in names or ["."]:
        path = normal(call.shell.path(name))
        size = sum(len(entry.data) for p, entry in entries.items() if p == path or p.startswith(path.rstrip("/") + "/"))
        await call.say(f"{-(-size // 1024)}\t{name}\n")
    return 0


FILE_COMMANDS: Mapping[str, Program] = {
    "cat": cat,
    "chmod": chmod,
    "cp": copy,
    "df": df,
    "du": du,
    "grep": grep,
    "head": _ends(lambda pieces, count: pieces[:count]),
    "ls": ls,
    "md5sum": _digest("md5"),
    "mkdir": mkdir,
    "mv": copy,
    "rm": rm,
    "sha1sum": _digest("sha1"),
    "sha256sum": _digest("sha256"),
    "stat": stat,
    "tail": _ends(lambda pieces, count: pieces[-count:]),
    "touch": touch,
    "wc": wc,
}
