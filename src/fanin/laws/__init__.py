"""Pure mathematics: floats in, floats out; no tensors, no models, no frameworks."""
