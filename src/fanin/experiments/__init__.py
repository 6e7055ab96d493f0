"""Experiments on real data: the same model, several ways to begin."""
