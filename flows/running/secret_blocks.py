"""Secrets of a run: from the environment or from Prefect's Secret blocks, never from parameters, which show."""

import os

from prefect import get_run_logger
from prefect.blocks.system import Secret
from prefect.runtime import deployment

# The variable that the libraries read, and the block that stands in for it.
SECRETS = {
    "OPENAI_API_KEY": "palimpsest-openai-api-key",
    "AWS_ACCESS_KEY_ID": "palimpsest-aws-access-key-id",
    "AWS_SECRET_ACCESS_KEY": "palimpsest-aws-secret-access-key",
    "HF_TOKEN": "palimpsest-hf-token",
}


async def load_secrets() -> None:
    """Put the secrets that are kept in blocks into the environment of this run's process; what is there stays."""
    if not deployment.id:
        return
    for variable, block in SECRETS.items():
        if variable in os.environ:
            continue
        try:
            secret = await Secret.aload(block)
        except ValueError:  # there is no such block
            continue
        os.environ[variable] = str(secret.get())  # type: ignore[attr-defined]
        get_run_logger().info("%s is taken from the block %s", variable, block)
