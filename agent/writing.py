"""Scripts of Chinese: folds what a customer wrote into one form for matching, and answers in the script they write.

Built once and carried by `AgentContext`. Hong Kong's forms are used for Cantonese, Taiwan's otherwise: OpenCC's own standard
(爲, 牀) looks foreign to both.
"""

from __future__ import annotations

import unicodedata

from opencc import OpenCC

# Characters that only Cantonese writing uses, both scripts.
_CANTONESE = frozenset("嘅咗唔係喺哋啲嗰冇嚟咁睇瞓攞佢咩乜嘢噉噃㗎喇啫")


class Writing:
    def __init__(self) -> None:
        self._to_simplified = OpenCC("t2s")
        self._to_traditional = OpenCC("s2tw")
        self._to_hong_kong = OpenCC("s2hk")

    def plain(self, text: str) -> str:
        """Lower case, simplified script, full-width forms folded: what patterns are matched against."""
        folded: str = self._to_simplified.convert(unicodedata.normalize("NFKC", text))
        return folded.lower()

    def script(self, text: str, *, before: str) -> str:
        """ "hk", "hant" or "hans"; `before` where the text does not tell (no Chinese, or forms common to both)."""
        if self._to_simplified.convert(text) != text:
            return "hk" if before == "hk" or any(mark in _CANTONESE for mark in text) else "hant"
        return "hans" if self._to_traditional.convert(text) != text else before

    def fit(self, text: str, script: str) -> str:
        """Our simplified sentences in the customer's script."""
        if script == "hk":
            return str(self._to_hong_kong.convert(text))
        return str(self._to_traditional.convert(text)) if script == "hant" else text
