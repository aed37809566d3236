"""Keys never show: those that this process has read or finds in its environment are masked in what leaves it.

In: any text. Out: the same with `***` in the place of keys.
"""

import os
import re

NAMES = re.compile(r"COMD_.*(KEY|SECRET).*(?<!_FILE)")  # environment variables that hold a key
SHORTEST = 8  # a shorter value is no secret, and would be found in ordinary words
HEAD = 12  # so much of a key is enough to know it by, where a message was cut inside it
FORMS = re.compile(
    r"(?i)(?P<bearer>bearer\s+)[^\s\"'\\]{8,}"
    r"|comd-(?:internal-)?[A-Za-z0-9_-]{30,}"
    r"|(?P<scheme>\b[a-z][a-z0-9+.-]{0,20}://)[^\s/\"']+(?P<at>@)"  # user and password in a URL
)

_keys: set[str] = set()
_pattern = re.compile(r"(?!)")


def hide(key: str) -> str:
    """From now on this value is masked; gives it back."""
    global _pattern
    if len(key) >= SHORTEST and key not in _keys:
        _keys.add(key)
        whole = sorted(_keys, key=len, reverse=True)
        known = "|".join(map(re.escape, whole))
        begun = "|".join({re.escape(one[:HEAD]) for one in whole})
        _pattern = re.compile(rf"{known}|(?:{begun})[^\s\"'\\]*")
    return key


def hide_environment() -> None:
    """Mask every key in the environment, whether it is used or not."""
    for name, value in os.environ.items():
        if NAMES.fullmatch(name):
            hide(value)


def mask(text: str) -> str:
    """The text without keys: neither those that are known nor what has the form of one."""
    return FORMS.sub(_masked_form, _pattern.sub("***", text))


def _masked_form(found: re.Match[str]) -> str:
    return f"{found['bearer'] or found['scheme'] or ''}***{found['at'] or ''}"
