"""Settings that every test shares."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# Nothing here may ask a model hub, and numbers must not depend on how busy the machine is.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

# Keras would look for TensorFlow; tests of the other backends start processes of their own.
os.environ.setdefault("KERAS_BACKEND", "numpy")

# A shell starts what it puts in the background with interrupts ignored; tests of interrupts need them.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Derandomized: the same examples in every run, so a red run can be repeated. No deadline: a shared machine
# may stop for a second at any time, and speed is the business of benchmarks/.
settings.register_profile("fanin", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("fanin")
