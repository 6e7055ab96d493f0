"""Named initializers: one file a family, found by `fanin.schemes.registry`."""
