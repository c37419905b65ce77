"""The HTTP API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, cast
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

import pgiam

from . import errors
from .database import Database, as_json

COLUMNS = "id, title, done, created_at"


class NewTodo(BaseModel):
    title: str = Field(min_length=1, max_length=200)


class Change(BaseModel):
    title: str | None = Field(default=None, min_length=1, max_length=200)
    done: bool | None = None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.database = Database()
    await app.state.database.open()
    yield
    await app.state.database.close()


app = FastAPI(title="Todos", lifespan=lifespan)
app.add_middleware(pgiam.oidc.VercelMiddleware)
errors.install(app)


def database(request: Request) -> Database:
    return cast("Database", request.app.state.database)


Db = Annotated[Database, Depends(database)]


@app.get("/todos")
async def list_todos(db: Db, limit: Annotated[int, Field(ge=1, le=1000)] = 100) -> list[dict[str, Any]]:
    rows = await db.rows(f"SELECT {COLUMNS} FROM todos ORDER BY created_at, id LIMIT $1", limit)
    return [as_json(row) for row in rows]


@app.post("/todos", status_code=201)
async def create_todo(todo: NewTodo, db: Db) -> dict[str, Any]:
    row = await db.change(
        f"INSERT INTO todos (id, title) VALUES ($1, $2) RETURNING {COLUMNS}",
        uuid4(),
        todo.title,
    )
    return _found(row)


@app.patch("/todos/{todo_id}")
async def change_todo(todo_id: UUID, change: Change, db: Db) -> dict[str, Any]:
    row = await db.change(
        f"UPDATE todos SET title = coalesce($2, title), done = coalesce($3, done) WHERE id = $1 RETURNING {COLUMNS}",
        todo_id,
        change.title,
        change.done,
    )
    return _found(row)


@app.delete("/todos/{todo_id}", status_code=204)
async def delete_todo(todo_id: UUID, db: Db) -> None:
    _found(await db.change("DELETE FROM todos WHERE id = $1 RETURNING id", todo_id))


def _found(row: Any) -> dict[str, Any]:
    if row is None:
        raise HTTPException(404, "There is no such todo.")
    return as_json(row)
