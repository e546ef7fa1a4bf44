"""Phone calls by jambonz: its signed JSON, and verbs as the answer."""

from channels.adapters.phone_jambonz.channel import SPEC

__all__ = ["SPEC"]
