"""The package manager: ``pm`` and ``cmd package`` (AOSP: PackageManagerShellCommand.java)."""

from collections.abc import Mapping

from devicelab.emulator.apk import ApkError
from devicelab.emulator.dumpsys import dump_package
from devicelab.emulator.filesystem import StorageFullError
from devicelab.emulator.options import read_options
from devicelab.emulator.shell import Call, Program

INSTALL_SECONDS, INSTALL_BYTES_PER_S = 0.3, 40e6
_INSTALL_FLAGS = "rtdgf"


async def pm(call: Call) -> int:
    """Run a command of the package manager."""
    name = call.args[0] if call.args else ""
    program = _COMMANDS.get(name)
    return await program(call) if program else await call.unknown("command")


async def _list(call: Call) -> int:
    installed = call.phone.packages.installed
    words = [arg for arg in call.args[2:] if not arg.startswith("-")]
    match call.args[1:2]:
        case ("packages",):
            code = "--show-versioncode" in call.args
            for name, package in sorted(installed.items()):
                if not words or words[0] in name:
                    await call.say(f"package:{name}{f' versionCode:{package.info.version_code}' if code else ''}\n")
        case ("instrumentation",):
            for name, package in sorted(installed.items()):
                if package.info.instrumentation:
                    runner, target = package.info.instrumentation
                    await call.say(f"instrumentation:{name}/{runner} (target={target})\n")
        case ("features",):
            await call.say("feature:android.hardware.wifi\n")
        case ("users",):
            await call.say("Users:\n\tUserInfo{0:Owner:13} running\n")
        case _:
            return await call.unknown("list")
    return 0


async def _path(call: Call) -> int:
    package = call.phone.packages.installed.get(call.args[-1])
    if package is None:
        return 1
    await call.say(f"package:{package.path}\n")
    return 0


async def _dump(call: Call) -> int:
    await call.say(dump_package(call.phone, call.args[-1]))
    return 0


async def _install(call: Call) -> int:
    """Install from the phone's files, or (``-S SIZE``) from what follows on the stream."""
    chosen, rest = read_options([arg for arg in call.args[1:] if not arg.startswith("--")], _INSTALL_FLAGS, valued="Si")
    if "S" in chosen:
        apk = await call.streams.stdin.readexactly(int(chosen["S"]))
    else:
        entry = call.phone.files.find(rest[0]) if rest else None
        if entry is None:
            return await call.complain(f"Error: Unable to open file: {rest[0] if rest else ''}")
        apk = entry.data
    await call.phone.clock.sleep(INSTALL_SECONDS + len(apk) / INSTALL_BYTES_PER_S)
    try:
        package = call.phone.packages.install(apk)
    except ApkError as error:
        await call.say(f"Failure [{error}]\n")
        return 1
    except StorageFullError:
        await call.say("Failure [INSTALL_FAILED_INSUFFICIENT_STORAGE]\n")
        return 1
    call.phone.end_process(package.info.package)
    call.phone.say("I", "PackageManager", f"Package {package.info.package} codePath changed to {package.path}")
    await call.say("Success\n")
    return 0


async def _uninstall(call: Call) -> int:
    name = call.args[-1]
    call.phone.end_process(name)
    removed = call.phone.packages.remove(name)
    await call.say("Success\n" if removed else "Failure [DELETE_FAILED_INTERNAL_ERROR]\n")
    return 0 if removed else 1


async def _nothing(call: Call) -> int:
    """``grant`` and ``revoke``: the permissions of an app change nothing here."""
    known = len(call.args) > 2 and call.args[-2] in call.phone.packages.installed
    return 0 if known else await call.complain(f"Error: Unknown package: {' '.join(call.args[1:2])}", 255)


async def _clear(call: Call) -> int:
    call.phone.end_process(call.args[-1])
    await call.say("Success\n" if call.args[-1] in call.phone.packages.installed else "Failed\n")
    return 0


_COMMANDS: Mapping[str, Program] = {
    "clear": _clear,
    "dump": _dump,
    "grant": _nothing,
    "install": _install,
    "list": _list,
    "path": _path,
    "revoke": _nothing,
    "uninstall": _uninstall,
}
