"""Failures as users read them: our own carry their code, foreign ones are looked up in `error_rules.toml`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from sgpo_worker.events import FailureClass, TaskError

_MESSAGE_CHARACTERS = 2_000
_CLASSES: dict[str, FailureClass] = {"invalid": "invalid", "infrastructure": "infrastructure", "resources": "resources"}


class TaskFailure(Exception):
    """A failure whose code and remedy are known where it is raised."""

    def __init__(self, code: str, failure_class: FailureClass, message: str, remedy: str) -> None:
        super().__init__(message)
        self.error = TaskError(code=code, failure_class=failure_class, message=message, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class ErrorRule:
    """One entry of `error_rules.toml`: `pattern` is searched in "ExceptionName: message"."""

    pattern: re.Pattern[str]
    code: str
    failure_class: FailureClass
    remedy: str


def find_error(exception: BaseException) -> TaskError:
    """The user's view of any exception; the first rule that matches it, or a cause of it, wins; else WORKER.INTERNAL."""
    chain = _causes(exception)
    for link in chain:
        if isinstance(link, TaskFailure):
            return link.error
    for link in chain:
        text = _text_of(link)
        for rule in load_rules():
            if rule.pattern.search(text):
                return TaskError(code=rule.code, failure_class=rule.failure_class, message=_shorten(text), remedy=rule.remedy)
    return TaskError(
        code="WORKER.INTERNAL",
        failure_class="infrastructure",
        message=_shorten(_text_of(exception)),
        remedy="Retry the task; if it fails again, read the worker's log of this task for the traceback.",
    )


def is_out_of_memory(exception: BaseException) -> bool:
    """True when memory of the device or the host ran out."""
    return find_error(exception).failure_class == "resources"


@cache
def load_rules() -> tuple[ErrorRule, ...]:
    """The rules in file order. Raises `ValueError` for a rule with an unknown failure class."""
    document = tomllib.loads(files("sgpo_worker").joinpath("error_rules.toml").read_text(encoding="utf-8"))
    rules: list[ErrorRule] = []
    for entry in document["rule"]:
        if entry["failure_class"] not in _CLASSES:
            raise ValueError(f"error rule {entry['code']}: failure_class {entry['failure_class']!r} is none of {list(_CLASSES)}")
        rules.append(
            ErrorRule(
                pattern=re.compile(entry["pattern"], re.DOTALL),
                code=entry["code"],
                failure_class=_CLASSES[entry["failure_class"]],
                remedy=entry["remedy"],
            )
        )
    return tuple(rules)


def _causes(exception: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    link: BaseException | None = exception
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return chain


def _text_of(exception: BaseException) -> str:
    return f"{type(exception).__name__}: {exception}".strip()


def _shorten(text: str) -> str:
    return text if len(text) <= _MESSAGE_CHARACTERS else text[:_MESSAGE_CHARACTERS] + " …"
