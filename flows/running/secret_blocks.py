"""Secrets of a run: from the environment or Prefect's Secret blocks, never from parameters, which the UI shows."""

import os

from prefect import get_run_logger
from prefect.blocks.system import Secret
from prefect.runtime import deployment

# The environment variable that the libraries read, and the block that replaces it.
SECRETS = {
    "OPENAI_API_KEY": "palimpsest-openai-api-key",
    "JUDGE_API_KEY": "palimpsest-judge-api-key",
    "AWS_ACCESS_KEY_ID": "palimpsest-aws-access-key-id",
    "AWS_SECRET_ACCESS_KEY": "palimpsest-aws-secret-access-key",
    "HF_TOKEN": "palimpsest-hf-token",
}


async def load_secrets() -> None:
    """Load secrets from their blocks into the environment of this process, unless a variable is set and not empty."""
    if not deployment.id:
        return
    for variable, block in SECRETS.items():
        if os.environ.get(variable):
            continue
        try:
            secret = await Secret.aload(block)
        except ValueError:  # the block does not exist
            continue
        os.environ[variable] = str(secret.get())  # type: ignore[attr-defined]
        get_run_logger().info("%s is taken from the block %s", variable, block)
