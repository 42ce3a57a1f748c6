"""Conversations as token ids: the one place where generation, scoring and training learn what a prompt and an answer are.

The model's own chat template is applied. A control token's text inside a message (`<|im_end|>` typed by a user) must not become
the control token: every such text is replaced by a private-use character before the template runs and tokenised on its own, as
plain text, afterwards. So templates that trim or inspect contents work on the real contents, and ordinary rows are tokenised in
one piece.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.child.rows import Message

_PRIVATE_USE = range(0x100000, 0x10FFFD)


def leading_bos(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The id that the tokenizer puts before every text by itself; none when it puts none."""
    plain: list[int] = tokenizer("a")["input_ids"]
    bos: int | None = tokenizer.bos_token_id
    return bos if bos is not None and plain[:1] == [bos] else None


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A prompt and its answer: the model reads prompt_ids + answer_ids + [end_id]."""

    prompt_ids: list[int]
    answer_ids: list[int]
    """Without the end token; empty for an empty answer."""
    end_id: int
    """The token that ends the turn."""

    @property
    def tokens(self) -> int:
        return len(self.prompt_ids) + len(self.answer_ids) + 1

    @property
    def completion_ids(self) -> list[int]:
        """What training learns: the answer and its end, without the template's white space after it, which is never generated."""
        return [*self.answer_ids, self.end_id]

    def learnt_ids(self, *, unfinished: bool) -> list[int]:
        """`completion_ids`, but no end for an answer that was cut short: it would teach to stop in the middle."""
        return self.answer_ids if unfinished else self.completion_ids


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """A whole conversation, up to the end of its last assistant turn."""

    ids: list[int]
    answers: list[range]
    """Where each assistant turn lies in `ids`, its end token included: what training learns."""


class ChatFormat:
    """A tokenizer with its chat template. Raises `TaskFailure` MODEL.NO_CHAT_TEMPLATE at construction when there is none."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop_ids: Sequence[int]) -> None:
        if not tokenizer.chat_template:
            raise TaskFailure(
                "MODEL.NO_CHAT_TEMPLATE",
                "invalid",
                "the model's tokenizer has no chat template",
                'Add chat_template.jinja to the model folder, or fine-tune the model with chat_template "auto" first.',
            )
        self._tokenizer = tokenizer
        self._stop_ids = frozenset(stop_ids)
        control = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        self._control = sorted(control, key=lambda text: (-len(text), text))
        self._control_text = re.compile("|".join(re.escape(text) for text in self._control)) if control else None
        self._leading_bos = leading_bos(tokenizer)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The conversation so far and the opening of the assistant's turn."""
        marked, marks = self._mark(messages)
        return self._encode(self._render(marked, add_generation_prompt=True), marks)

    def conversation(self, messages: Sequence[Message], response: str) -> Conversation:
        """The prompt and `response` as the assistant's turn after it.

        The prompt's ids are those of `prompt_ids`, exactly. Raises `TaskFailure` MODEL.TEMPLATE_NOT_PREFIX when the template
        renders the prompt differently once an answer follows, MODEL.NO_TURN_END when no stop token follows the answer.
        """
        marked, marks = self._mark([*messages, Message(role="assistant", content=response)])
        prompt_text = self._render(marked[:-1], add_generation_prompt=True)
        text = self._render(marked, add_generation_prompt=False)
        prompt_ids = self._encode(prompt_text, marks)
        answer_ids, end_id = self._answer_ids(prompt_text, prompt_ids, text, marks)
        return Conversation(prompt_ids=prompt_ids, answer_ids=answer_ids, end_id=end_id)

    def dialogue(self, messages: Sequence[Message]) -> Dialogue:
        """Every assistant turn of `messages` after what sampling would see before it.

        The ids before a turn are those of `prompt_ids` for the messages so far, save where the tokenizer would merge the first
        characters of an earlier answer with its prompt: there the answer's own tokens stay, as after sampling it.
        Raises `TaskFailure` MODEL.TEMPLATE_NOT_PREFIX when the template renders earlier turns differently once others follow, so
        that one sequence cannot serve for all turns, and MODEL.NO_TURN_END as `conversation` does.
        """
        marked, marks = self._mark(messages)
        ids: list[int] = []
        text = ""
        answers: list[range] = []
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            prompt_text = self._render(marked[:index], add_generation_prompt=True)
            prompt_ids = self._continue(ids, text, prompt_text, marks)
            full_text = self._render(marked[: index + 1], add_generation_prompt=False)
            answer_ids, end_id = self._answer_ids(prompt_text, prompt_ids, full_text, marks)
            ids = [*prompt_ids, *answer_ids, end_id]
            answers.append(range(len(prompt_ids), len(ids)))
            end = self._exact([end_id])
            text = full_text[: full_text.index(end, len(prompt_text)) + len(end)]
        return Dialogue(ids=ids, answers=answers)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer, without control tokens."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def _continue(self, ids: list[int], text: str, prompt_text: str, marks: dict[str, str]) -> list[int]:
        """The ids of `prompt_text`, which must begin with `text`, whose ids are `ids`."""
        whole = self._encode(prompt_text, marks)
        if whole[: len(ids)] == ids:
            return whole
        if prompt_text.startswith(text):
            continued = ids + self._encode_parts(prompt_text[len(text) :], marks)
            if self._exact(continued) == self._exact(whole):
                return continued
        raise _not_prefix("earlier turns differently once others follow, so that one sequence cannot serve for all turns")

    def _answer_ids(self, prompt_text: str, prompt_ids: list[int], text: str, marks: dict[str, str]) -> tuple[list[int], int]:
        """The answer's ids and the id that ends it. Raises `TaskFailure` MODEL.TEMPLATE_NOT_PREFIX or MODEL.NO_TURN_END."""
        completion_ids = self._completion_ids(prompt_text, prompt_ids, text, marks)
        for index, token in enumerate(completion_ids):
            if token in self._stop_ids:
                return completion_ids[:index], token
        raise TaskFailure(
            "MODEL.NO_TURN_END",
            "invalid",
            f"the chat template ends an assistant turn with none of the model's end-of-sequence tokens {sorted(self._stop_ids)}",
            "Add the id of the token that ends a turn to eos_token_id in generation_config.json.",
        )

    def _completion_ids(self, prompt_text: str, prompt_ids: list[int], text: str, marks: dict[str, str]) -> list[int]:
        if text.startswith(prompt_text):
            whole = self._encode(text, marks)
            if whole[: len(prompt_ids)] == prompt_ids:
                return whole[len(prompt_ids) :]
            # The tokenizer merged the answer's first characters with the prompt's last ones ("\n" + "\n"). A generating model
            # cannot do that, so the answer is tokenised on its own, provided that the tokenizer adds nothing at the seam.
            completion_ids = self._encode_parts(text[len(prompt_text) :], marks)
            if self._exact(prompt_ids + completion_ids) == self._exact(whole):
                return completion_ids
        raise _not_prefix("a prompt alone differently than before an answer, so the answer's tokens cannot be told")

    def _exact(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def _mark(self, messages: Sequence[Message]) -> tuple[list[Message], dict[str, str]]:
        """`messages` with each control text replaced by a character that occurs nowhere in them, and what those stand for."""
        pattern = self._control_text
        if pattern is None or not any(pattern.search(message["content"]) for message in messages):
            return list(messages), {}
        taken = {character for message in messages for character in message["content"]}
        free = (chr(code) for code in _PRIVATE_USE if chr(code) not in taken)
        mark_of = {text: next(free) for text in self._control}
        marked = [
            Message(role=message["role"], content=pattern.sub(lambda match: mark_of[match.group()], message["content"]))
            for message in messages
        ]
        return marked, {mark: text for text, mark in mark_of.items()}

    def _render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        conversation: list[dict[str, Any]] = [dict(message) for message in messages]
        try:
            text = self._tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=add_generation_prompt)
        except TemplateError as error:
            raise TaskFailure(
                "MODEL.TEMPLATE_REJECTED",
                "invalid",
                f"the chat template refuses a conversation with roles {[message['role'] for message in messages]}: {error}",
                "Give conversations the roles and the order that the model's chat template takes.",
            ) from error
        return str(text)

    def _encode(self, text: str, marks: dict[str, str]) -> list[int]:
        ids = self._encode_parts(text, marks)
        bos = self._leading_bos
        if bos is None:
            return ids
        while ids[:1] == [bos]:
            ids = ids[1:]
        return [bos, *ids]

    def _encode_parts(self, text: str, marks: dict[str, str]) -> list[int]:
        if not marks:
            return self._encode_text(text, as_text=False)
        ids: list[int] = []
        for part in re.split(f"([{''.join(marks)}])", text):
            if part in marks:
                ids += self._encode_text(marks[part], as_text=True)
            elif part:
                ids += self._encode_text(part, as_text=False)
        return ids

    def _encode_text(self, text: str, *, as_text: bool) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=as_text)
        return ids


def _not_prefix(how: str) -> TaskFailure:
    return TaskFailure(
        "MODEL.TEMPLATE_NOT_PREFIX",
        "invalid",
        f"the chat template renders {how}",
        "Use a chat template whose rendering with add_generation_prompt begins the rendering of the full conversation.",
    )
