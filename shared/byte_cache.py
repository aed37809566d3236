"""Texts that are dear to make: the latest used of them are kept, up to a bound. Safe between threads."""

import threading
from collections import OrderedDict
from collections.abc import Callable

NUM_MAKERS = 16  # texts that are made at the same time; two of the same key never are


class ByteCache:
    """Texts by key. `size_of` gives what each counts towards the bound: by default its length."""

    def __init__(self, bound: int, size_of: Callable[[str], int] = len):
        self.bound, self.size_of = bound, size_of
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._size = 0
        self._guard = threading.Lock()
        self._makers = [threading.Lock() for _ in range(NUM_MAKERS)]

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    def get(self, key: str, make: Callable[[], str]) -> str:
        """The text of the key; made once, by whoever asks first, while the others wait for it."""
        if (kept := self._find(key)) is not None:
            return kept
        with self._makers[hash(key) % NUM_MAKERS]:
            if (kept := self._find(key)) is None:
                kept = make()
                self._keep(key, kept)
            return kept

    def _find(self, key: str) -> str | None:
        with self._guard:
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
            return kept

    def _keep(self, key: str, text: str) -> None:
        with self._guard:
            self._kept[key] = text
            self._size += self.size_of(text)
            while self._size > self.bound:
                self._size -= self.size_of(self._kept.popitem(last=False)[1])
