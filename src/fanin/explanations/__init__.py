"""Why a law is what it is, with every figure computed by the laws themselves."""
