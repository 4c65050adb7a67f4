"""The transport without adb: packets in, packets out, over a real socket."""

import asyncio
import struct

import emulated
import pytest

from devicelab.emulator.server import LOOPBACK, Cable
from devicelab.emulator.transport import AUTH, CLSE, CNXN, HEADER, OKAY, OPEN, VERSION, WRTE


class Host:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def send(self, command, first, second, data=b""):
        self.writer.write(HEADER.pack(command, first, second, len(data), 0, command ^ 0xFFFFFFFF) + data)
        await self.writer.drain()

    async def receive(self):
        command, first, second, length, _, magic = HEADER.unpack(await self.reader.readexactly(HEADER.size))
        assert magic == command ^ 0xFFFFFFFF
        return command, first, second, await self.reader.readexactly(length)


def talk(scenario, **config):
    async def run():
        cable = Cable(emulated.phone(**config), 0)
        await cable.plug()
        reader, writer = await asyncio.open_connection(LOOPBACK, cable.port)
        try:
            return await asyncio.wait_for(scenario(cable, Host(reader, writer)), 10)
        finally:
            writer.close()
            cable.unplug()

    return asyncio.run(run())


async def connect(host):
    await host.send(CNXN, VERSION, 1 << 20, b"host::features=shell_v2,cmd")
    return await host.receive()


@pytest.mark.parametrize(("android", "most"), [("8.0", 256 * 1024), ("9", 1024 * 1024)])
def test_greeting_names_the_phone(android, most):
    command, version, payload, banner = talk(lambda _, host: connect(host), android=android)
    assert (command, version, payload) == (CNXN, VERSION, most)
    assert banner.startswith(b"device::ro.product.name=ali;ro.product.model=moto g(6);")


def test_shell_stream_from_open_to_close():
    async def scenario(_, host):
        await connect(host)
        await host.send(OPEN, 7, 0, b"shell,v2,raw:echo hi\0")
        assert (await host.receive())[:1] == (OKAY,)
        command, local, remote, data = await host.receive()
        assert (command, remote, data) == (WRTE, 7, struct.pack("<BI", 1, 3) + b"hi\n")
        await host.send(OKAY, 7, local)
        assert (await host.receive())[3] == struct.pack("<BI", 3, 1) + b"\0"
        await host.send(OKAY, 7, local)
        return (await host.receive())[0]

    assert talk(scenario) == CLSE


def test_unauthorized_phone_challenges_twice_and_then_waits():
    async def scenario(cable, host):
        cable.authorized = False
        first = await connect(host)
        await host.send(AUTH, 2, 0, b"signature")
        second = await host.receive()
        await host.send(AUTH, 3, 0, b"key")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(host.receive(), 0.2)
        return first, second

    first, second = talk(scenario)
    assert (first[0], second[0]) == (AUTH, AUTH)
    assert first[3] != second[3]


def test_forward_to_a_server_that_does_not_run_is_refused():
    async def scenario(_, host):
        await connect(host)
        await host.send(OPEN, 7, 0, b"tcp:6790\0")
        return (await host.receive())[:3]

    assert talk(scenario) == (CLSE, 0, 7)


def test_a_frozen_phone_answers_nothing_and_then_everything():
    async def scenario(cable, host):
        await connect(host)
        cable.freeze()
        await host.send(OPEN, 1, 0, b"shell:echo late\0")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(host.receive(), 0.2)
        cable.thaw()
        assert (await host.receive())[0] == OKAY
        return (await host.receive())[3]

    assert talk(scenario) == b"late\n"


def test_closing_the_stream_ends_the_command():
    async def scenario(cable, host):
        await connect(host)
        await host.send(OPEN, 1, 0, b"shell:sleep 100000000; echo ended > /data/local/tmp/x\0")
        _, local, _, _ = await host.receive()
        await host.send(CLSE, 1, local)
        command = (await host.receive())[0]
        return command, cable.phone.files.find("/data/local/tmp/x")

    assert talk(scenario) == (CLSE, None)
