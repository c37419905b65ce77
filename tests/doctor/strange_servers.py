"""Servers that a database client meets by mistake, on loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def filtered() -> Iterator[int]:
    """A port whose packets get no answer: the accept queue is full, so the kernel drops every SYN."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            caller = sockets.enter_context(socket.socket())
            caller.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                caller.connect(listener.getsockname())
        yield listener.getsockname()[1]


@contextlib.contextmanager
def closed() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else can get meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@contextlib.contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """Sends `reply`, whatever was asked, and says no more; with none it is silent."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)

        def serve() -> None:
            with contextlib.ExitStack() as held:
                while not stop.is_set():
                    try:
                        caller = held.enter_context(listener.accept()[0])
                    except TimeoutError:
                        continue
                    caller.recv(8)
                    caller.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            thread.join()


@contextlib.contextmanager
def name_server(alias: str, target: str) -> Iterator[tuple[str, int]]:
    """Says of every name that it is `alias`'s kind: a CNAME of `target`."""

    def encoded(name: str) -> bytes:
        return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"

    stop = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                try:
                    question, client = server.recvfrom(512)
                except TimeoutError:
                    continue
                data = encoded(target)
                header = question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0"
                answer = encoded(alias) + b"\0\5\0\1\0\0\0\x3c" + len(data).to_bytes(2, "big") + data
                server.sendto(header + question[12:] + answer, client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()
        finally:
            stop.set()
            thread.join()
