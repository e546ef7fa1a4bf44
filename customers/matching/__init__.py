"""Are two records about one person? Normal forms, names, block keys, a scorer with explained weights, and its training.

Everything here only proposes. A proposal is for staff: the identity graph may show it as one customer, and nothing in
this package changes what a conversation has proven or may be told.
"""
