"""Errors as answers, all in OpenAI's shape. In: an exception. Out: a JSON response."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shared.api_document import methods_of
from shared.errors import ComdError, NotFound, TooLarge, Unprocessable, writable

LONGEST = 2000  # characters of a message; a wrong name may be a megabyte long


def error_answer(error: ComdError) -> JSONResponse:
    return JSONResponse(error.body(), error.status, headers=error.headers)


def answer_errors(app: FastAPI) -> None:
    """Hang up the handlers."""
    app.add_exception_handler(ComdError, _comd_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)


async def _comd_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ComdError)
    return error_answer(error)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return error_answer(NotFound(f"no route {request.method} {request.url.path[:200]}"))
    if error.status_code == 413:
        return error_answer(TooLarge(str(error.detail)))
    said = {"message": writable(str(error.detail)), "type": "invalid_request_error", "param": None}
    headers = dict(error.headers or {})
    if error.status_code == 405 and (allowed := methods_of(request.app, request.url.path)):
        headers["allow"] = ", ".join(allowed)  # Starlette names those of one of the path's routes
    return JSONResponse({"error": {**said, "code": "http_error"}}, error.status_code, headers=headers)


async def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    said = "; ".join(f"{'.'.join(str(p) for p in item['loc'])}: {_reason(item)}" for item in found)
    where = [] if found[0]["type"] == "json_invalid" else [str(part) for part in found[0]["loc"][1:]]
    param = writable(".".join(where))[:LONGEST]
    return error_answer(Unprocessable(said[:LONGEST], param=param or None))


def _reason(item: Any) -> str:
    """What pydantic says of one wrong value; our own validators' sentences come without its prefix."""
    if item["type"] == "extra_forbidden":
        return "unknown field"
    return str(item["msg"]).removeprefix("Value error, ")
