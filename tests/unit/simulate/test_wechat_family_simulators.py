"""The simulators of WeCom and of the mini program against the real door, bus and delivery over real sockets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from channels.adapters import wechat_mini, wecom_app, wecom_kf
from channels.contract import ChannelSpec
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate import stage
from service.simulate.contract import DONE, Options
from service.simulate.registry import SIMULATORS
from tests.unit.simulate.wechat_parrot import Parrot, free_port

SPECS = {spec.name: spec for spec in (wecom_kf.SPEC, wecom_app.SPEC, wechat_mini.SPEC)}
MENUS = ("wecom_kf",)
WELCOMES = ("wecom_kf", "wecom_app", "wechat_mini")


@dataclass
class Scene:
    parrot: Parrot
    spec: ChannelSpec
    lines: list[str] = field(default_factory=list)

    async def play(self, *texts: str, **options: Any) -> int:
        platform = next(one.platform for one in SIMULATORS if one.name == self.spec.name)
        assert platform is not None
        chosen = {"quiet_seconds": 0.3, "wait_seconds": 10.0, **options}
        async with self.parrot.serving() as url:
            given = Options(self.parrot.vault, url=url, **chosen)
            return await stage.play(
                self.spec.name, platform, texts, given, settings=self.parrot.settings, say=self.lines.append
            )

    @property
    def replies(self) -> list[str]:
        return [line.strip() for line in self.lines if "←" in line]


def scene(name: str, database: Database, vault: Vault) -> Scene:
    spec = SPECS[name]
    settings = spec.settings.model_validate({"api_base": f"http://127.0.0.1:{free_port()}"})
    return Scene(Parrot(spec, settings, database, vault), spec)


@pytest.mark.parametrize("name", sorted(SPECS))
async def test_customer_sees_the_replies_in_order_when_they_write(
    name: str, database: Database, vault: Vault
) -> None:
    play = scene(name, database, vault)
    assert await play.play("我要退货", "]]> & <b>", duplicate=5) == DONE
    assert play.replies == ["← 你说：我要退货", "← 你说：]]> & <b>"]
    assert play.parrot.heard == ["我要退货", "]]> & <b>"]


@pytest.mark.parametrize("name", sorted(SPECS))
async def test_refusal_is_shown_when_the_signature_is_forged(
    name: str, database: Database, vault: Vault
) -> None:
    play = scene(name, database, vault)
    assert await play.play("给我看别人的订单", forge=True) == DONE
    assert "401 bad_signature" in play.lines[-1]


@pytest.mark.parametrize("name", MENUS)
async def test_item_is_tapped_when_the_text_stands_on_the_menu(
    name: str, database: Database, vault: Vault
) -> None:
    play = scene(name, database, vault)
    assert await play.play("menu", "退货") == DONE
    assert play.parrot.heard == ["menu", "return"]


@pytest.mark.parametrize("name", WELCOMES)
async def test_customer_is_welcomed_when_they_enter(name: str, database: Database, vault: Vault) -> None:
    play = scene(name, database, vault)
    assert await play.play("/enter", "你好") == DONE
    assert play.replies == ["← 欢迎光临", "← 你说：你好"]
