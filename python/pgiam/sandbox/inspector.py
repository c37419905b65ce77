"""Stands between client and server in the DSQL flavour and refuses what DSQL refuses.

A refusal must leave the session as a server would: transaction failed, pipeline skipped up to the next
Sync. So the gateway does not answer itself. It sends the server a statement that cannot be parsed, with a
mark in it, and words the server's own error anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from . import statements, wire
from .statements import Kind, Refusal

_IDLE, _FAILED = b"I", b"E"
_MARK = "pgiam_sandbox_refused_"


class Inspector:
    """One session's view of both directions."""

    def __init__(self, take_conflict: Callable[[], Refusal | None]) -> None:
        self._take_conflict = take_conflict
        self._from_client = wire.Framer()
        self._from_server = wire.Framer()
        self._status = _IDLE
        self._ddl = 0
        self._dml = 0
        self._marks = itertools.count()
        self._refused: dict[str, Refusal] = {}
        self._lost_commits: list[Refusal] = []
        self._prepared: dict[bytes, list[Kind]] = {}
        self._portals: dict[bytes, list[Kind]] = {}
        self._unanswered = 0  # parse and bind messages on their way
        self._swallow: list[int] = []  # for each answer to take out: how many of the client's come before it

    def client(self, data: bytes) -> bytes:
        """What the server shall get in place of `data`."""
        return b"".join(self._outgoing(kind, whole) for kind, whole in self._from_client.feed(data))

    def server(self, data: bytes) -> bytes:
        """What the client shall get in place of `data`."""
        return b"".join(self._incoming(kind, whole) for kind, whole in self._from_server.feed(data))

    def _outgoing(self, kind: bytes, whole: bytes) -> bytes:
        if kind == b"Q":
            return self._simple_query(whole)
        if kind in (b"P", b"B"):
            self._unanswered += 1
        if kind == b"P":
            return self._parse(whole)
        if kind == b"B":
            portal, statement = whole[5:].split(b"\0", 2)[:2]
            self._portals[portal] = self._prepared.get(statement, [])
        elif kind == b"E":
            portal = whole[5:].split(b"\0", 1)[0]
            return self._execute(self._portals.get(portal, []), whole)
        return whole

    def _simple_query(self, whole: bytes) -> bytes:
        sql = whole[5:-1].decode("utf-8", "surrogateescape")
        parsed = statements.split(sql)
        kinds = [statements.kind(statement) for statement in parsed]
        # In a failed transaction the server itself answers, with 25P02.
        if self._status == _FAILED:
            return whole
        refused = _first_refusal(parsed) or self._count(kinds)
        if refused is not None:
            return wire.query(self._mark(refused))
        if kinds == [Kind.COMMIT] and self._status != _IDLE and self._loses_commit():
            return wire.query("ROLLBACK")
        return wire.message(b"Q", statements.translate(sql, parsed).encode("utf-8", "surrogateescape") + b"\0")

    def _parse(self, whole: bytes) -> bytes:
        name, text, rest = whole[5:].split(b"\0", 2)
        sql = text.decode("utf-8", "surrogateescape")
        parsed = statements.split(sql)
        self._prepared[name] = [statements.kind(statement) for statement in parsed]
        if self._status == _FAILED:
            return whole
        refused = _first_refusal(parsed)
        sql = statements.translate(sql, parsed) if refused is None else self._mark(refused)
        return wire.message(b"P", name + b"\0" + sql.encode("utf-8", "surrogateescape") + b"\0" + rest)

    def _execute(self, kinds: list[Kind], whole: bytes) -> bytes:
        if self._status == _FAILED:
            return whole
        refused = self._count(kinds)
        if refused is not None:
            return wire.message(b"P", b"\0" + self._mark(refused).encode() + b"\0\0\0")
        if kinds == [Kind.COMMIT] and self._status != _IDLE and self._loses_commit():
            # A portal of its own, so that the client's prepared COMMIT stays what it is. The two extra
            # answers (parse and bind complete) are taken out again on the way back.
            self._swallow = [self._unanswered, 0]
            rollback = wire.message(b"P", b"\0ROLLBACK\0\0\0") + wire.message(b"B", b"\0\0\0\0\0\0\0\0")
            return rollback + wire.message(b"E", b"\0\0\0\0\0")
        return whole

    def _count(self, kinds: list[Kind]) -> Refusal | None:
        """Enter statements into the transaction's account; what DSQL says if that is too much."""
        for kind in kinds:
            if kind is Kind.DDL:
                self._ddl += 1
            elif kind is Kind.DML:
                self._dml += 1
        if self._ddl and self._dml:
            return statements.DDL_WITH_DML
        if self._ddl > 1:
            return statements.MULTIPLE_DDL
        if self._status == _IDLE and Kind.DML in kinds and Kind.COMMIT not in kinds:
            return self._take_conflict()  # a transaction of its own, committed as it ends
        return None

    def _loses_commit(self) -> bool:
        conflict = self._take_conflict() if self._dml or self._ddl else None
        if conflict is not None:
            self._lost_commits.append(conflict)
        return conflict is not None

    def _mark(self, refused: Refusal) -> str:
        mark = f"{_MARK}{next(self._marks)}_"
        self._refused[mark] = refused
        return mark

    def _incoming(self, kind: bytes, whole: bytes) -> bytes:
        if kind == b"Z":
            self._status = whole[5:6]
            if self._status == _IDLE:
                self._ddl = self._dml = 0
            self._refused.clear()
            self._unanswered = 0
            self._swallow.clear()
        elif kind == wire.ERROR and self._refused:
            return self._worded(whole)
        elif kind in (b"1", b"2"):
            if self._swallow and not self._swallow[0]:
                self._swallow.pop(0)
                return b""
            self._unanswered -= 1
            if self._swallow:
                self._swallow[0] -= 1
        elif kind == b"C" and self._lost_commits and whole[5:] == b"ROLLBACK\0":
            refused = self._lost_commits.pop(0)
            return wire.error(refused.severity, refused.sqlstate, refused.message)
        return whole

    def _worded(self, whole: bytes) -> bytes:
        message = wire.error_fields(whole[5:]).get("M", "")
        for mark, refused in self._refused.items():
            if mark in message:
                return wire.error(refused.severity, refused.sqlstate, refused.message)
        return whole


def _first_refusal(parsed: list[list[statements.Token]]) -> Refusal | None:
    return next((refused for refused in map(statements.refusal, parsed) if refused is not None), None)
