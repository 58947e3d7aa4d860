"""A secret that does not show itself.

Holds the one type in which passwords, codes and keys travel. It must not grow a way to print them: whoever
needs the bytes calls `reveal()`, and that word can be searched for.
"""

import hmac
from typing import Never


class Secret:
    """Bytes that neither `repr`, `str`, formatting nor pickling disclose.

    Equality takes the same time wherever two secrets of one length differ. There is no hash, so a secret
    cannot become a dictionary key by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the bytes themselves."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> Never:
        raise TypeError("a Secret is not pickled")
