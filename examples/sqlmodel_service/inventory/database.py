"""The one engine, of the service and of its migrations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends
from sqlalchemy import URL, Engine, event
from sqlmodel import Session, create_engine

import pgiam

from .settings import Settings


def build_engine(settings: Settings) -> Engine:
    """Connects to nothing yet."""
    url = URL.create(
        "postgresql+psycopg2",
        username=settings.user,
        password=settings.password,
        host=settings.host,
        port=settings.port,
        database=settings.name,
    )
    engine = create_engine(
        url, pool_size=settings.pool_size, pool_pre_ping=True, pool_recycle=settings.pool_recycle, hide_parameters=True
    )
    if settings.env == "production":
        # From here on every physical connection logs in with an auth token of its own, over verified TLS.
        event.listen(engine, "do_connect", pgiam.do_connect)
    return engine


engine = build_engine(Settings.from_environment())


def session() -> Iterator[Session]:
    """One per request."""
    with Session(engine) as opened:
        yield opened


SessionOfRequest = Annotated[Session, Depends(session)]
