"""Names of people as a graph: who is the same person, by which evidence, and how to take it back.

`partition.py` decides (pure), `evidence.py` reads a message's names (pure), `records.py` and `history.py` are the SQL,
`area.py` recomputes what a change touches, `graph.py` takes evidence in and shows it, `operations.py` is what people
and the matcher do on purpose.
"""
