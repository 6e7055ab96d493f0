"""Rules for weights that are summed over: linear layers, convolutions, heads, last projections.

One law serves all of them: ``std = gain / sqrt(fan_in)`` with a gain that is a product of factors,
each with its reason. Power (the second moment) is to be 1 at every input of a sum:

- What *follows* counts if it is scale-free (ReLU, leaky ReLU, the identity). He's gain makes its
  output's power 1 whatever comes in, and is He's own choice for the first layer too.
- What is *read* counts if it is not scale-free (GELU, SiLU, tanh, ...). Its power ``E f(z)^2`` is
  known for a standard normal input only, so the weight before it has to deliver power 1 and the
  weight after it repairs what f took. Thirty layers of SiLU that take the gain before f instead end
  ten times louder, because f is then fed with another power than its gain is for.
- A gated product is read like one activation, and both of its factors get power 1.
"""

from __future__ import annotations

import math
from dataclasses import replace

from fanin.plans.adapters import ADAPTER
from fanin.plans.constants import LOUD, UNSCALED
from fanin.plans.depth import Factor, depth
from fanin.plans.facts import Power
from fanin.plans.logits import LOGIT_STD
from fanin.plans.made import made
from fanin.plans.outputs import meeting, summands
from fanin.plans.rule import Case, Claim, Rule
from fanin.plans.unnormalised import read_power
from fanin.records.graph import OpKind, UseKind
from fanin.schemes.variance_scaling import variance_scaling

__all__ = ["HEAD", "PROJECTION", "ROUTER", "WEIGHT", "WEIGHTS"]


_LECUN = "Y. LeCun et al., Efficient BackProp, 1998, equation 16"
_GLOROT = (
    "X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, "
    "2010, equations 8 and 9"
)
_HE = "K. He et al., Delving Deep into Rectifiers, 2015, equations 10 and 15"
_HANIN = "B. Hanin and D. Rolnick, How to Start Training, 2018, theorem 5 (luck adds up over layers)"
_SIREN = "V. Sitzmann et al., Implicit Neural Representations with Periodic Activations, 2020, section 3.2"


def _power_text(power: Power) -> str:
    if power.second_moment is None:
        return f"{power.name}, whose power is not finite: no gain is applied"
    return f"{power.name}: E f(z)² = {power.second_moment:.4g} for E z² = {power.input_power:.4g}"


def _decades(log: float) -> str:
    return f"{log / math.log(10.0):+.1f} decades"


def _share(power: Power) -> str:
    """An activation, and what it does to the power of its input."""
    if power.second_moment is None or math.isclose(power.second_moment, 1.0, rel_tol=1e-6):
        return power.name
    return f"{power.name}, which takes power {power.input_power:.3g} to {power.second_moment:.3g}"


def _activation(case: Case) -> Factor | None:
    """What the activations before and after a weight ask of it; None for a linear place."""
    facts, use = case.facts, case.role
    read = facts.read(use)
    follows = facts.feeds(use)
    factor, reasons, evidence = 1.0, [], []
    references: tuple[str, ...] = (_LECUN,)
    if use.gate_activation is not None:
        gate = facts.powers[use.gate_activation]
        factor *= gate.gain
        reasons.append(f"reads a product gated by {_share(gate)}")
        evidence.append(f"reads a product gated by {_power_text(gate)}")
    elif read is not None and not read.scale_free:
        factor *= read.gain
        reasons.append(f"reads {_share(read)}")
        evidence.append(f"reads {_power_text(read)}")
        count, chain = facts.chains.readers.get(use.node, (0, None))
        if chain is not None and chain.power != 1.0:
            evidence.append(
                f"over {count} layers a deviation of the signal's power grows {chain.growth:.3g}-fold (in "
                f"its logarithm), at power 1 it would {chain.growth_alone:.3g}-fold"
            )
        elif chain is not None and chain.gain < read.gain:
            factor *= chain.gain / read.gain
            reasons.append(f"one of {count} such layers: gain {chain.gain:.4g} for the gradient's sake")
            evidence.append(
                f"over {count} layers the signal's power changes by {_decades(chain.forward)} and the "
                f"gradient's by {_decades(chain.backward)}; with the gain {read.gain:.4g}, which keeps the "
                f"signal, the gradient's would change by {_decades(chain.alone)}"
            )
            references = (_GLOROT,)
    if use.gated:
        reasons.append("one factor of a gated product, at power 1")
        evidence.append("its output is multiplied with a sibling of the same input")
    elif follows is not None and follows.scale_free:
        factor *= follows.gain
        reasons.append(f"feeds {_share(follows)}")
        evidence.append(f"feeds {_power_text(follows)}")
    elif follows is not None and follows.input_power < 1.0:
        fans = case.fans
        if facts.reads_input(use) and fans is not None:
            factor = 1.0 / math.sqrt(3.0 * fans.fan_in)
            reasons.append(f"feeds {follows.name} from the input: a few waves over its range")
        else:
            factor *= math.sqrt(follows.input_power)
            reasons.append(f"feeds {follows.name} at power {follows.input_power:.3g}")
        references = (_SIREN,)
    elif follows is not None and follows.input_power > 1.0:
        factor *= math.sqrt(follows.input_power)
        reasons.append(
            f"feeds {follows.name} at power {follows.input_power:.3g}, where draws' luck does not grow"
        )
        evidence.append(f"feeds {_power_text(follows)}, which the weight that reads it makes up for")
        references = (*references, _HANIN)
    elif follows is not None:
        reasons.append(f"feeds {follows.name} at power 1")
        evidence.append(f"feeds {_power_text(follows)}, which the weight that reads it makes up for")
    if not reasons:
        return None
    if follows is not None and follows.scale_free and factor != 1.0:
        references = (_HE,)
    return Factor(
        value=factor,
        reason=", ".join(reasons),
        evidence=tuple(evidence),
        references=references,
    )


def _claim(case: Case, gain: float, reason: str, *factors: Factor | None) -> Claim | None:
    """`std = gain / sqrt(fan_in)`, or None where the roles give no fan."""
    if case.fans is None:
        return None
    present = [factor for factor in factors if factor is not None]
    evidence = [case.place, *(text for factor in present for text in factor.evidence)]
    if case.role.normalised:
        evidence.append("a norm follows, so only the effective learning rate depends on the std")
    if case.role.blocks:
        evidence.append(f"split into blocks of {case.role.blocks} outputs, which share one fan_in")
    references = [text for factor in present for text in factor.references] or [_LECUN]
    return Claim(
        scheme=_scheme(gain),
        draw=variance_scaling(gain**2).draw(case.parameter.shape, case.axes),
        axes=case.axes,
        gain=gain,
        reason=reason,
        evidence=tuple(evidence),
        references=tuple(dict.fromkeys(references)),
    )


def _scheme(gain: float) -> str:
    if gain == 1.0:
        return "lecun_normal"
    return "he_normal" if gain == math.sqrt(2.0) else "variance_scaling"


def _made(case: Case) -> Claim | None:
    asked = made(case) if case.role.kind == UseKind.WEIGHT else None
    if asked is None:
        return None
    active = _activation(case)
    gain = asked.value * (active.value if active else 1.0)
    return _claim(case, gain, ", ".join(f.reason for f in (active, asked) if f is not None), active, asked)


def _head(case: Case) -> Claim | None:
    if case.role.kind != UseKind.WEIGHT or not case.role.head:
        return None
    reason = (
        f"the head, only the output follows: outputs of std {LOGIT_STD:g}, so the first loss is near ln C"
    )
    return _outputs(case, 1.0, reason)


def _summed_head(case: Case) -> Claim | None:
    if case.role.kind != UseKind.WEIGHT or case.role.head:
        return None
    count = summands(case.facts, case.role.node)
    if count < 2:
        return None
    reason = f"one of {count} summands of the output, each with std {LOGIT_STD:g}/√{count}"
    return _outputs(case, 1.0 / math.sqrt(count), reason)


def _outputs(case: Case, share: float, reason: str) -> Claim | None:
    """The claim on a weight that makes outputs, which are to have a share of their std."""
    active = _activation(case)
    read = case.facts.read(case.role)
    power, stream = read_power(case)
    constant, told = case.facts.constant_around(case.role)
    gain = LOGIT_STD * share / math.sqrt(power) / constant
    gain *= 1.0 if read is None or read.scale_free else read.gain
    claim = _claim(case, gain, reason, active)
    notes = [f"the first loss over C classes is about ln C + {LOGIT_STD:g}²/2", stream, told]
    return claim and claim.noting(*filter(None, notes))


def _router(case: Case) -> Claim | None:
    role = case.role
    soft = case.facts.followed_by(role.node, OpKind.SOFTMAX)
    if role.kind != UseKind.WEIGHT or not (soft or role.router):
        return None
    what = "a softmax" if soft else "the choice of those that work on"
    claim = _claim(case, LOGIT_STD, f"feeds {what}, whose choice starts nearly even: std {LOGIT_STD:g}")
    if claim is None or not role.router:
        return claim
    return claim.noting("a router: the largest of its outputs are chosen, and multiply what others make")


def _scores(case: Case) -> Factor | None:
    """What attention scores ask of the weights that make queries and keys."""
    share = case.role.scores
    if share <= LOUD or case.role.blocks:
        return None
    power = share**2
    return Factor(
        value=1.0 / math.sqrt(share),
        reason=f"makes queries or keys of unscaled scores, its share 1/{share:.3g} in their power",
        evidence=(
            f"of queries and keys of power 1 the scores would have power {power:.3g} before the softmax",
        ),
        references=(UNSCALED,),
    )


def _projection(case: Case) -> Claim | None:
    if case.role.kind != UseKind.WEIGHT:
        return None
    residual = depth(case)
    if residual is None:
        return None
    active = _activation(case)
    gain = residual.value * (active.value if active else 1.0)
    reason = residual.reason if active is None else f"{active.reason}; {residual.reason}"
    claim = _claim(case, gain, reason, active, residual)
    return claim and replace(claim, deep=True)


def _weight(case: Case) -> Claim | None:
    if case.role.kind != UseKind.WEIGHT:
        return None
    factors = [factor for factor in (_activation(case), _scores(case) or meeting(case)) if factor is not None]
    if not factors:
        return _claim(case, 1.0, "linear: outputs have the power of the inputs")
    gain = math.prod(factor.value for factor in factors)
    return _claim(case, gain, ", ".join(factor.reason for factor in factors), *factors)


MADE = Rule(name="made weights", claim=_made)
HEAD = Rule(name="head", claim=_head)
SUMMED_HEAD = Rule(name="summed head", claim=_summed_head)
ROUTER = Rule(name="softmax weight", claim=_router)
PROJECTION = Rule(name="residual projection", claim=_projection)
WEIGHT = Rule(name="weight", claim=_weight)

WEIGHTS = (ADAPTER, MADE, HEAD, SUMMED_HEAD, ROUTER, PROJECTION, WEIGHT)
