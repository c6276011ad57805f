"""Check everything a run needs, one thing at a time, and say how to fix what is wrong."""

import contextlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

import httpx
import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from fidelity.embeddings.encoder import open_encoder
from rephrase.engines.opening import EngineConfig, open_engine
from rephrase.models.resolve import PACKAGED_MODEL, n_parameters, resolve_model
from rephrase.records import Prompt, Sampling
from rephrase.storage.storage import Storage

MIN_FREE_BYTES = 5 << 30
MIN_MEMORY_BYTES = 4 << 30  # the packaged model with its KV cache and the embedding model
REQUEST_TIMEOUT_S = 30.0
STORAGE_GIVE_UP_AFTER_S = 5.0

STORAGE_REMEDY = (
    "check the address, the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL), the permissions, "
    "and that the filesystem's package is installed (pip install -e '.[s3]')"
)

State = Literal["ok", "warning", "problem", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check, with a remedy unless all is well."""

    check: str
    state: State
    detail: str
    remedy: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """What to check. `deep` loads the model into the engine and generates one completion."""

    output: str | None
    engine: EngineConfig
    encoder: str
    deep: bool


def run_checks(options: DoctorOptions) -> Iterator[Finding]:
    """Yield each finding as soon as it is available. A check that fails is itself a finding; nothing is raised."""
    checks: list[tuple[str, Callable[[DoctorOptions], Finding]]] = [
        ("python", check_python),
        ("packages", check_packages),
        ("memory", check_memory),
        ("disk", check_disk),
        ("gpu", check_gpu),
        ("prefect api", check_prefect_api),
        ("prefect ui", check_prefect_ui),
        ("storage", check_storage),
        ("embedding model", check_encoder),
        ("model", check_model),
        ("engine", check_engine),
    ]
    for name, check in checks:
        began = time.monotonic()
        try:
            found = check(options)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            found = Finding(check=name, state="problem", detail=text, remedy="the message says what failed")
        yield Finding(
            check=name,
            state=found.state,
            detail=found.detail,
            remedy=found.remedy,
            seconds=time.monotonic() - began,
        )


def check_python(options: DoctorOptions) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = importlib.metadata.metadata("palimpsest")["Requires-Python"]
    if version in SpecifierSet(wanted):
        return _ok(f"{version} at {sys.executable}")
    return _problem(f"{version}, and Palimpsest needs {wanted}", "create a virtual environment with such a Python")


def check_packages(options: DoctorOptions) -> Finding:
    """Whether the installed versions match pyproject.toml; its comments say what breaks otherwise."""
    wrong = []
    required = [Requirement(line) for line in importlib.metadata.requires("palimpsest") or []]
    required = [one for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    for one in required:
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{one.name} is missing")
            continue
        if not one.specifier.contains(version, prereleases=True):
            wrong.append(f"{one.name} is {version}, wanted {one.specifier}")
    if wrong:
        return _problem("; ".join(wrong), "`make install` in a checkout installs the lock; rebuild an image")
    return _ok(f"{len(required)} packages as required, Prefect {importlib.metadata.version('prefect')}")


def check_memory(options: DoctorOptions) -> Finding:
    memory = psutil.virtual_memory()
    detail = f"{_size(memory.available)} of {_size(memory.total)} available"
    if memory.available < MIN_MEMORY_BYTES and options.engine.kind == "vllm":
        return _warning(detail, "the packaged model takes 4 GiB: close other programs, or use --engine openai")
    return _ok(detail)


def check_disk(options: DoctorOptions) -> Finding:
    folders = {"temporary files": tempfile.gettempdir(), "home": str(Path.home())}
    if options.output and "://" not in options.output:
        folders["output"] = str(_existing(Path(options.output)))
    free = {name: shutil.disk_usage(folder).free for name, folder in folders.items()}
    detail = ", ".join(f"{_size(n)} free for {name}" for name, n in free.items())
    if min(free.values()) < MIN_FREE_BYTES:
        return _warning(detail, "free some space: a run stops when the disk is full, and can be resumed later")
    return _ok(detail)


def check_gpu(options: DoctorOptions) -> Finding:
    import torch

    if torch.cuda.is_available():
        names = []
        for i in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(i)
            names.append(f"{torch.cuda.get_device_name(i)}, {_size(free)} of {_size(total)} free")
        return _ok("; ".join(names))
    if Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi"):
        return _warning(
            f"there is an NVIDIA GPU, but torch {torch.__version__} does not see it",
            "install the GPU build: pip install -e '.[gpu]' in a fresh environment; check the driver with nvidia-smi",
        )
    return _ok(f"none; models run on {len(os.sched_getaffinity(0))} CPU cores (torch {torch.__version__})")


def check_prefect_api(options: DoctorOptions) -> Finding:
    from prefect import __version__
    from prefect.settings import PREFECT_API_URL

    from flows.running.server_password import given_password, password_file

    url = PREFECT_API_URL.value()
    if not url:
        return _ok("none is configured: a run starts its own, `palimpsest serve` starts one with a UI")
    try:
        answer = httpx.get(f"{url}/health", timeout=REQUEST_TIMEOUT_S)
        asked = httpx.get(f"{url}/admin/version", timeout=REQUEST_TIMEOUT_S, auth=given_password())
        if asked.status_code == httpx.codes.UNAUTHORIZED:
            return _problem(
                f"{url} asks for a password",
                f"set PREFECT_API_AUTH_STRING=user:password; the password of `palimpsest serve` is in "
                f"{password_file()}",
            )
        version = asked.json()
    except (httpx.HTTPError, ValueError) as error:
        return _problem(
            f"{url} does not answer: {error}",
            "start it (prefect server start), correct PREFECT_API_URL (it must end in /api), or unset it",
        )
    if answer.status_code != httpx.codes.OK or answer.json() is not True:
        return _problem(f"{url}/health answers {answer.status_code}", "PREFECT_API_URL must end in /api")
    if str(version).split(".")[:2] != __version__.split(".")[:2]:
        return _warning(
            f"{url} runs Prefect {version}, but {__version__} is installed here",
            "run the same version on both sides: prefect==3.7.7",
        )
    return _ok(f"{url}, Prefect {version}")


def check_prefect_ui(options: DoctorOptions) -> Finding:
    """Whether the UI reaches its API; with a wrong address it shows empty pages with errors."""
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
        return _skipped("no server is configured")
    base = url.removesuffix("/api")
    try:
        answer = httpx.get(f"{base}/ui-settings", timeout=REQUEST_TIMEOUT_S)
        api_url = answer.json()["api_url"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return _warning(f"{base} serves no UI: {error}", "start the server with its UI: PREFECT_UI_ENABLED=true")
    try:
        healthy = httpx.get(f"{api_url}/health", timeout=REQUEST_TIMEOUT_S).status_code == httpx.codes.OK
    except (httpx.HTTPError, httpx.InvalidURL):
        healthy = False
    if not healthy:
        return _problem(
            f"the pages at {base} use the API at {api_url}, which does not answer",
            f"start the server with PREFECT_UI_API_URL={url} (browsers must be able to reach it)",
        )
    return _ok(f"{base} uses the API at {api_url}")


def check_storage(options: DoctorOptions) -> Finding:
    """Write, replace, list, read and remove a small file in the output folder."""
    if options.output is None:
        return _skipped("give the output folder to have it checked: palimpsest doctor OUT")
    folder = f".doctor-{uuid4().hex}"
    name = f"{folder}/probe.bin"
    try:
        storage = Storage(options.output, give_up_after_s=STORAGE_GIVE_UP_AFTER_S)
    except (ValueError, ImportError) as error:
        return _problem(f"{options.output}: {error}", STORAGE_REMEDY)
    try:
        for data in (os.urandom(1 << 20), os.urandom(1 << 19)):
            storage.write(name, data)
            if storage.read(name) != data:
                return _problem(
                    f"{storage.url} returns bytes that differ from those written",
                    "do not use this storage: it caches reads or loses writes",
                )
        if storage.names(folder) != ["probe.bin"]:
            return _problem(f"{storage.url} lists {storage.names(folder)}", "listings must show what was just written")
        try:
            storage.create(name, b"")
            return _warning(
                f"{storage.url} allows creating a file that already exists",
                "two runs writing to one folder would not be detected: start only one",
            )
        except FileExistsError:
            pass
    except OSError as error:
        return _problem(
            f"{storage.url}: {type(error).__name__}: {error}",
            STORAGE_REMEDY,
        )
    finally:
        with contextlib.suppress(OSError):
            storage.remove(folder)
    return _ok(f"{storage.url}: write, replace, list, read, create once, remove")


def check_encoder(options: DoctorOptions) -> Finding:
    encoder = open_encoder(options.encoder)
    near, far = "The cat sleeps on the warm roof.", "Interest rates rose by half a point."
    a, b, c = encoder.encode(["A cat is sleeping on a roof in the sun.", near, far])
    same, other = float(a @ b), float(a @ c)
    detail = f"{options.encoder}: cosine {same:.2f} to a paraphrase, {other:.2f} to something else"
    if same <= other:
        return _problem(detail, "this is not a sentence embedding model: choose another one with --encoder")
    return _ok(detail)


def check_model(options: DoctorOptions) -> Finding:
    if options.engine.kind == "openai":
        return _skipped("the server provides it")
    from rephrase.models.tokenizer import HubTokenizer

    model = options.engine.model or PACKAGED_MODEL
    folder = resolve_model(model)
    n_tokens = len(HubTokenizer(folder).token_starts("One sentence to count."))
    size = n_parameters(folder)
    n_parameters_shown = f"{size / 1e6:,.0f}M parameters, " if size else ""
    return _ok(f"{model}: {n_parameters_shown}its tokenizer loads ({n_tokens} tokens)")


def check_engine(options: DoctorOptions) -> Finding:
    """Generate one completion."""
    import asyncio

    if options.engine.kind == "vllm" and not options.deep:
        return _skipped("--deep loads the model and generates a completion")
    engine = open_engine(options.engine)

    async def complete() -> str:
        try:
            prompt = Prompt(system="You answer briefly.", user="Name one colour.")
            sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=16, seed=0)
            return (await engine.complete(prompt, sampling)).text
        finally:
            await engine.close()

    text = asyncio.run(complete()).strip()
    if not text:
        return _problem(f"{engine.info.model} generates nothing", "is it an instruction model with a chat template?")
    return _ok(f"{engine.info.model} says {text!r}")


def _existing(folder: Path) -> Path:
    """The folder, or its nearest ancestor that exists."""
    folder = folder.absolute()
    return next(parent for parent in [folder, *folder.parents] if parent.exists())


def _size(n_bytes: int) -> str:
    return f"{n_bytes / (1 << 30):,.1f} GiB"


def _ok(detail: str) -> Finding:
    return Finding(check="", state="ok", detail=detail)


def _skipped(detail: str) -> Finding:
    return Finding(check="", state="skipped", detail=detail)


def _warning(detail: str, remedy: str) -> Finding:
    return Finding(check="", state="warning", detail=detail, remedy=remedy)


def _problem(detail: str, remedy: str) -> Finding:
    return Finding(check="", state="problem", detail=detail, remedy=remedy)
