"""What a caller can do wrong, free of gRPC: the servicer alone turns these into status codes."""

from __future__ import annotations


class RequestError(Exception):
    """A request that is refused. The text names the field, the value and the fix, and may be shown to a user."""


class InvalidRequestError(RequestError):
    """A field cannot work, whenever it is sent."""


class NotFoundError(RequestError):
    """A task, an attempt or an artifact that this worker does not have."""


class StaleFenceError(RequestError):
    """The caller's claim on the task was overtaken, or its lease ran out."""


class NoCapacityError(RequestError):
    """No slot is free, or the worker drains."""


class SequenceError(RequestError):
    """The caller has seen more of a journal than there is."""
