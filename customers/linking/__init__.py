"""Where the graph, the profile and the matcher meet: what is known becomes records, proposals become links or questions.

`customers/graph`, `customers/profile` and `customers/matching` do not know this package; they only leave word in `changed`.
"""
