"""Open the configured engine."""

from typing import Literal

from pydantic import Field, model_validator

from rephrase.engines.engine import Engine
from rephrase.models.resolve import PACKAGED_MODEL
from rephrase.settings import Settings


class EngineConfig(Settings):
    """Which language model rewrites, and where it runs."""

    kind: Literal["vllm", "openai"] = Field(
        "vllm", description="vllm: in this process; openai: an OpenAI-compatible server."
    )
    model: str | None = Field(
        None,
        description=f"Hub id or folder. vllm: {PACKAGED_MODEL} by default; openai: by default what the server serves.",
    )
    lora: str | None = Field(
        None,
        description="LoRA adapter. vllm: folder or hub id; openai: the name under which the server serves the adapter.",
    )
    tokenizer: str | None = Field(None, description="openai: tokenizer to count with, if not the model's.")
    endpoints: tuple[str, ...] = Field((), description="openai: base URLs such as http://localhost:8000/v1.")
    max_context_tokens: int = Field(4096, ge=256, description="vllm: context length, prompt and completion together.")
    max_in_flight: int | None = Field(None, ge=1, description="Concurrent requests; by default what the engine takes.")
    timeout_s: float = Field(300, gt=0, description="openai: timeout of one request.")
    stall_s: float = Field(900, gt=0, description="vllm: stop the run when the engine answers nothing for this long.")

    @model_validator(mode="after")
    def _endpoints_fit_the_kind(self) -> "EngineConfig":
        if self.kind == "openai" and not self.endpoints:
            raise ValueError("the openai engine needs at least one endpoint, such as http://localhost:8000/v1")
        if self.kind == "vllm" and self.endpoints:
            raise ValueError("endpoints are for the openai engine; the vllm engine runs in this process")
        return self


def open_engine(config: EngineConfig) -> Engine:
    """
    Raises:
        ValueError: the configuration is invalid.
        EngineError: the model does not load, or the server does not answer.
    """
    if config.kind == "openai":
        from rephrase.engines.openai_engine import OpenAIEngine

        return OpenAIEngine(
            config.endpoints,
            model=config.lora or config.model,
            tokenizer=config.tokenizer,
            timeout_s=config.timeout_s,
            max_in_flight=config.max_in_flight,
        )
    from rephrase.engines.vllm_engine import VLLMEngine

    return VLLMEngine(
        config.model or PACKAGED_MODEL,
        lora=config.lora,
        max_context_tokens=config.max_context_tokens,
        max_num_seqs=config.max_in_flight,
    )
