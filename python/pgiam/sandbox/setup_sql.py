"""The roles that every sandbox database starts with, and who is asked for what. Data."""

from __future__ import annotations


def hba_rules(flavor: str) -> list[str]:
    """pg_hba.conf behind the gateway, which has checked the token of every IAM user by then."""
    if flavor == "dsql":
        return ["local all all trust"]
    return ["local all +rds_iam trust", "local all all md5"]  # md5: also takes a password stored as SCRAM


def statements_for(flavor: str) -> list[str]:
    """What makes a fresh database look like the service's."""
    return _DSQL if flavor == "dsql" else _RDS


_RDS = [
    "CREATE ROLE rds_iam NOLOGIN",
    "CREATE ROLE rds_superuser NOLOGIN",
    # IAM users. Of 'denied' no role in the account may log in.
    "CREATE ROLE app LOGIN IN ROLE rds_iam",
    "CREATE ROLE reporting LOGIN IN ROLE rds_iam",
    "CREATE ROLE denied LOGIN IN ROLE rds_iam",
    # Password users, the second the one that owns everything; passwords are set at every start.
    "CREATE ROLE legacy LOGIN",
    "CREATE ROLE postgres LOGIN SUPERUSER",
    "GRANT pg_read_all_data TO reporting",
    "GRANT CREATE, USAGE ON SCHEMA public TO app, legacy",
    "GRANT CREATE ON DATABASE postgres TO app",
]
_DSQL = [
    'CREATE ROLE "admin" LOGIN CREATEROLE',
    "CREATE ROLE app LOGIN",
    "CREATE ROLE reporting LOGIN",
    "CREATE ROLE denied LOGIN",
    'ALTER SCHEMA public OWNER TO "admin"',
    'GRANT CREATE ON DATABASE postgres TO "admin"',
    "GRANT pg_read_all_data TO reporting",
    # DSQL keeps public to admin; a sandbox with one schema less to make is of more use.
    "GRANT CREATE, USAGE ON SCHEMA public TO app",
    "ALTER DATABASE postgres SET default_transaction_isolation = 'repeatable read'",
]
