"""Phone calls by FreeSWITCH's mod_httapi: forms behind Basic credentials, and its XML as the answer."""

from channels.adapters.phone_httapi.channel import SPEC

__all__ = ["SPEC"]
