"""Reading recorded operators, in no framework's words: roles, activations, norms, joins, heads."""
