"""Which chat template a training uses, and which tokens end a turn in it."""

from __future__ import annotations

from pathlib import Path

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from sgpo_worker.chat_templates import AUTO, CHAT_TEMPLATES, OWN, PLAIN
from sgpo_worker.child.chat import leading_bos
from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.child.model_folder import TextSide, load_tokenizer, read_stop_ids

_PROBE = "0123456789 probe"


def read_text_side(folder: Path) -> TextSide:
    """The text side of a model folder as it is."""
    tokenizer = load_tokenizer(folder)
    stop_ids = read_stop_ids(folder, tokenizer)
    _set_pad(tokenizer, stop_ids)
    return TextSide(tokenizer=tokenizer, stop_ids=stop_ids, template="own")


def choose_text_side(folder: Path, choice: str) -> TextSide:
    """The text side that a fine-tuning learns and saves; `choice` as in SftSpec.chat_template.

    The token that ends a turn is among the stop ids, whatever the folder says: a base model often has only its end of text there.
    Raises `TaskFailure` MODEL.NO_CONTROL_TOKENS when the tokenizer lacks what the template is made of; tokens are never added.
    """
    text = read_text_side(folder)
    tokenizer = text.tokenizer
    name = _choose(tokenizer, choice)
    if name is not None:
        _check_control_tokens(tokenizer, name)
        # In front as the tokenizer would put it, for those who apply the template without the tokenizer's own additions.
        bos = "" if leading_bos(tokenizer) is None else "{{ bos_token }}"
        tokenizer.chat_template = bos + CHAT_TEMPLATES[name].jinja
    end = _turn_end(tokenizer)
    stop_ids = sorted({*text.stop_ids, *([] if end is None else [end])})
    return TextSide(tokenizer=tokenizer, stop_ids=stop_ids, template=name or text.template)


def _choose(tokenizer: PreTrainedTokenizerBase, choice: str) -> str | None:
    """A name of CHAT_TEMPLATES, or none for the model's own."""
    if choice == OWN or (choice == AUTO and tokenizer.chat_template):
        return None
    if choice != AUTO:
        return choice
    control = _control_tokens(tokenizer)
    made = {name: template.control_tokens for name, template in CHAT_TEMPLATES.items() if name != PLAIN}
    return next((name for name, tokens in made.items() if control.issuperset(tokens)), PLAIN)


def _check_control_tokens(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    wanted = CHAT_TEMPLATES[name].control_tokens
    missing = [token for token in wanted if token not in _control_tokens(tokenizer)]
    if name == PLAIN and tokenizer.eos_token is None:
        missing = ["an end-of-sequence token"]
    if missing:
        raise TaskFailure(
            "MODEL.NO_CONTROL_TOKENS",
            "invalid",
            f"chat_template {name!r} is made of control tokens that the model's tokenizer lacks: {', '.join(missing)}",
            'Use chat_template "auto", or "plain", which needs only an end-of-sequence token.',
        )


def _control_tokens(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    return {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}


def _turn_end(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The control token that follows an answer in the tokenizer's template; none when text does, or when there is no template."""
    if not tokenizer.chat_template:
        return None
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _PROBE}]
    try:
        text = str(tokenizer.apply_chat_template(messages, tokenize=False))
    except TemplateError:
        # The rows may have another form; what the template refuses of them is told then.
        return None
    after: list[int] = tokenizer.encode(text.rpartition(_PROBE)[2], add_special_tokens=False)
    control = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    return after[0] if after and after[0] in control else None


def _set_pad(tokenizer: PreTrainedTokenizerBase, stop_ids: list[int]) -> None:
    """Base models often have no pad token. Padding is told by length everywhere, so that the end token can serve for it."""
    if tokenizer.pad_token_id is None:
        pad = stop_ids[0] if tokenizer.eos_token_id is None else tokenizer.eos_token_id
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad)
