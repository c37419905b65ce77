"""Every error as JSON of one shape: {"error": {"code": ..., "message": ...}}."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import asyncpg
from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import pgiam

from .database import LOST, ConflictError

log = logging.getLogger("uvicorn.error")


def install(app: FastAPI) -> None:
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ConflictError, _conflict)
    app.add_exception_handler(pgiam.Error, _no_login)
    for kind in (asyncpg.PostgresError, *LOST, OSError, TimeoutError):
        app.add_exception_handler(kind, _unavailable)


def _answer(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **more: object
) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, **more}}, status, headers)


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    return _answer(error.status_code, code, str(error.detail), error.headers)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for nothing else
    fields = [{"field": ".".join(map(str, each["loc"][1:])), "problem": each["msg"]} for each in error.errors()]
    return _answer(422, "invalid", "The request makes no sense.", fields=jsonable_encoder(fields))


def _conflict(request: Request, error: Exception) -> JSONResponse:
    return _answer(409, "conflict", "Others changed this at the same time. Try again.", {"Retry-After": "1"})


def _no_login(request: Request, error: Exception) -> JSONResponse:
    # Roles and claims are for the log, not for whoever calls.
    log.error("%s %s: %s", request.method, request.url.path, error)
    return _answer(503, "no_database_login", "The service has no login for its database.", {"Retry-After": "5"})


def _unavailable(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s: %s: %s", request.method, request.url.path, type(error).__name__, error)
    return _answer(503, "database_unavailable", "The database cannot be reached.", {"Retry-After": "5"})
