"""In-process vLLM; only this module and `vllm_copy_penalty` import it.

vLLM's own AsyncLLM runs the model in a second process, which outlives a `kill -9` of the first and keeps its memory
(measured with vLLM 0.32: the orphan stayed until killed by hand, and a resume on the same GPU would find it full).
Here the model runs in a thread of this process, so nothing is left behind. It also starts in 8 s instead of 14 s, at
the same throughput (2 cores, SmolLM2-135M: 353 to 385 against 345 tokens/s). To run the model elsewhere, use
`vllm serve` and the openai engine.
"""

import asyncio
import dataclasses
import gc
import logging
import os
import queue
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from rephrase.engines.concurrency_limit import max_in_flight_for
from rephrase.engines.engine import EngineError, EngineInfo, EngineLoad, PromptTooLongError, RequestRefusedError
from rephrase.engines.engine_options import require_known
from rephrase.models.adapter import Adapter
from rephrase.models.precision import fast_precision
from rephrase.models.resolve import PACKAGED_MODEL, resolve
from rephrase.models.tokenizer import HubTokenizer
from rephrase.records import Completion, Prompt, Sampling

logger = logging.getLogger(__name__)

MAX_NUM_SEQS_CPU = 32
MAX_NUM_SEQS_GPU = 256
CPU_BLOCK_TOKENS = 32
# On closing, a step that takes longer is taken to hang.
CLOSE_S = 60.0


@dataclass(frozen=True, slots=True)
class _Request:
    token_ids: list[int]
    params: Any  # vLLM's own
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Completion]"

    def answer(self, result: Completion | Exception) -> None:
        """Called from the model thread."""

        def settle() -> None:
            if self.future.done():  # the caller was cancelled
                return
            if isinstance(result, Exception):
                self.future.set_exception(result)
            else:
                self.future.set_result(result)

        # The loop is closed if the run was cancelled meanwhile: nobody waits for the answer.
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(settle)


class VLLMEngine:
    """A model in this process. The constructor loads it, which takes seconds to minutes: call it in a thread."""

    def __init__(
        self,
        model: str = PACKAGED_MODEL,
        *,
        lora: str | None = None,
        max_context_tokens: int = 4096,
        max_in_flight: int | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        penalizes_copies: bool = False,
        on_phase: Callable[[str], None] = lambda phase: None,
    ) -> None:
        """
        Args:
            lora: folder or hub id of a LoRA adapter, used for every request.
            max_context_tokens: of prompt and completion; a model that has fewer keeps its own.
            max_in_flight: by default what fills the batch.
            options: vLLM's engine arguments, in place of the defaults chosen here.
            penalizes_copies: whether requests may have a copy penalty, which costs time in each step and excludes
                speculation.
            on_phase: called with what is being done.

        Raises:
            ValueError: vLLM is not installed, it has no such option, or the model or adapter does not exist.
            EngineError: the model or adapter does not load.
        """
        check_options(options or {})
        if penalizes_copies:
            # vLLM 0.32 has another interface for processors of logits in its second model runner.
            os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"
        from vllm import AsyncEngineArgs, __version__
        from vllm.v1.engine.llm_engine import LLMEngine

        self._load = EngineLoad()
        given = dict(options or {})
        found = resolve(model, lora, revision=given.get("revision"), on_phase=on_phase)
        self._tokenizer = HubTokenizer(
            found.folder,
            trust_remote_code=bool(given.get("trust_remote_code")),
            chat_template_kwargs=chat_template_kwargs,
        )
        on_phase(f"loading {found.name}")
        try:
            model_config = AsyncEngineArgs(**{"model": found.folder, **given}).create_model_config()
            max_context_tokens = min(max_context_tokens, model_config.max_model_len)
            arguments = {
                "model": found.folder,
                "max_model_len": max_context_tokens,
                "use_tqdm_on_load": False,
                **_defaults(max_context_tokens, max_in_flight),
                **_latent_attention_on_cpus(model_config.hf_text_config),
                **({"enable_lora": True, "max_lora_rank": _allowed_rank(found.adapter)} if found.adapter else {}),
                **given,
            }
            if penalizes_copies:
                from rephrase.engines.vllm_copy_penalty import CopyPenaltyProcessor

                arguments["logits_processors"] = [*given.get("logits_processors", ()), CopyPenaltyProcessor]
            config = AsyncEngineArgs(**arguments).create_engine_config()
            self._engine = LLMEngine(
                config,
                _executor(config, lambda phase: on_phase(f"{phase} {found.name}")),
                log_stats=True,
                stat_loggers=[_load_logger(self._keep_load)],
            )
            self._lora = _lora_request(found.adapter)
            if self._lora:  # now, so that an adapter that does not fit fails here and not with the first request
                self._engine.add_lora(self._lora)
        except Exception as error:
            raise EngineError(f"vLLM could not load {found.name!r}: {error}") from error
        self._info = EngineInfo(
            engine="vllm",
            model=found.name,
            model_revision=found.revision,
            tokenizer=found.folder,
            max_context_tokens=max_context_tokens,
            max_in_flight=max_in_flight or max_in_flight_for(arguments["max_num_seqs"]),
            settings={
                "version": __version__,
                "dtype": str(self._engine.model_config.dtype).removeprefix("torch."),
                "options": given,
                "chat_template_kwargs": dict(chat_template_kwargs or {}),
                "system_role": self._tokenizer.has_system_role,
                "license": found.license,
            },
        )
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._requests: dict[str, _Request] = {}
        self._error: EngineError | None = None
        self._n_requests = 0
        self._thread = threading.Thread(target=self._run, name="vllm", daemon=True)
        self._thread.start()

    @property
    def info(self) -> EngineInfo:
        return self._info

    def load(self) -> EngineLoad:
        """The load as of the last step."""
        return self._load

    def _keep_load(self, scheduler_stats: Any, iteration_stats: Any) -> None:
        """Called from the model thread, after each step."""
        if scheduler_stats is not None:
            self._load = EngineLoad(
                n_running=scheduler_stats.num_running_reqs,
                n_waiting=scheduler_stats.num_waiting_reqs,
                kv_cache_use=scheduler_stats.kv_cache_usage,
                n_overloads=self._load.n_overloads + (iteration_stats.num_preempted_reqs if iteration_stats else 0),
            )

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        token_ids = self._tokenizer.prompt_token_ids(prompt)
        n_free = self._info.max_context_tokens - len(token_ids)
        if sampling.max_tokens > n_free:
            raise PromptTooLongError(
                f"{len(token_ids)} prompt tokens and {sampling.max_tokens} to generate exceed the context of "
                f"{self._info.max_context_tokens}; use smaller chunks or a larger --max-context-tokens"
            )
        completion = await self._submit(token_ids, _sampling_params(sampling, self._tokenizer))
        # A thought that the prompt opens is opened in the answer too, so that it is recognised even when cut off.
        return dataclasses.replace(completion, text=self._tokenizer.opened_thought(token_ids) + completion.text)

    async def _submit(self, token_ids: list[int], params: Any) -> Completion:
        loop = asyncio.get_running_loop()
        request = _Request(token_ids, params, loop, loop.create_future())
        self._queue.put(request)
        if self._error is not None:  # the model thread has ended
            raise self._error
        return await request.future

    async def close(self) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, CLOSE_S)
        if self._thread.is_alive():
            logger.error("vLLM did not finish its last step within %g s and is left running", CLOSE_S)

    def _run(self) -> None:
        """The model thread: take new requests, run one step of the batch, return what has finished."""
        try:
            while self._take_requests():
                for output in self._engine.step():
                    if output.finished and (request := self._requests.pop(output.request_id, None)):
                        request.answer(_completion(output))
        except Exception as error:  # whatever killed the model, waiting requests must fail
            self._error = EngineError(f"vLLM stopped: {type(error).__name__}: {error}")
            self._error.__cause__ = error
            # Otherwise the traceback keeps the model and its memory alive as long as the error.
            traceback.clear_frames(error.__traceback__)
            while not self._queue.empty():
                if isinstance(item := self._queue.get(), _Request):
                    item.answer(self._error)
            for request in self._requests.values():
                request.answer(self._error)
        finally:
            del self._engine
            _free_memory()

    def _take_requests(self) -> bool:
        """Move new requests into the engine, waiting when it is idle. False: time to stop."""
        while True:
            try:
                item = self._queue.get(block=not self._requests)
            except queue.Empty:
                break
            if item is None:
                return False
            if item.future.cancelled():
                continue
            self._n_requests += 1
            name = str(self._n_requests)
            try:
                prompt = {"prompt_token_ids": item.token_ids}
                self._engine.add_request(name, prompt, item.params, lora_request=self._lora)
            except ValueError as error:  # one invalid request must not stop the others
                item.answer(RequestRefusedError(str(error)))
            else:
                self._requests[name] = item
        abandoned = [name for name, request in self._requests.items() if request.future.cancelled()]
        if abandoned:
            self._engine.abort_request(abandoned)
            for name in abandoned:
                del self._requests[name]
        return True


def check_options(options: Mapping[str, Any]) -> None:
    """
    Raises:
        ValueError: vLLM is not installed, has no such engine argument, needs more devices than this machine has, or
            would speculate and change the text.
    """
    set_environment()
    # vLLM warns that a CPU is not a GPU; errors still come through.
    logging.getLogger("vllm").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"vllm\.")
    try:
        from vllm import AsyncEngineArgs
    except ImportError as error:
        raise ValueError(
            "vLLM is not installed: in a clone of the project, run `pip install -e '.[gpu]'` or, for CPUs, "
            "`make install`; "
            "or use a server with --engine openai --endpoint URL"
        ) from error
    require_known(options, {field.name for field in dataclasses.fields(AsyncEngineArgs)})
    if any(name.startswith("spec") and value for name, value in options.items()):
        _require_faithful_speculation()
    _require_devices(int(options.get("tensor_parallel_size", 1)) * int(options.get("pipeline_parallel_size", 1)))


def _require_faithful_speculation() -> None:
    """On CPUs, vLLM 0.32 leaves temperature and top-p of drafted tokens uninitialised: the text gets random words.

    Its replacement for the kernel that repeats a value for each drafted token writes into a converted copy.
    """
    import torch
    from vllm.platforms import current_platform
    from vllm.triton_utils import HAS_TRITON

    if not current_platform.is_cpu() or HAS_TRITON:
        return
    from vllm import _custom_ops  # noqa: F401  loads the kernels
    from vllm.utils.cpu_triton_utils import _expand_kernel_impl

    expanded = torch.zeros(2)
    _expand_kernel_impl(expanded, torch.tensor([0.7]), torch.tensor([2]), 0, 1)
    if not torch.equal(expanded, torch.tensor([0.7, 0.7])):
        raise ValueError(
            "speculation would change the text: on CPUs, this version of vLLM loses temperature and top-p of drafted "
            "tokens. Leave it out, or run on a GPU"
        )


def _require_devices(n_needed: int) -> None:
    import torch

    n_gpus = torch.cuda.device_count()
    # vLLM puts each part of a model on a GPU or, without one, on the memory node of a CPU.
    n_cpus = len([*Path("/sys/devices/system/node").glob("node[0-9]*")]) or 1
    if n_needed > (n_gpus or n_cpus):
        has = f"GPUs: {n_gpus}" if n_gpus else f"GPUs: none, CPUs: {n_cpus}"
        raise ValueError(
            f"--tensor-parallel-size (with pipeline_parallel_size) asks for {n_needed} devices; this machine has {has}"
        )


def _defaults(max_context_tokens: int, max_in_flight: int | None) -> dict[str, Any]:
    """The engine arguments for this machine, unless the user chooses others."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return {"max_num_seqs": max(MAX_NUM_SEQS_GPU, max_in_flight or 0)}
    # Compiling takes over a minute and gains a tenth. Chunked prefill kills the engine as soon as a request has its own
    # seed ("CPU Generator does not use offset"); without it, a batch must hold a whole prompt. Prompts share only whole
    # blocks of the prefix cache: hardly ever with 128 tokens, vLLM's default on CPUs; for a sixth of all prompt tokens
    # with 32, the minimum of its fast kernel.
    return {
        "max_num_seqs": max(MAX_NUM_SEQS_CPU, max_in_flight or 0),
        "enforce_eager": True,
        # A model's own bfloat16 is emulated where the processor has no units for it.
        "dtype": "auto" if fast_precision() == "bfloat16" else "float32",
        "block_size": CPU_BLOCK_TOKENS,
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(max_context_tokens, 4096),
    }


def _latent_attention_on_cpus(config: Any) -> dict[str, Any]:
    """What models with the attention of DeepSeek need on CPUs; nothing for others.

    The kernel of vLLM 0.32 that rotates takes the distance between the heads of such a query for that between its
    tokens; torch rotates rightly. Kernels for latents exist for DeepSeek's own sizes only.
    """
    from vllm.platforms import current_platform

    if not current_platform.is_cpu() or not getattr(config, "kv_lora_rank", None):
        return {}
    if (config.kv_lora_rank, config.qk_rope_head_dim) != (512, 64):
        os.environ.setdefault("VLLM_MLA_DISABLE", "1")
    return {"compilation_config": {"custom_ops": ["-rotary_embedding"]}}


def _executor(config: Any, on_phase: Callable[[str], None]) -> type:
    """vLLM's executor for this configuration, which says what it does once the weights are loaded."""
    from vllm.config import CompilationMode
    from vllm.v1.executor import Executor

    compiles = config.compilation_config.mode != CompilationMode.NONE

    class PhasedExecutor(Executor.get_class(config)):  # type: ignore[misc]
        def determine_available_memory(self) -> Any:
            if compiles:
                on_phase("compiling")
            return super().determine_available_memory()

        def compile_or_warm_up_model(self) -> Any:
            on_phase("compiling and warming up" if compiles else "warming up")
            return super().compile_or_warm_up_model()

    return PhasedExecutor


def _load_logger(keep: Callable[[Any, Any], None]) -> type:
    """A logger of vLLM's that passes on the statistics of each step."""
    from vllm.v1.metrics.loggers import StatLoggerBase

    class LoadLogger(StatLoggerBase):
        def __init__(self, vllm_config: Any, engine_index: int = 0) -> None: ...

        def log_engine_initialized(self) -> None: ...

        def record(self, scheduler_stats: Any, iteration_stats: Any, *_: Any, **__: Any) -> None:
            keep(scheduler_stats, iteration_stats)

    return LoadLogger


def set_environment() -> None:
    """vLLM reads its settings from the environment when first imported; what the user has set is kept."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name, value in {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "2",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(n_cores),
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "TOKENIZERS_PARALLELISM": "false",
    }.items():
        os.environ.setdefault(name, value)


def _allowed_rank(adapter: Adapter) -> int:
    """The smallest `max_lora_rank` of vLLM that holds the adapter.

    Raises:
        ValueError: none does.
    """
    from vllm.config.lora import MaxLoRARanks

    allowed = sorted(get_args(MaxLoRARanks))
    if adapter.rank > allowed[-1]:
        raise ValueError(f"{adapter.name!r} has rank {adapter.rank}; vLLM takes adapters of at most {allowed[-1]}")
    return next(rank for rank in allowed if rank >= adapter.rank)


def _lora_request(adapter: Adapter | None) -> Any:
    from vllm.lora.request import LoRARequest

    return LoRARequest(adapter.name, 1, adapter.folder) if adapter else None


def _free_memory() -> None:
    """So that the model can be reloaded after it died."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _sampling_params(sampling: Sampling, tokenizer: HubTokenizer) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    extra = {}
    if sampling.copy_penalty:
        from rephrase.engines.vllm_copy_penalty import copy_penalty_arguments

        extra = copy_penalty_arguments(sampling.copy_penalty, tokenizer)
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        seed=sampling.seed,
        logprobs=0 if sampling.logprob else None,  # of the sampled token alone
        extra_args=extra or None,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _completion(output: Any) -> Completion:
    (choice,) = output.outputs
    return Completion(
        text=choice.text,
        finish_reason=choice.finish_reason or "unknown",
        n_prompt_tokens=len(output.prompt_token_ids or ()),
        n_completion_tokens=len(choice.token_ids),
        n_cached_tokens=output.num_cached_tokens or 0,
        logprob=choice.cumulative_logprob,
    )
