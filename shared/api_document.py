"""`/openapi.json`: what FastAPI knows of the routes, and with it what the frame does to every one of them.

In: an app. Out: its document says the bearer scheme, each operation's scope, and its errors in OpenAI's shape.
"""

import copy
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.routing import compile_path

from shared.callers import OPEN_PATHS, bearer, scope_by_method
from shared.types import JsonObject

METHODS = ("get", "post", "put", "patch", "delete")
CHAT = "/v1/chat/completions"
CHAT_OPERATION: JsonObject = {
    "summary": "OpenAI's chat completion",
    "operationId": "chat_completions",
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "model": {"type": "string"},
                        "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
                        "stream": {"type": "boolean"},
                    },
                    "required": ["messages"],
                }
            }
        },
    },
    "responses": {
        "200": {"description": "The answer", "content": {"application/json": {}, "text/event-stream": {}}}
    },
}
STREAMS = ("text/event-stream", "application/jsonl")
ALWAYS = {
    "401": "No key, or one that is not known or was revoked",
    "403": "The key's scope, or an allow-list, does not cover this",
    "413": "The body is too long",
    "429": "Too many requests; `retry-after` says when to ask again",
    "502": "What answers behind this service does not keep to the protocol",
    "503": "Something that is needed is away just now; ask again",
}
ASKED = {"400": "The request is not well formed", "422": "A value is not one that can be taken"}
NAMED = {"404": "There is no such thing"}
CHANGING = {"409": "It is not in the state for this, or there is another of the name"}


class ErrorDetail(BaseModel):
    message: str = Field(description="what was expected, what came, what to do")
    type: str
    param: str | None = Field(None, description="the field at fault, where it is one")
    code: str = Field(description="the kind of error, for programs")


class ErrorAnswer(BaseModel):
    """OpenAI's error object."""

    error: ErrorDetail


def describe(app: FastAPI) -> None:
    """Complete the app's document, whenever it is made."""
    made = app.openapi

    def openapi() -> JsonObject:
        if app.openapi_schema is None:
            _complete(made(), has_chat=any(getattr(route, "path", "") == CHAT for route in app.routes))
        return made()

    app.openapi = openapi  # type: ignore[method-assign]


def methods_of(app: FastAPI, path: str) -> list[str]:
    """The methods that the document has for a path."""
    paths: JsonObject = app.openapi()["paths"]
    fitting = [template for template in paths if compile_path(template)[0].match(path)]
    return sorted({method.upper() for template in fitting for method in METHODS if method in paths[template]})


def _complete(document: JsonObject, has_chat: bool) -> None:
    if has_chat:  # a plain route, of which FastAPI knows nothing
        document["paths"][CHAT] = {"post": copy.deepcopy(CHAT_OPERATION)}
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    made = ErrorAnswer.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(made.pop("$defs"))
    schemas["ErrorAnswer"] = made
    components.setdefault("securitySchemes", {})["bearer"] = bearer.model.model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    for path, operations in document["paths"].items():
        for method in METHODS:
            if operation := operations.get(method):
                _complete_operation(path, method, operation)


def _complete_operation(path: str, method: str, operation: JsonObject) -> None:
    answers: JsonObject = operation["responses"]
    for media in [media for answer in answers.values() for media in answer.get("content", {}).items()]:
        if media[0] in STREAMS:  # FastAPI calls them strings, which neither an event nor a line is
            media[1].clear()
    if path in OPEN_PATHS:
        return
    declared = {scope for need in operation.get("security", ()) for scope in need.get("bearer", ())}
    operation["security"] = [{"bearer": sorted(declared or {scope_by_method(method.upper())})}]
    for status, meaning in _errors(path, method, operation).items():
        answers[status] = {"description": meaning, **_ERROR}


def _errors(path: str, method: str, operation: JsonObject) -> dict[str, str]:
    found = dict(ALWAYS)
    if operation.get("parameters") or operation.get("requestBody"):
        found |= ASKED
    if "{" in path or "requestBody" in operation:
        found |= NAMED
    if method != "get":
        found |= CHANGING
    return found


_ERROR: dict[str, Any] = {
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}
}
