"""A name server with TLS (RFC 7858) beyond the gateway; its answers are those of an outside."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from typing import Literal

from tests.support.outside import BEYOND, Outside

Behaviour = Literal["answers", "silent", "deaf", "cuts", "closes"]
"""What it does with a question: ``answers`` it, in reverse order of what came together; is ``silent``; never takes part
in a handshake (``deaf``); ``cuts`` its answer in the middle; or answers and ``closes``."""


class SecuredNameServer:
    """Serves at port 853 while :meth:`running`. Everything may be changed meanwhile."""

    def __init__(self, outside: Outside, context: ssl.SSLContext) -> None:
        self._outside = outside
        self.context = context
        self.behaviour: Behaviour = "answers"
        self.connections = 0
        self.questions: list[str] = []

    @contextlib.contextmanager
    def running(self, port: int = 853) -> Iterator[SecuredNameServer]:
        listener = self._outside.beyond.run(lambda: socket.create_server((BEYOND, port), backlog=64))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        try:
            yield self
        finally:
            # Closing alone does not wake who waits in accept.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, struct.error, IndexError), connection:
            connection.settimeout(30)
            if self.behaviour == "deaf":
                while connection.recv(4096):
                    pass
                return
            stream = self.context.wrap_socket(connection, server_side=True)
            held = b""
            while piece := stream.recv(65536):
                questions, held = _messages(held + piece)
                for question in reversed(questions):
                    if not self._reply(stream, question):
                        _end(stream)
                        return

    def _reply(self, stream: ssl.SSLSocket, question: bytes) -> bool:
        """Whether the connection goes on."""
        answer = self._outside.answer(question)
        self.questions.append(self._outside.questions[-1])
        message = struct.pack("!H", len(answer)) + answer
        match self.behaviour:
            case "answers":
                stream.sendall(message)
            case "closes":
                stream.sendall(message)
                return False
            case "cuts":
                stream.sendall(message[:-3])
                return False
            case "silent" | "deaf":
                pass
        return True


def _end(stream: ssl.SSLSocket) -> None:
    """What was sent arrives, whatever else came: closing at once would take it back."""
    stream.shutdown(socket.SHUT_WR)
    while stream.recv(4096):
        pass


def _messages(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole messages, and what is left."""
    messages = []
    while len(data) > 1 and len(data) >= (end := 2 + struct.unpack("!H", data[:2])[0]):
        messages.append(data[2:end])
        data = data[end:]
    return messages, data
