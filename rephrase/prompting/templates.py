"""The templates of recipes, in a sandbox: a recipe may come from somebody else."""

import functools
from typing import Any

from jinja2 import StrictUndefined, meta
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError


class _Sandbox(ImmutableSandboxedEnvironment):
    """Without what could compute for ever or fill the memory: ranges, powers and repeated texts."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        for name in ("range", "lipsum"):  # loops go over what a prompt may hold
            del self.globals[name]

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not all(isinstance(value, int | float) for value in (left, right)):
            raise SecurityError(f"{operator} is not for templates" + (", except of numbers" if operator == "*" else ""))
        return super().call_binop(context, operator, left, right)


# The passage is a value, never part of a template, so a document cannot inject template code.
TEMPLATES = _Sandbox()


@functools.lru_cache(maxsize=256)
def used_variables(template: str) -> frozenset[str]:
    """The names of the values that a template reads."""
    return frozenset(meta.find_undeclared_variables(TEMPLATES.parse(template)))
