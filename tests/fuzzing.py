"""schemathesis over a service's own OpenAPI document: every route, as the document allows and as it does not.

In: the service's URL, a key, and names that exist. Out: the number of requests by route, or the first bad answer.
"""

import os
from collections.abc import Callable
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi import checks

from tests.nasty import Known

EXAMPLES = int(
    os.environ.get("COMD_FUZZ_EXAMPLES", "8")
)  # a route and way of making them; 200 is the long form
REJECTION = checks.negative_data_rejection
NOTHING: tuple[Any, ...] = (None, [], {})  # what leaves no trace in a URL
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    REJECTION,
    checks.ignored_auth,
]


def fuzz(url: str, key: str, known: Known) -> dict[str, int]:
    """Every route with requests that its document allows and with ones that it does not; the number sent by route."""
    headers = {"Authorization": f"Bearer {key}"}  # the check of keys knows it by this spelling
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers)
    sent: dict[str, int] = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path == "/ready":  # may well say 503, and takes nothing
            continue
        sent[operation.label] = 0

        def check(case: Case) -> None:
            sent[case.operation.label] += 1
            wrong = _wrong_places(case)
            if ParameterLocation.PATH not in wrong:
                _lead_somewhere(case, known, sent[case.operation.label])
            our_key_alone_mends_it = wrong == {ParameterLocation.HEADER}
            may_be_right = our_key_alone_mends_it or _is_text_in_a_url(case)
            chosen = [one for one in CHECKS if one is not REJECTION or not may_be_right]
            case.call_and_validate(headers=headers, checks=chosen, timeout=20)

        _run(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), check)
        if operation.body or operation.query or operation.headers:
            _run(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), check)
    return sent


def _run(cases: Any, check: Callable[[Case], None]) -> None:
    limits = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize="COMD_FUZZ_EXAMPLES" not in os.environ,  # the long form tries other ones each time
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    limits(given(cases)(check))()


def _wrong_places(case: Case) -> set[ParameterLocation]:
    assert case.meta is not None, "schemathesis made it"
    return {place for place, made in case.meta.components.items() if made.mode is GenerationMode.NEGATIVE}


def _is_text_in_a_url(case: Case) -> bool:
    """Whether the URL says less than the query: what takes any text gets text, and what is empty is not there."""
    takes_text = {one.name for one in case.operation.query if _takes_any_text(one.definition["schema"])}
    return any(
        value in NOTHING or (name in takes_text and _is_one_value(value))
        for name, value in (case.query or {}).items()
    )


def _is_one_value(value: Any) -> bool:
    """Of several only one could be read, and an object's fields are parameters of their own."""
    return not isinstance(value, str | list | dict) or (isinstance(value, list) and len(value) == 1)


def _takes_any_text(schema: dict[str, Any]) -> bool:
    kinds = schema.get("anyOf", [schema])
    return any(one.get("type") == "string" and not {"pattern", "enum"} & one.keys() for one in kinds)


def _lead_somewhere(case: Case, known: Known, number: int) -> None:
    """Most made-up ids lead nowhere, so two of three are ones that exist."""
    for name in list(case.path_parameters) if number % 3 else ():
        if names := known.get(f"{case.method} {name}") or known.get(name):
            case.path_parameters[name] = names[number % len(names)]
