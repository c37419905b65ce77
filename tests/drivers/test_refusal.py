"""Which failed logins are about credentials, and how often that may drop them."""

from __future__ import annotations

import pytest

import pgiam
from pgiam._refusal import drop_refused, generation, is_refusal

PREFIX = 'connection failed: connection to server at "10.0.0.1", port 5432 failed: FATAL:  '


class ServerError(Exception):
    """As asyncpg's and SQLAlchemy's carry the code."""

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    "error",
    [
        ServerError(PREFIX + 'PAM authentication failed for user "app"'),
        ServerError(PREFIX + 'password authentication failed for user "app"'),
        ServerError('PAM authentication failed for user "app"', "28000"),
        ServerError('la autentificación falló para el usuario "app"', "28P01"),
        ServerError("The IAM authentication failed for the role app. Check the IAM token for this role and try again."),
        ServerError("IAM authentication failed for user app. Check the IAM token for this user and try again."),
        ServerError(PREFIX + "unable to accept connection, access denied\nHINT:  Signature expired: 20261120T000000Z"),
        ServerError("unable to accept connection, access denied", "08006"),
        # pg8000 raises with the fields of the server's message.
        Exception({"S": "FATAL", "C": "28000", "M": 'PAM authentication failed for user "app"'}),
        Exception({"S": "FATAL", "C": "08006", "M": "unable to accept connection, access denied"}),
    ],
)
def test_refused_credentials(error: Exception) -> None:
    assert is_refusal(error)


@pytest.mark.parametrize(
    "error",
    [
        ServerError("no pg_hba.conf entry for host, no encryption", "28000"),
        ServerError('role "app" does not exist', "28000"),
        ServerError('role "app" is not permitted to log in', "28000"),
        ServerError("The IAM authentication failed because of too many competing requests."),
        ServerError('database "app" does not exist', "3D000"),
        ServerError("sorry, too many clients already", "53300"),
        ServerError("unable to accept connection, waking up cluster, please retry later", "08006"),
        ServerError("connection is bad: Connection refused"),
        Exception({"S": "FATAL", "C": "53300", "M": "sorry, too many clients already"}),
        OSError(111, "Connection refused"),
        pgiam.CredentialsError("STS said: access denied", hint="Let the role be assumed."),
        Exception(),
    ],
)
def test_other_failures(error: Exception) -> None:
    assert not is_refusal(error)


REFUSED = ServerError('PAM authentication failed for user "app"', "28000")


def cold_client() -> pgiam.Client:
    client = pgiam.Client(lambda: pgiam.Credentials("AKIDEXAMPLE", "secret"))
    client.refresh()
    return client


def test_refused_credentials_are_dropped() -> None:
    client = cold_client()
    drop_refused(client, generation(client), REFUSED)
    assert not client.ready()


def test_they_stay_after_other_failures() -> None:
    client = cold_client()
    drop_refused(client, generation(client), ServerError("too many clients", "53300"))
    assert client.ready()


def test_their_successors_stay() -> None:
    client = cold_client()
    refused = generation(client)
    client.refresh()
    drop_refused(client, refused, REFUSED)
    assert client.ready()


def test_a_user_who_is_denied_for_good_costs_one_fetch_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("pgiam._refusal.monotonic", lambda: now)
    client = cold_client()
    fetches = []
    for _ in range(4):
        for _ in range(10):
            refused = generation(client)
            client.credentials()
            drop_refused(client, refused, REFUSED)
        fetches.append(generation(client))
        now += 25
    # A drop at 1000 and one at 1075; the fetch that follows each counts when it is needed.
    assert fetches == [2, 2, 2, 3]


def test_clients_are_judged_apart() -> None:
    first, second = cold_client(), cold_client()
    for client in (first, second):
        drop_refused(client, generation(client), REFUSED)
    assert not first.ready()
    assert not second.ready()
