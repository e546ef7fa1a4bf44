"""Where articles come from: one module a kind of source, one line each in the registry."""
