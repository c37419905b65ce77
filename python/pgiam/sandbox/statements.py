"""What Aurora DSQL refuses among SQL statements, decided from their leading words. Pure.

The texts and SQLSTATEs are those that users report from real clusters, for example in
https://github.com/flyway/flyway-community-db-support/pull/139, https://github.com/pressly/goose/pull/970,
https://github.com/Lore-Hex/quill-router/pull/672, and the record of https://github.com/Dreamescaper/dsql-emulator.
What is refused: https://docs.aws.amazon.com/aurora-dsql/latest/userguide/working-with-postgresql-compatibility-unsupported-features.html
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

UNSUPPORTED = "0A000"


@dataclass(frozen=True)
class Refusal:
    """An error in place of an answer."""

    sqlstate: str
    message: str
    severity: str = "ERROR"


class Kind(enum.Enum):
    """What a statement does to the transaction it runs in."""

    DDL = "ddl"
    DML = "dml"
    COMMIT = "commit"
    OTHER = "other"


_TOKEN = re.compile(
    r"""
      (?P<skip> \s+ | --[^\n]* )
    | (?P<comment> /\* )
    | (?P<dollar> \$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$ )
    | (?P<escaped> [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z) )
    | (?P<string> '(?:[^']|'')*(?:'|\Z) )
    | (?P<quoted> "(?:[^"]|"")*(?:"|\Z) )
    | (?P<word> [A-Za-z_\x80-\uffff][\w$\x80-\uffff]* )
    | (?P<number> \d[\w.]* )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


@dataclass(frozen=True)
class Token:
    """A word in upper case, or one placeholder character; and where it stands."""

    text: str
    start: int
    end: int


def split(sql: str) -> list[list[Token]]:
    """The statements of a query, as tokens. Strings become "'", quoted names become '"'."""
    statements: list[list[Token]] = []
    current: list[Token] = []
    position = 0
    while match := _TOKEN.match(sql, position):
        kind, end = match.lastgroup, match.end()
        if kind == "comment":
            position = _after_comment(sql, end)
            continue
        if kind == "dollar":
            closing = sql.find(match[0], end)
            end = len(sql) if closing < 0 else closing + len(match[0])
        if kind == "other" and match[0] == ";":
            statements.append(current)
            current = []
        elif kind != "skip":
            text = {"word": match[0].upper(), "number": "0", "quoted": '"', "other": match[0]}.get(kind or "", "'")
            current.append(Token(text, match.start(), end))
        position = end
    statements.append(current)
    return [statement for statement in statements if statement]


def _after_comment(sql: str, position: int) -> int:
    depth = 1  # PostgreSQL's comments nest
    while depth:
        edge = _COMMENT_EDGE.search(sql, position)
        if edge is None:
            return len(sql)
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position


def _not_supported(message: str) -> Refusal:
    return Refusal(UNSUPPORTED, message)


_CACHE = "cache size. please define CACHE greater than or equal to 65536 or equal to 1"
_BY_START: tuple[tuple[str, Refusal], ...] = (
    ("SAVEPOINT", _not_supported("unsupported transaction statement: SAVEPOINT")),
    ("RELEASE", _not_supported("unsupported transaction statement: RELEASE")),
    ("ROLLBACK TO", _not_supported("unsupported transaction statement: ROLLBACK TO")),
    ("ROLLBACK WORK TO", _not_supported("unsupported transaction statement: ROLLBACK TO")),
    ("ROLLBACK TRANSACTION TO", _not_supported("unsupported transaction statement: ROLLBACK TO")),
    ("TRUNCATE", _not_supported("unsupported statement: Truncate")),
    ("LISTEN", _not_supported("unsupported statement: Listen")),
    ("NOTIFY", _not_supported("unsupported statement: Notify")),
    ("UNLISTEN", _not_supported("unsupported statement: Unlisten")),
    ("VACUUM", _not_supported("unsupported VACUUM statement")),
    ("MERGE", _not_supported("unsupported statement type: MERGE")),
    ("ALTER SYSTEM", _not_supported("unsupported statement: AlterSystem")),
    ("ALTER TYPE", _not_supported("ALTER TYPE not supported")),
    ("DROP TYPE", _not_supported("unsupported object in DROP statement")),
    ("CREATE EXTENSION", _not_supported("unsupported statement: CreateExtension")),
    ("CREATE DATABASE", _not_supported("unsupported statement: Createdb")),
    ("CREATE TABLESPACE", _not_supported("unsupported statement: CreateTableSpace")),
    ("CREATE FOREIGN TABLE", _not_supported("unsupported statement: CreateForeignTable")),
    ("CREATE MATERIALIZED VIEW", _not_supported("unsupported statement: CreateTableAs")),
    ("CREATE TYPE", _not_supported("CREATE TYPE not supported")),
    ("CREATE UNLOGGED TABLE", _not_supported("UNLOGGED table not supported for CREATE TABLE")),
    ("SET TRANSACTION", _not_supported('setting configuration parameter "TRANSACTION" not supported')),
    ("SET SESSION CHARACTERISTICS", _not_supported('setting configuration parameter "TRANSACTION" not supported')),
)
# Parameters that clients set on connecting and that DSQL is known to refuse.
REFUSED_SETTINGS = frozenset(
    {
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "client_min_messages",
        "transaction_isolation",
        "default_transaction_isolation",
    }
)


def refused_setting(name: str) -> Refusal:
    return _not_supported(f'setting configuration parameter "{name}" not supported')


def refusal(statement: list[Token]) -> Refusal | None:
    """The error that DSQL answers this one statement with, or None."""
    words = [token.text for token in statement]
    line = " ".join(words)
    for start, refused in _BY_START:
        if line == start or line.startswith(start + " "):
            return refused
    if words[0] == "SET":
        name = next((word for word in words[1:] if word not in ("SESSION", "LOCAL")), "").lower()
        return refused_setting(name) if name in REFUSED_SETTINGS else None
    if words[0] == "CREATE":
        return _refused_creation(words, line)
    if words[0] == "SELECT" and re.search(r"\bFOR (SHARE|NO KEY UPDATE)\b", line):
        return _not_supported("locking clauses other than FOR UPDATE/FOR KEY SHARE are not supported")
    return None


def _refused_creation(words: list[str], line: str) -> Refusal | None:
    head = line.replace("CREATE OR REPLACE", "CREATE", 1)
    if re.match(r"CREATE (GLOBAL |LOCAL )?TEMP(ORARY)? ", head):
        what = "SEQUENCE" if " SEQUENCE" in head else "VIEW" if " VIEW" in head else "TABLE"
        return _not_supported(f"TEMPORARY or TEMP {what.lower()} not supported for CREATE {what}")
    if re.match(r"CREATE (CONSTRAINT )?TRIGGER ", head):
        return _not_supported("CREATE TRIGGER not supported")
    if head.startswith("CREATE SEQUENCE") and "CACHE" not in words:
        return _not_supported(f"CREATE SEQUENCE is not supported without an explicit {_CACHE}")
    if re.match(r"CREATE (FUNCTION|PROCEDURE) ", head):
        language = re.search(r"\bLANGUAGE ([A-Z_]+)", head)
        if language and language[1] != "SQL":
            return _not_supported(f"CREATE FUNCTION with language {language[1].lower()} not supported")
    if re.match(r"CREATE (UNIQUE )?INDEX (?!ASYNC\b)", head):
        return _not_supported("unsupported mode. please use CREATE INDEX ASYNC.")
    if head.startswith("CREATE TABLE"):
        if {"SERIAL", "BIGSERIAL", "SMALLSERIAL"} & set(words):
            return Refusal("42704", 'type "serial" does not exist')
        if "IDENTITY" in words and "CACHE" not in words:
            return _not_supported(f"identity column is not supported without an explicit {_CACHE}")
        if re.match(r"CREATE TABLE (IF NOT EXISTS )?\S+( \. \S+)? AS ", head):
            return _not_supported("unsupported statement: CreateTableAs")
    return None


_DDL = frozenset({"CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "COMMENT", "REINDEX"})
_DML = frozenset({"INSERT", "UPDATE", "DELETE", "COPY"})


def kind(statement: list[Token]) -> Kind:
    """What this statement counts as in its transaction."""
    words = [token.text for token in statement]
    if words[0] in _DDL:
        return Kind.DDL
    if words[0] in _DML or (words[0] == "WITH" and _DML & set(words)):
        return Kind.DML
    if words[0] in ("COMMIT", "END"):
        return Kind.COMMIT
    return Kind.OTHER


MULTIPLE_DDL = _not_supported("multiple ddl statements not supported in a transaction")
DDL_WITH_DML = _not_supported("ddl and dml are not supported in the same transaction")
CONFLICT = Refusal("40001", "change conflicts with another transaction (OC000)")
SCHEMA_CHANGED = Refusal("40001", "schema has been updated by another transaction (OC001)")


def translate(sql: str, statements: list[list[Token]]) -> str:
    """DSQL's own syntax in PostgreSQL's words: CREATE INDEX ASYNC becomes CREATE INDEX."""
    for statement in reversed(statements):
        for index, token in enumerate(statement[1:4], 1):
            if token.text == "ASYNC" and statement[0].text == "CREATE" and statement[index - 1].text == "INDEX":
                sql = sql[: token.start] + sql[token.end :]
                break
    return sql
