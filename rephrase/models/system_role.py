"""Chat models without a system role, such as Gemma 2 and Mistral v0.1: their templates refuse or drop its message."""

from collections.abc import Sequence

Message = dict[str, str]


def fold_system(messages: Sequence[Message]) -> list[Message]:
    """Put the system message at the head of the first user message."""
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
    others = [dict(message) for message in messages if message["role"] != "system"]
    first = next((message for message in others if message["role"] == "user"), None)
    if system and first:
        first["content"] = f"{system}\n\n{first['content']}"
    return others
