"""PURE: from what was seen of a broken answer to its cause, by name.

    decode-bug         the stored ids hold other text than is stored
    stop-token-bug     the answer ended at what is no end of the model's, or could not end at it
    not-reproduced     answering again gives other ids: what was seen is not what is stored
    reasoning-only     the answer ended inside the model's reasoning, or right behind it
    ends-at-once       the model itself holds the end for the most probable first token
    end-untrained      the model holds the end for improbable even after a whole reference answer
    flat-distribution  the model prefers no token: weights that are broken or were never trained
    loops              the distribution has collapsed on a repeating run of tokens
    echoes             the answer repeats its prompt
    limit              an ordinary cut at max_new_tokens
    none               nothing of the above

Several may fit one answer. They are told in this order, which is that of their strength: what
the stored ids prove, then what the model's distribution shows, then what the text looks like.
"""

from empathy_core.diagnosis.observations import (
    CAUSES,
    Answered,
    Cause,
    Diagnosis,
    EndAfter,
    Facts,
    Kind,
    Observation,
    Reference,
    Step,
    Stop,
    Token,
    end_after,
    first_difference,
    shown_probability,
)
from empathy_core.diagnosis.rules import causes, diagnose, repeating_tail

__all__ = [
    "CAUSES",
    "Answered",
    "Cause",
    "Diagnosis",
    "EndAfter",
    "Facts",
    "Kind",
    "Observation",
    "Reference",
    "Step",
    "Stop",
    "Token",
    "causes",
    "diagnose",
    "end_after",
    "first_difference",
    "repeating_tail",
    "shown_probability",
]
