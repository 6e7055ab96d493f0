"""The engine: numbers that are a pure function of (stream version, seed, name, element index).

`SPEC.md` beside this file is the definition in words, `reference.py` in NumPy; the C++ kernel is a
faster copy with the same bits. Everybody else enters through `engine.fill` and `engine.generate`.
"""
