"""What is heard and said on channels without a screen: texts as speech, keys as texts, and one turn of a phone call.

Voice adapters import the functions from here, and `channels.families.speech.telephone` for a line whose platform calls a webhook.
"""

from channels.families.speech.numerals import PLAIN, Manner, cardinal, tongue, words
from channels.families.speech.spoken import escaped, offered, pieces, pressed, sourced, speakable, ssml

__all__ = [
    "PLAIN",
    "Manner",
    "cardinal",
    "escaped",
    "offered",
    "pieces",
    "pressed",
    "sourced",
    "speakable",
    "ssml",
    "tongue",
    "words",
]
