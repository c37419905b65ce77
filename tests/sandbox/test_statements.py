"""What the DSQL flavour refuses among statements, as a table."""

from __future__ import annotations

import pytest

from pgiam.sandbox.statements import Kind, kind, refusal, split, translate

REFUSED = [
    ("SAVEPOINT a", "0A000", "unsupported transaction statement: SAVEPOINT"),
    ("release savepoint a", "0A000", "unsupported transaction statement: RELEASE"),
    ("ROLLBACK TO a", "0A000", "unsupported transaction statement: ROLLBACK TO"),
    ("rollback work to savepoint a", "0A000", "unsupported transaction statement: ROLLBACK TO"),
    ("TRUNCATE t", "0A000", "unsupported statement: Truncate"),
    ("LISTEN c", "0A000", "unsupported statement: Listen"),
    ("NOTIFY c, 'x'", "0A000", "unsupported statement: Notify"),
    ("UNLISTEN *", "0A000", "unsupported statement: Unlisten"),
    ("VACUUM", "0A000", "unsupported VACUUM statement"),
    ("CREATE TEMP TABLE t (id int)", "0A000", "TEMPORARY or TEMP table not supported for CREATE TABLE"),
    ("/* a /* nested */ one */ create\ttemporary table t (id int)", "0A000", None),
    ("CREATE UNLOGGED TABLE t (id int)", "0A000", "UNLOGGED table not supported for CREATE TABLE"),
    ("CREATE TABLE t (id serial PRIMARY KEY)", "42704", 'type "serial" does not exist'),
    ("CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY)", "0A000", None),
    ("CREATE TABLE IF NOT EXISTS s.t AS SELECT 1", "0A000", "unsupported statement: CreateTableAs"),
    ("CREATE SEQUENCE s", "0A000", None),
    ("CREATE INDEX i ON t (a)", "0A000", "unsupported mode. please use CREATE INDEX ASYNC."),
    ("CREATE EXTENSION pgcrypto", "0A000", "unsupported statement: CreateExtension"),
    ("CREATE TRIGGER x BEFORE INSERT ON t EXECUTE FUNCTION f()", "0A000", "CREATE TRIGGER not supported"),
    (
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN 1; END$$",
        "0A000",
        "CREATE FUNCTION with language plpgsql not supported",
    ),
    ("SET statement_timeout = 0", "0A000", 'setting configuration parameter "statement_timeout" not supported'),
    ("SET LOCAL client_min_messages TO warning", "0A000", None),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", "0A000", None),
    ("SELECT * FROM t FOR SHARE", "0A000", None),
    ("-- a comment\nSAVEPOINT a", "0A000", None),
]
TAKEN = [
    "SELECT 'SAVEPOINT a'",
    'SELECT "truncate" FROM t',
    "SELECT $x$ TRUNCATE t; $x$",
    r"SELECT E'it\'s; TRUNCATE t'",
    "ROLLBACK",
    "BEGIN",
    "SET search_path TO x",
    "SET application_name = 'truncate'",
    "CREATE TABLE t (id uuid PRIMARY KEY)",
    "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY (CACHE 65536))",
    "CREATE SEQUENCE s CACHE 1",
    "CREATE INDEX ASYNC i ON t (a)",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SELECT * FROM t FOR UPDATE",
    "INSERT INTO listen VALUES (1)",
    "SELECT 'unfinished",
    "/* unfinished",
    "$$",
]


@pytest.mark.parametrize(("sql", "sqlstate", "message"), REFUSED)
def test_refused(sql: str, sqlstate: str, message: str | None) -> None:
    (statement,) = split(sql)
    refused = refusal(statement)
    assert refused is not None
    assert refused.sqlstate == sqlstate
    assert message in (None, refused.message)


@pytest.mark.parametrize("sql", TAKEN)
def test_taken(sql: str) -> None:
    assert [refusal(statement) for statement in split(sql) if refusal(statement)] == []


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("", []),
        (" ; ;; -- nothing", []),
        ("SELECT 1; SELECT 2", [Kind.OTHER, Kind.OTHER]),
        ("CREATE TABLE a (b text DEFAULT ';'); INSERT INTO a VALUES (';')", [Kind.DDL, Kind.DML]),
        ("WITH x AS (INSERT INTO a VALUES (1) RETURNING b) SELECT * FROM x", [Kind.DML]),
        ("WITH x AS (SELECT 1) SELECT * FROM x", [Kind.OTHER]),
        ("commit", [Kind.COMMIT]),
        ("END", [Kind.COMMIT]),
    ],
)
def test_kinds(sql: str, kinds: list[Kind]) -> None:
    assert [kind(statement) for statement in split(sql)] == kinds


def test_asynchronous_indexes_become_ordinary_ones() -> None:
    sql = "CREATE UNIQUE INDEX ASYNC i ON t (a); SELECT 'CREATE INDEX ASYNC'; create index async on t(b)"
    assert translate(sql, split(sql)) == (
        "CREATE UNIQUE INDEX  i ON t (a); SELECT 'CREATE INDEX ASYNC'; create index  on t(b)"
    )
