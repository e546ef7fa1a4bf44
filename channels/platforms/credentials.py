"""An account's settings are complete, half-filled or the demo's: what the forms of many channels have in common. Pure."""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

S = TypeVar("S", bound=BaseModel)

LOCAL = ("127.0.0.1", "localhost", "::1")


def given(settings: BaseModel, name: str) -> Any:
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def require_together(settings: BaseModel, *names: str) -> None:
    """All of them or none. Raises `ValueError` naming what is missing."""
    missing = [name for name in names if not given(settings, name)]
    if missing and len(missing) < len(names):
        raise ValueError(f"an account needs {', '.join(names)} together; missing: {', '.join(missing)}")


def or_demo(settings: S, demo: S, *, named: str) -> S:
    """`settings` where the field `named` names an account; otherwise the demo's, changed by what else is set."""
    if given(settings, named):
        return settings
    return demo.model_copy(update=chosen(settings))


def chosen(settings: BaseModel) -> dict[str, Any]:
    """What somebody has set, in place of a default."""
    return {name: getattr(settings, name) for name in settings.model_fields_set if given(settings, name)}


def is_local(address: str) -> bool:
    """On this machine, where a simulator plays the platform: that it is not there is no news."""
    try:
        return urlsplit(address).hostname in LOCAL
    except ValueError:
        return False
