"""What `/metrics` says of the requests that a service answers, by route; a path is never a label."""

from prometheus_client import Counter, Histogram
from starlette.types import Scope

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)

requests = Counter("comd_http_requests_total", "Requests answered", ["service", "method", "route", "status"])
seconds = Histogram(
    "comd_http_request_seconds", "Until the answer begins", ["service", "route"], buckets=SECONDS
)

METHODS = {"GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"}


def count(service: str, scope: Scope, status: int, taken_s: float) -> None:
    """One answered request."""
    route = str(getattr(scope.get("route"), "path", "none"))
    method = scope["method"] if scope["method"] in METHODS else "other"
    requests.labels(service, method, route, str(status)).inc()
    seconds.labels(service, route).observe(taken_s)
