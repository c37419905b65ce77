"""The gateway's protocol parser: whole messages whatever the chunks, and no error but its own."""

from __future__ import annotations

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["pgiam.sandbox.wire"]):
    from pgiam.sandbox import wire


def check(data: bytes) -> None:
    for parse in (wire.startup_parameters, wire.password):
        with contextlib.suppress(wire.ProtocolViolation):
            parse(data)
    size = data[0] + 1 if data else 1
    framer, cut = wire.Framer(), b""
    with contextlib.suppress(wire.ProtocolViolation):
        for start in range(1, len(data), size):
            for kind, message in framer.feed(data[start : start + size]):
                if message[:1] != kind:
                    raise AssertionError((kind, message))
                cut += message
    if not data[1:].startswith(cut):
        raise AssertionError("the framer changed what it cut")


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
