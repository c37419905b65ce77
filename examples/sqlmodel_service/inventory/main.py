"""The HTTP API. Its functions are synchronous: FastAPI runs each in a thread."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from sqlmodel import select, text

import pgiam

from .database import SessionOfRequest, engine
from .models import Item, ItemCreate, ItemPublic, ItemUpdate

log = logging.getLogger("uvicorn.error")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    engine.dispose()


app = FastAPI(title="Inventory", lifespan=lifespan)


@app.exception_handler(pgiam.Error)
@app.exception_handler(OperationalError)
def database_unavailable(request: Request, error: Exception) -> JSONResponse:
    """No credentials, or no database: whoever runs the service reads why, the caller only that."""
    log.error("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse({"detail": "The database cannot be reached."}, status_code=503, headers={"Retry-After": "5"})


@app.get("/health")
def health(session: SessionOfRequest) -> dict[str, str]:
    return {"database_user": session.execute(text("SELECT current_user")).scalar_one()}


@app.get("/items", response_model=list[ItemPublic])
def list_items(session: SessionOfRequest, limit: int = 100) -> Sequence[Item]:
    return session.exec(select(Item).order_by("id").limit(limit)).all()


@app.post("/items", response_model=ItemPublic, status_code=201)
def create_item(item: ItemCreate, session: SessionOfRequest) -> Item:
    stored = Item.model_validate(item)
    session.add(stored)
    session.commit()
    session.refresh(stored)
    return stored


@app.get("/items/{item_id}", response_model=ItemPublic)
def read_item(item_id: int, session: SessionOfRequest) -> Item:
    return _item(session, item_id)


@app.patch("/items/{item_id}", response_model=ItemPublic)
def update_item(item_id: int, change: ItemUpdate, session: SessionOfRequest) -> Item:
    stored = _item(session, item_id)
    stored.sqlmodel_update(change.model_dump(exclude_unset=True))
    session.add(stored)
    session.commit()
    session.refresh(stored)
    return stored


@app.delete("/items/{item_id}", status_code=204)
def delete_item(item_id: int, session: SessionOfRequest) -> None:
    session.delete(_item(session, item_id))
    session.commit()


def _item(session: SessionOfRequest, item_id: int) -> Item:
    item = session.get(Item, item_id)
    if item is None:
        raise HTTPException(404, "There is no such item.")
    return item
