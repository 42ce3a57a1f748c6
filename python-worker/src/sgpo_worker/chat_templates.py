"""Chat templates for base models that come without one, as data. Free of torch.

Each turn of a template ends with a control token, so that no text inside a message can end it. The rendering of a conversation
begins with that of its first turns, so that training sees later prompts exactly as sampling does. Contents are never trimmed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ChatTemplate:
    """`jinja` without a leading BOS; `control_tokens`: what the tokenizer must have as control tokens, the turn's end last."""

    jinja: str
    control_tokens: tuple[str, ...]
    """Empty: made from the tokenizer's own end-of-sequence token alone."""


OWN, AUTO, PLAIN = "", "auto", "plain"

CHAT_TEMPLATES = {
    "chatml": ChatTemplate(
        jinja=(
            "{% for message in messages %}"
            "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
            "{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
        ),
        control_tokens=("<|im_start|>", "<|im_end|>"),
    ),
    "llama3": ChatTemplate(
        jinja=(
            "{% for message in messages %}"
            "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] + '<|eot_id|>' }}"
            "{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
        ),
        control_tokens=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    PLAIN: ChatTemplate(
        jinja=(
            "{% for message in messages %}"
            "{{ '### ' + message['role'] + ':\\n' + message['content'] + eos_token + '\\n' }}"
            "{% endfor %}"
            "{% if add_generation_prompt %}{{ '### assistant:\\n' }}{% endif %}"
        ),
        control_tokens=(),
    ),
}

CHAT_TEMPLATE_CHOICES = (OWN, AUTO, *CHAT_TEMPLATES)
