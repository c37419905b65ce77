"""Listening sockets on loopback."""

from __future__ import annotations

import socket


def loopback_listeners(port: int) -> list[socket.socket]:
    """IPv4, and IPv6 where the machine has it, at the same port: 'localhost' may mean either."""
    for _ in range(20):
        first = _listener(socket.AF_INET, "127.0.0.1", port)
        try:
            return [first, _listener(socket.AF_INET6, "::1", first.getsockname()[1])]
        except OSError:
            if not _has_ipv6():
                return [first]
            first.close()
            if port:
                raise
    raise OSError("found no port that is free on both IPv4 and IPv6")


def _listener(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind((host, port))
        listener.listen(1024)
    except BaseException:
        listener.close()
        raise
    return listener


def _has_ipv6() -> bool:
    try:
        _listener(socket.AF_INET6, "::1", 0).close()
    except OSError:
        return False
    return True
