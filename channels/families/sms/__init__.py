"""What every SMS channel needs, whoever carries it: how long a text is on the air, who asked us to stop, what is too long.

All of it is pure but `opt_outs`, which remembers for all processes who must not be written to.
"""

from channels.families.sms.by_template import ByTemplate
from channels.families.sms.keywords import HELP, OPT_IN, OPT_OUT, Keywords, keywords
from channels.families.sms.opt_outs import OptOuts
from channels.families.sms.paths import admit, require_secret
from channels.families.sms.templates import fill
from channels.families.sms.texts import Length, cut, e164, measure, numbered, one_line

__all__ = [
    "HELP", "OPT_IN", "OPT_OUT", "ByTemplate", "Keywords", "Length", "OptOuts", "admit", "cut", "e164", "fill", "keywords", "measure",
    "numbered", "one_line", "require_secret",
]  # fmt: skip
