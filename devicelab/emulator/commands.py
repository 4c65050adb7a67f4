"""All commands that the phone's shell knows."""

from collections.abc import Mapping

from devicelab.emulator.files import FILE_COMMANDS
from devicelab.emulator.logcat import LOG_COMMANDS
from devicelab.emulator.shell import Program
from devicelab.emulator.system import SYSTEM_COMMANDS

COMMANDS: Mapping[str, Program] = {**FILE_COMMANDS, **LOG_COMMANDS, **SYSTEM_COMMANDS}
