"""The HTTP API."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import asyncpg
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

import pgiam

from .database import Note, SessionOfRequest, create_tables, engine

log = logging.getLogger("uvicorn.error")


class NewNote(BaseModel):
    text: str = Field(min_length=1, max_length=10_000)


class NoteOut(NewNote):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    written_at: datetime


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await create_tables()
    yield
    await engine.dispose()


app = FastAPI(title="Notes", lifespan=lifespan)


@app.exception_handler(pgiam.Error)
@app.exception_handler(DBAPIError)
@app.exception_handler(asyncpg.PostgresError)  # SQLAlchemy 2.0 does not wrap what asyncpg raises while it connects
@app.exception_handler(OSError)
def database_unavailable(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse({"detail": "The database cannot be reached."}, status_code=503, headers={"Retry-After": "5"})


@app.get("/health")
async def health(session: SessionOfRequest) -> dict[str, str]:
    user = await session.scalar(text("SELECT current_user"))
    return {"database_user": str(user), "driver": engine.dialect.driver}


@app.get("/notes", response_model=list[NoteOut])
async def list_notes(session: SessionOfRequest, limit: int = 100) -> Sequence[Note]:
    return (await session.scalars(select(Note).order_by(Note.written_at).limit(limit))).all()


@app.post("/notes", response_model=NoteOut, status_code=201)
async def write_note(note: NewNote, session: SessionOfRequest) -> Note:
    stored = Note(text=note.text)
    session.add(stored)
    await session.commit()
    await session.refresh(stored)
    return stored


@app.delete("/notes/{note_id}", status_code=204)
async def delete_note(note_id: UUID, session: SessionOfRequest) -> None:
    stored = await session.get(Note, note_id)
    if stored is None:
        raise HTTPException(404, "There is no such note.")
    await session.delete(stored)
    await session.commit()
