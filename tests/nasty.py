"""Hand-picked nasty values for every place of every route of a service's OpenAPI document.

In: the service's URL, a key, and names that exist. Out: what was sent, and the answer.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import requests

Known = dict[str, list[str]]  # path parameters that lead to something, by name, or by method and name

NASTY: tuple[Any, ...] = (
    "a\0b", "\ud800", "é" * 5000, "../../etc/passwd", "%00", "'; DROP TABLE runs; --", "", "٣", "NaN",
    2**63, -(2**63) - 1, 10**400, 1e308, -1, True, None, [], {}, ["a\0"], {"a\0": "\udfff"},
)  # fmt: skip
RAW_BODIES = (
    b"", b"{", b"[1, 2", b"\xff\xfe\x00", b'"\\ud800"', b'{"name": "\\u0000"}', b"[" * 5000, b"NaN", b"1" * 5000,
    b'{"a": 1, "a": 2}', b"\x00", b"null",
)  # fmt: skip
Sent = tuple[str, dict[str, Any]]


def nasty_answers(url: str, key: str, known: Known) -> Iterator[tuple[str, requests.Response]]:
    """Each nasty value in each place of each route, everything else being right."""
    with requests.Session() as http:
        http.headers["authorization"] = f"Bearer {key}"
        document = http.get(f"{url}/openapi.json", timeout=20).json()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                for label, sent in _requests(document, path, operation, known):
                    yield (
                        f"{method} {label}",
                        http.request(method, url + sent.pop("path"), timeout=20, **sent),
                    )


def _requests(document: Any, path: str, operation: Any, known: Known) -> Iterator[Sent]:
    names = {name: quote(values[0]) for name, values in known.items()}
    fields = _body_fields(document, operation)
    body = {"json": fields} if fields else {}
    for parameter in operation.get("parameters", ()):
        for value in NASTY:
            label = f"{path} {parameter['in']} {parameter['name']}={str(value)[:30]!r}"
            yield label, _with_parameter(path, names, parameter, _text(value)) | body
    if "requestBody" in operation:
        right = _filled(path, names)
        for raw in RAW_BODIES:
            headers = {"content-type": "application/json"}
            yield f"{path} {raw[:30]!r}", {"path": right, "data": raw, "headers": headers}
        yield f"{path} as a form", {"path": right, "data": {"a": "b"}}
        for field in fields:
            for value in NASTY:
                yield f"{path} {field}={str(value)[:30]!r}", {"path": right, "json": {**fields, field: value}}


def _with_parameter(path: str, names: dict[str, str], parameter: Any, text: str) -> dict[str, Any]:
    name, quoted = parameter["name"], quote(text.encode("utf-8", "surrogatepass"), safe="") or "%20"
    if parameter["in"] == "path":
        return {"path": _filled(path, {**names, name: quoted})}
    if parameter["in"] == "query":
        return {"path": f"{_filled(path, names)}?{name}={quoted}"}
    header = text.replace("\0", "%00").encode("utf-8", "surrogatepass")  # no client lets NUL into a header
    return {"path": _filled(path, names), "headers": {name: header}}


def _filled(path: str, names: dict[str, str]) -> str:
    return path.format_map(defaultdict(lambda: "1", names))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _body_fields(document: Any, operation: Any) -> dict[str, Any]:
    """The fields that a JSON body may have, with their defaults."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rsplit("/", 1)[-1]
    fields = document["components"]["schemas"].get(name, {}).get("properties", {})
    return {field: schema.get("default") for field, schema in fields.items()}
