"""The engine, its sessions, and the table."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends
from sqlalchemy import URL, func
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pgiam


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    text: Mapped[str]
    written_at: Mapped[datetime] = mapped_column(server_default=func.now())


# "asyncpg" or "psycopg": nothing else in this program depends on it.
url = URL.create(
    f"postgresql+{os.environ.get('DATABASE_DRIVER', 'asyncpg')}",
    username=os.environ.get("DATABASE_USER", "app"),
    host=os.environ["DATABASE_HOST"],
    port=int(os.environ.get("DATABASE_PORT", "5432")),
    database=os.environ.get("DATABASE_NAME", "postgres"),
)

# SQLAlchemy's own create_async_engine, with pool_pre_ping, a pool_recycle that suits the endpoint, and pgiam attached.
engine = pgiam.sqlalchemy.create_async_engine(url, pool_size=5, hide_parameters=True)
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def session() -> AsyncIterator[AsyncSession]:
    """One per request."""
    async with sessions() as opened:
        yield opened


SessionOfRequest = Annotated[AsyncSession, Depends(session)]


async def create_tables() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
