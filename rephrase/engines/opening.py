"""Open the configured engine."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from rephrase.engines.engine import Engine
from rephrase.engines.engine_options import shaping_text
from rephrase.models.adapter import NO_ADAPTER, PACKAGED_ADAPTER
from rephrase.models.resolve import PACKAGED_MODEL
from rephrase.settings import Settings

# Arguments of vLLM that are fields of their own.
_VLLM_FIELDS = ("tensor_parallel_size", "dtype", "quantization", "gpu_memory_utilization", "max_num_seqs")


class EngineConfig(Settings):
    """Which language model rewrites, and where it runs."""

    form_fields: ClassVar = ("kind", "model", "endpoints", "lora")

    kind: Literal["vllm", "openai"] = Field(
        "vllm", description="vllm: in this process; openai: an OpenAI-compatible server."
    )
    model: str | None = Field(
        None,
        description=f"Hub id or folder. vllm: {PACKAGED_MODEL} by default; openai: by default what the server serves.",
    )
    lora: str | None = Field(
        None,
        description="LoRA adapter. vllm: folder or hub id, or none to leave out the packaged model's; openai: the name "
        "under which the server serves the adapter.",
    )
    tokenizer: str | None = Field(None, description="openai: tokenizer to count with, if not the model's.")
    endpoints: tuple[str, ...] = Field((), description="openai: base URLs such as http://localhost:8000/v1.")
    max_context_tokens: int = Field(4096, ge=256, description="vllm: context length, prompt and completion together.")
    max_in_flight: int | None = Field(
        None, ge=1, description="Maximum number of concurrent requests; by default as many as the engine takes."
    )
    timeout_s: float = Field(300, gt=0, description="openai: timeout of one request.")
    stall_s: float = Field(900, gt=0, description="vllm: stop the run when the engine answers nothing for this long.")
    chat_template_kwargs: dict[str, Any] = Field(
        {}, description='Arguments of the chat template, such as {"enable_thinking": false}.'
    )
    dtype: Literal["bfloat16", "float16", "float32"] | None = Field(
        None, description="vllm: numeric format; by default the model's, or float32 if the CPU would emulate it."
    )
    quantization: str | None = Field(
        None, description="vllm: quantization method; by default the one that the model's configuration states."
    )
    tensor_parallel_size: int | None = Field(None, ge=1, description="vllm: number of GPUs that share the model.")
    gpu_memory_utilization: float | None = Field(None, gt=0, le=1, description="vllm: share of the GPU's memory.")
    max_num_seqs: int | None = Field(
        None, ge=1, description="vllm: requests in one batch; by default 32 on CPUs and 256 on GPUs."
    )
    options: dict[str, Any] = Field({}, description="vllm: any other of its engine arguments, by name.")

    @model_validator(mode="after")
    def _endpoints_fit_the_kind(self) -> "EngineConfig":
        if self.kind == "openai" and not self.endpoints:
            raise ValueError("the openai engine needs at least one endpoint, such as http://localhost:8000/v1")
        if self.kind == "vllm" and self.endpoints:
            raise ValueError("endpoints are for the openai engine; the vllm engine runs in this process")
        return self

    @field_validator("endpoints")
    @classmethod
    def _without_passwords(cls, endpoints: tuple[str, ...]) -> tuple[str, ...]:
        """An endpoint is shown in messages and in Prefect's UI."""
        for endpoint in endpoints:
            address = endpoint.rpartition("@")
            if address[1] and "/" not in address[0].partition("://")[2]:
                raise ValueError(
                    f"the endpoint at {address[2]} holds a user or password, which would be shown: give the key in "
                    "OPENAI_API_KEY instead"
                )
        return endpoints

    @model_validator(mode="after")
    def _vllm_options_fit_the_kind(self) -> "EngineConfig":
        if self.kind == "openai" and self.vllm_options:
            names = ", ".join(self.vllm_options)
            raise ValueError(f"{names}: only for the vllm engine; a server is given its options when it is started")
        if twice := [name for name in _VLLM_FIELDS if name in self.options and getattr(self, name) is not None]:
            raise ValueError(f"{', '.join(twice)}: given twice, also among the engine's options")
        return self

    @property
    def adapter(self) -> str | None:
        """The adapter to load: the packaged model has one of its own."""
        if self.lora is None and self.kind == "vllm" and (self.model or PACKAGED_MODEL) == PACKAGED_MODEL:
            return PACKAGED_ADAPTER
        return None if self.lora == NO_ADAPTER else self.lora

    @property
    def vllm_options(self) -> dict[str, Any]:
        """The engine arguments of vLLM that the user has chosen, by vLLM's names."""
        chosen = {name: getattr(self, name) for name in _VLLM_FIELDS if getattr(self, name) is not None}
        return {**chosen, **self.options}

    @property
    def trust_remote_code(self) -> bool:
        return bool(self.options.get("trust_remote_code"))

    @property
    def pinned(self) -> dict[str, Any]:
        """The options that a resumed run must share with the first: those that shape the text."""
        options = shaping_text(self.vllm_options)
        if self.chat_template_kwargs:
            options["chat_template_kwargs"] = self.chat_template_kwargs
        return {
            "engine": self.kind,
            "max_context_tokens": self.max_context_tokens,
            "tokenizer": self.tokenizer,
            **{f"engine option {name}": value for name, value in options.items()},
        }


def open_engine(
    config: EngineConfig, on_phase: Callable[[str], None] = lambda phase: None, *, penalizes_copies: bool = False
) -> Engine:
    """
    Args:
        penalizes_copies: whether requests may have a copy penalty.
        on_phase: called with what is being done, such as "loading the model"; from another thread than the event loop.

    Raises:
        ValueError: the configuration is invalid.
        EngineError: the model does not load, or the server does not answer.
    """
    if penalizes_copies:
        _require_penalties(config)
    if config.kind == "openai":
        from rephrase.engines.openai_engine import OpenAIEngine

        on_phase("waiting for the server")
        return OpenAIEngine(
            config.endpoints,
            model=config.adapter or config.model,
            tokenizer=config.tokenizer,
            timeout_s=config.timeout_s,
            max_in_flight=config.max_in_flight,
            chat_template_kwargs=config.chat_template_kwargs,
            on_phase=on_phase,
        )
    from rephrase.engines.vllm_engine import VLLMEngine

    return VLLMEngine(
        config.model or PACKAGED_MODEL,
        lora=config.adapter,
        max_context_tokens=config.max_context_tokens,
        max_in_flight=config.max_in_flight,
        chat_template_kwargs=config.chat_template_kwargs,
        options=config.vllm_options,
        penalizes_copies=penalizes_copies,
        on_phase=on_phase,
    )


def _require_penalties(config: EngineConfig) -> None:
    """
    Raises:
        ValueError: the engine has no place for a copy penalty.
    """
    if config.kind == "openai":
        raise ValueError(
            "the recipe has a copy_penalty, which only the vllm engine in this process can apply: leave out --engine "
            "openai, or set copy_penalty to 0 in the recipe"
        )
    if speculation := [name for name, value in config.vllm_options.items() if name.startswith("spec") and value]:
        raise ValueError(
            f"vLLM does not speculate with a copy penalty: leave out the engine option {speculation[0]}, or set "
            "copy_penalty to 0 in the recipe"
        )
