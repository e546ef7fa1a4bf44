"""Amazon Alexa: a custom skill whose HTTPS endpoint is our hook."""

from channels.adapters.alexa.channel import SPEC

__all__ = ["SPEC"]
