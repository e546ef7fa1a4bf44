"""Keys are rotated while customers write: nobody notices, everything is found and read, also after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from foundation import errors
from foundation.bus.contract import Outgoing
from foundation.settings import load
from foundation.storage import resealing
from foundation.storage.database import metadata
from service.remotely import keys as commands
from tests.fakes.web_chat_house import free_port, serving
from tests.journeys.conftest import Product, few_articles, opened
from tests.journeys.identities_world import KEY, TENANT, WANG, Shop


async def old_values(product: Product) -> dict[str, int]:
    """By table, values that are not under the newest key."""
    mark = product.system.vault.mark

    def read(connection: sa.Connection) -> dict[str, int]:
        found = {}
        for name in resealing.tables():
            table = metadata.tables[name]
            columns = [sa.type_coerce(table.c[one], sa.LargeBinary) for one in resealing.columns_of(table)]
            rows = connection.execute(sa.select(*columns)).all()
            if old := sum(one is not None and not bytes(one).startswith(mark) for row in rows for one in row):
                found[name] = old
        return found

    return await product.system.database.read(read)


async def test_keys_rotate_from_the_terminal_while_customers_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def deliver(_outgoing: Outgoing) -> str:
        return "sent"

    listener, port = free_port()
    settings = load(
        data_dir=tmp_path / "var", articles=few_articles(tmp_path / "articles"), channels=["web_chat", "wechat_oa"],
        server_keys={"demo": SecretStr(KEY)}, port=port,
    )  # fmt: skip
    names = (("wechat_oa:wx1", "oWang", True), ("account", "wang-1", True))
    async with opened(settings, deliver=deliver) as product, serving(product.app, listener):
        shop = Shop(product)
        talk = await shop.hears("wechat_oa", "w1", *names, text="我的订单到哪了")
        identity = await shop.states("account", "wang-1", **WANG)
        await shop.compare()
        customer, people = await shop.customer(talk), await shop.access()
        assert await old_values(product) == {}
        with pytest.raises(errors.InvalidInput) as missing:
            await commands.rotate(settings, " ")
        assert missing.value.code == "reason_missing"
        await commands.rotate(settings, "every year")
        assert "key 1: " in capsys.readouterr().out
        assert await shop.hears("wechat_oa", "w1", *names, text="还在吗") == talk
        while await product.system.customers.rotation.run(TENANT):
            pass
        await commands.status(settings)
        found = capsys.readouterr().out
        steps = len(resealing.tables()) + 4
        assert f"key 1: {steps} of {steps} steps done" in found
        assert await old_values(product) == {}
        assert await shop.access() == people, "nobody is there twice, and everybody is who they were"
        assert await shop.customer(talk) == customer
        hits = (await shop.post("/v1/customers/search", text=WANG["phone"]))["customers"]
        assert [one["customer_id"] for one in hits] == [customer]
    async with opened(settings, deliver=deliver) as product:
        shop = Shop(product)
        assert product.system.vault.current == 1
        assert await shop.hears("wechat_oa", "w1", *names, text="我又来了") == talk
        assert await shop.access() == people
        await shop.post(f"/v1/customers/{identity}/erasures", reason="asked by letter")
        row = {"identity": {"namespace": "account", "value": "wang-1"}, "facts": {"city": "成都"}}
        answer = await product.client.post(
            "/v1/customers", json={"customers": [row]}, headers={"Authorization": f"Bearer {KEY}"}
        )
        assert answer.json()["results"][0]["reason"] == "erased"
    (tmp_path / "var" / "master.key").write_bytes(b"f" * 64)
    with pytest.raises(errors.ConfigurationError):
        async with opened(settings, deliver=deliver):
            raise AssertionError("opened with another master key")
