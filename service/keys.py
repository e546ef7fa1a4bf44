"""The secrets of one installation: the master key, and the demo shop's signing key that is derived from it.

An empty setting means: make a key once and keep it in the data directory, readable by the owner only. Losing the file
means losing what it sealed; `docs/operations.md` says how to back it up.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from pydantic import SecretStr

from foundation.security import Vault
from foundation.settings import Settings


def master_key(settings: Settings) -> bytes:
    configured = settings.master_key.get_secret_value()
    if configured:
        return configured.encode()
    return _kept(settings.data_dir / "master.key")


def identity_keys(settings: Settings, vault: Vault) -> dict[str, SecretStr]:
    """Key id → secret of signed user tokens. The demo adds its own, so that its sign-in buttons work."""
    keys = dict(settings.identity_keys)
    if settings.environment == "demo":
        keys.setdefault("demo", SecretStr(demo_identity_key(vault)))
    return keys


def demo_identity_key(vault: Vault) -> str:
    return hmac.new(vault.signing_key, b"demo shop identity", hashlib.sha256).hexdigest()


def _kept(path: Path) -> bytes:
    if path.exists():
        return path.read_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            path.chmod(0o600)
            file.write(secrets.token_hex(32).encode())
    except FileExistsError:
        pass  # another process made it in this moment: both use that one
    return path.read_bytes()
