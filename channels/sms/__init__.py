"""What every SMS channel needs, whoever carries it: how long a text is on the air, who asked us to stop, what is too long.

`texts` and `keywords` are pure; `opt_outs` remembers for all processes who must not be written to.
"""

from channels.sms.keywords import HELP, OPT_IN, OPT_OUT, Keywords, keywords
from channels.sms.opt_outs import OptOuts
from channels.sms.texts import Length, cut, e164, measure, numbered, one_line

__all__ = [
    "HELP", "OPT_IN", "OPT_OUT", "Keywords", "Length", "OptOuts", "cut", "e164", "keywords", "measure", "numbered",
    "one_line",
]  # fmt: skip
