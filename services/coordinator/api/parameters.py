"""A query parameter that nobody reads is a mistake of the caller, and is refused as unknown fields of a body are.

In: a request, as a dependency of the whole app. Out: BadRequest that names the parameter and those there are, or
the one that is given twice where one value is read.
"""

from typing import get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from shared.errors import BadRequest, told


async def known_parameters(request: Request) -> None:
    """Refuses a query parameter that the route does not have, or has twice."""
    if not request.query_params:
        return
    route: APIRoute = request.scope["route"]
    known = _takes_several(route.dependant)
    for name in request.query_params:
        if name not in known:
            allowed = ", ".join(sorted(known)) or "none"
            raise BadRequest(
                f"unknown query parameter {told(name)}; allowed are: {allowed}", param=name[:100]
            )
        if not known[name] and len(request.query_params.getlist(name)) > 1:
            raise BadRequest(f"query parameter {name}: expected one value, got several", param=name)


def _takes_several(dependant: Dependant) -> dict[str, bool]:
    """Every parameter's name, and whether it takes several values."""
    found = {
        parameter.alias: get_origin(parameter.field_info.annotation) is list
        for parameter in dependant.query_params
    }
    for inner in dependant.dependencies:
        found |= _takes_several(inner)
    return found
