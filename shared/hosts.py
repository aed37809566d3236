"""Whether a URL leads to a host that the operator allowed. Pure; what two readers could take differently is refused."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
# what urlsplit drops or other readers take for "/" or "@": the host would depend on who reads the URL
AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")


def leads_to_allowed(url: str, allowed: frozenset[str]) -> bool:
    """Whether an http(s) URL's host, or host with port, is among `allowed` (`host` or `host:port`)."""
    parts = _parts(url)
    if parts is None:
        return False
    host = _plain(parts.hostname or "")
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    names = {_plain_entry(entry) for entry in allowed}
    return bool(host) and bool({(host, None), (host, port)} & names)


def _parts(url: str) -> SplitResult | None:
    """The URL in parts; None where it is not plain http(s) without credentials."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError where it is no port
    except ValueError:
        return None
    is_plain = parts.netloc.isascii() and "@" not in parts.netloc and not AMBIGUOUS.search(url)
    return parts if is_plain and parts.scheme in DEFAULT_PORTS else None


def _plain(host: str) -> str:
    """One spelling for each host: lower case, no dot at the end, IPv6 in its short form."""
    host = host.lower().removesuffix(".").strip("[]")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host


def _plain_entry(entry: str) -> tuple[str, int | None]:
    """An entry of an allow-list as host and port; `::1` and `[::1]:8000` are both understood."""
    host, colon, port = entry.rpartition(":")
    if colon and port.isdecimal() and (":" not in host or host.endswith("]")):
        return _plain(host), int(port)
    return _plain(entry), None
