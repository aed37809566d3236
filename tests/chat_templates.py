"""Chat templates in the forms that the model families use, for tests: what they write around a message."""

PARTS = (  # a message's pictures and texts, in their order
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}PICTURE{% else %}"
    "{{ part['text'] }}{% endif %}{% endfor %}"
)
PICTURES_FIRST = (  # all pictures of a message, then its texts
    "{% for part in message['content'] if part['type'] == 'image' %}PICTURE{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
)


def chatml(picture: str, parts: str = PARTS, system: str = "") -> str:
    """Qwen's form; with `system`, a first message of that text where the dialogue has none."""
    first = (
        f"{{% if messages[0]['role'] != 'system' %}}<|im_start|>system\n{system}<|im_end|>\n{{% endif %}}"
        if system
        else ""
    )
    return (
        first
        + "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        + parts.replace("PICTURE", picture)
        + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


VICUNA = (  # LLaVA's, with the block that marks what the model is to say
    "{% for message in messages %}{% if message['role'] == 'assistant' %}ASSISTANT: {% generation %}"
    "{{ message['content'][0]['text'] }}{{ eos_token }}{% endgeneration %}{% else %}"
    "{{ message['role'].upper() }}: "
    + PICTURES_FIRST.replace("PICTURE", "<image>\n")
    + " {% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT: {% endif %}"
)

MISTRAL = (  # LLaVA-NeXT's
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %} "
    + PARTS
    + "{{ eos_token }}{% else %}[INST] "
    + PICTURES_FIRST.replace("PICTURE", "<image>\n")
    + " [/INST]{% endif %}{% endfor %}"
)

UTTERANCES = (  # Idefics3's and SmolVLM's
    "{{ bos_token }}{% for message in messages %}{{ message['role'] | capitalize }}"
    "{{ ':' if message['content'][0]['type'] == 'image' else ': ' }}"
    + PARTS.replace("PICTURE", "<image>")
    + "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)

GEMMA = (  # roles of its own, a system message before the first question, texts trimmed
    "{{ bos_token }}{% set turns = messages[1:] if messages[0]['role'] == 'system' else messages %}"
    "{% for message in turns %}<start_of_turn>"
    "{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{% if loop.first and turns is not sameas messages %}{{ messages[0]['content'][0]['text'] }}\n\n{% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<start_of_image>{% else %}"
    "{{ part['text'] | trim }}{% endif %}{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
