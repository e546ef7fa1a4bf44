"""The knowledge base: articles with versions, cut into passages, indexed, searched, cited."""
