"""One file a rule; `fanin.checks.registry` finds them."""
