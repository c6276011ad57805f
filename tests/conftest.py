"""Tests keep Prefect's database, and what they cache, to themselves."""

import os
import tempfile

_home = tempfile.mkdtemp(prefix="palimpsest-tests-prefect-")
os.environ.update(
    PREFECT_HOME=_home,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="180",
    DO_NOT_TRACK="1",
    HF_HUB_OFFLINE="1",
)
os.environ.pop("PREFECT_API_URL", None)

from rephrase.engines.vllm_engine import set_environment  # noqa: E402  before torch is imported

set_environment()
