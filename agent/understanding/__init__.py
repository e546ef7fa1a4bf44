"""What a customer means, without a language model: language, intent, emotion, acts and slots of one message.

`understand.Understander` is the door; `fitting.fit_head` learns classifiers from labelled texts; `train` builds the
shop's own models. Everything else here is used by these three.
"""
