"""What is wrong with a request, gathered before it is refused, so that a caller learns all of it at once."""

from __future__ import annotations

from sgpo_worker.server.errors import InvalidRequestError


class Problems:
    """Everything wrong with a request, as "field: value: fix"."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def check(self, right: bool, field: str, value: object, fix: str) -> None:
        if not right:
            self._found.append(f"{field}: {value!r}: {fix}")

    def refuse(self) -> None:
        """Raises InvalidRequestError when there is any."""
        if self._found:
            raise InvalidRequestError("; ".join(self._found))
