"""Every tensor by its use: the first rule that explains it."""

from __future__ import annotations

from dataclasses import replace

from fanin.plans.constants import CONSTANTS
from fanin.plans.couplings import COUPLING, COUPLING_BOUND
from fanin.plans.determinants import DETERMINANT
from fanin.plans.embeddings import EMBEDDINGS, TIED
from fanin.plans.forget import FORGET
from fanin.plans.kept import KEEPING
from fanin.plans.made import MADE_SHIFT
from fanin.plans.magnitudes import magnitude
from fanin.plans.modulation import MODULATION
from fanin.plans.multiplied import MULTIPLIED, MULTIPLIER
from fanin.plans.policies.fixup import POLICY as FIXUP
from fanin.plans.recurrent import RECURRENT
from fanin.plans.rest import REST
from fanin.plans.rule import Policy
from fanin.plans.spread import SPREAD
from fanin.plans.weights import WEIGHTS

__all__ = ["POLICY"]

POLICY = Policy(
    name="auto",
    summary="each tensor by its use: true fans, gains of the real activations, depth counted in the graph",
    tensors=(*KEEPING, TIED, DETERMINANT, FORGET),
    uses=(
        *(
            magnitude(WEIGHTS),
            SPREAD,
            MULTIPLIER,
            COUPLING_BOUND,
            *CONSTANTS,
            *RECURRENT,
            MADE_SHIFT,
            *EMBEDDINGS,
        ),
        *(MODULATION, COUPLING, MULTIPLIED, *WEIGHTS, REST),
    ),
    # Where there are such branches; a model without them is no mistake.
    modifiers=(replace(FIXUP, check=lambda _: None),),
    forward=True,
)
