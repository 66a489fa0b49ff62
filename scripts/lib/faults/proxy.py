"""A TCP proxy that damages what passes: delay, silence, resets, one message held back.

It runs in a thread of its own; every method may be called from any thread. Links are read as
messages: of Kafka's protocol, so that a rule can name a request by its kind, or as the chunks
that come, which is enough to find a word in PostgreSQL's.
"""
import asyncio
import contextlib
import socket
import struct
import threading

TO_SERVER, TO_CLIENT = "to the server", "to the client"

# Kinds of Kafka's requests (api keys).
PRODUCE, END_TXN = 0, 26


def acknowledged():
    """Matches the database's answer to the first commit of a batch that passes from now on."""
    sent = []

    def matches(message):
        if message.direction == TO_SERVER and b"muster.fence" in message.data:
            sent.append(True)
        return bool(sent) and message.direction == TO_CLIENT and b"COMMIT\0" in message.data
    return matches


class Message:
    """What passes: its direction, bytes, and of Kafka the kind of the request, also in an answer."""

    def __init__(self, direction, data, kind=None):
        self.direction, self.data, self.kind = direction, data, kind


class Rule:
    """The first message that matches is held back until release(), or resets its link.

    was_hit is set when that happened. A held message holds all behind it on its link.
    """

    def __init__(self, matches, resets, loop):
        self.matches, self.resets, self.was_hit = matches, resets, threading.Event()
        self._loop, self._released = loop, asyncio.Event()

    def release(self):
        self._loop.call_soon_threadsafe(self._released.set)

    async def apply(self, link):
        self.was_hit.set()
        if self.resets:
            link.reset()
        else:
            await self._released.wait()


class Link:
    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.kinds = {}  # of Kafka's requests without an answer yet, by correlation id
        self.is_silent = False

    def reset(self):
        """Ends both connections with an RST, as a firewall or a crashed host does."""
        for _, writer in (self.client, self.server):
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _read(self, reader, direction):
        if not self.proxy.is_kafka:
            data = await reader.read(1 << 16)
            return Message(direction, data) if data else None
        head = await reader.readexactly(4)
        body = await reader.readexactly(struct.unpack(">i", head)[0])
        if direction == TO_SERVER:
            kind, _, correlation = struct.unpack_from(">hhi", body)
            self.kinds[correlation] = kind
        else:
            kind = self.kinds.pop(struct.unpack_from(">i", body)[0], None)
        return Message(direction, head + body, kind)

    async def carry(self, direction):
        (reader, _), (_, writer) = (
            (self.client, self.server) if direction == TO_SERVER else (self.server, self.client))
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while (message := await self._read(reader, direction)) is not None:
                await self.proxy.damage(self, message)
                if not self.is_silent:
                    writer.write(message.data)
                    await writer.drain()
        if not self.is_silent:
            writer.close()


class Proxy:
    """From a port of 127.0.0.1 to target, (host, port)."""

    def __init__(self, port, target, is_kafka=False):
        self.port, self.target, self.is_kafka = port, target, is_kafka
        self.delay_s, self.is_half_open = 0, False
        self._rules, self._links, self._tasks = [], set(), set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._call(self._listen())

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=1 << 20)

    async def _accept(self, reader, writer):
        try:
            server = await asyncio.open_connection(*self.target, limit=1 << 20)
        except OSError:
            writer.transport.abort()
            return
        link = Link(self, (reader, writer), server)
        link.is_silent = self.is_half_open
        self._links.add(link)
        try:
            await asyncio.gather(link.carry(TO_SERVER), link.carry(TO_CLIENT))
        finally:
            self._links.discard(link)

    async def damage(self, link, message):
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        for rule in self._rules:
            if not rule.was_hit.is_set() and rule.matches(message):
                await rule.apply(link)

    def _rule(self, matches, resets):
        rule = Rule(matches, resets, self._loop)
        self._rules.append(rule)
        return rule

    def hold(self, matches):
        """Holds back the first message that matches(message) picks."""
        return self._rule(matches, False)

    def reset_on(self, matches):
        """Resets the link of the first message that matches picks; the message does not arrive."""
        return self._rule(matches, True)

    def reset(self):
        """Resets every link."""
        async def each():
            for link in list(self._links):
                link.reset()
        self._call(each())

    def half_open(self):
        """From now on every link takes what it is sent and delivers nothing, new ones too."""
        self.is_half_open = True
        for link in list(self._links):
            link.is_silent = True

    def heal(self):
        """What is opened from now on works. Links that fell silent stay so: nobody tells their ends."""
        self.delay_s, self.is_half_open = 0, False
        for rule in self._rules:
            rule.release()
        self._rules = []
