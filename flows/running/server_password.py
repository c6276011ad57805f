"""The password of the Prefect server that `palimpsest serve` starts.

Whoever reaches a server without one may start runs on it, other users of the machine included. It is made once and kept
beside the database that it protects, so that the pages stay signed in when `serve` is restarted. In Prefect's terms it
is an authentication string, `user:password`.
"""

import os
import re
import secrets
from pathlib import Path

from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_HOME

USER = "palimpsest"
FILE = "palimpsest-password"
# As `new_password` makes it, or a user writes a longer one.
PASSWORD = rb"[!-9;-~]+:[!-~]{16,}"
OF_OTHERS = 0o077


def new_password() -> str:
    return f"{USER}:{secrets.token_urlsafe(24)}"


def password_file() -> Path:
    return Path(PREFECT_HOME.value()) / FILE


def kept_password() -> str:
    """That of an earlier `serve`, or a new one, which is kept.

    A file that a full disk left empty would be no password at all, and one that others may read is none any more: both
    are replaced.

    Raises:
        OSError: it can be neither read nor kept.
    """
    path = password_file()
    if path.exists() and path.stat().st_mode & OF_OTHERS == 0:
        kept = path.read_bytes().strip()
        if re.fullmatch(PASSWORD, kept):
            return kept.decode("ascii")
    password = new_password()
    path.parent.mkdir(parents=True, exist_ok=True)
    half_done = path.with_name(f"{FILE}.{os.getpid()}")
    half_done.touch(mode=0o600)
    half_done.write_text(f"{password}\n", encoding="ascii")
    half_done.replace(path)
    return password


def given_password() -> tuple[str, str] | None:
    """User and password that this process gives to the server, as httpx wants them."""
    if not (given := PREFECT_API_AUTH_STRING.value()):
        return None
    user, _, password = str(given).partition(":")
    return user, password
