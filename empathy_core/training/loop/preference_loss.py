"""The loss of preference tuning, from log-probabilities of chosen and rejected replies. Pure.

Direct preference optimisation (Rafailov et al., NeurIPS 2023, equation 7): with the sums of
log-probabilities of a reply's tokens, its end token among them, under the policy and under the
frozen reference,

    delta = (chosen - reference chosen) - (rejected - reference rejected),
    loss  = -log sigmoid(beta · delta).

``sigmoid_norm`` divides each reply's difference by its number of tokens first, so that a longer
reply has no larger say (as SimPO does, Meng et al., NeurIPS 2024, but with a reference); its beta
is of the order of 2. A further loss is one function and one entry of ``LOSSES``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class PairLogs:
    """Log-probabilities of both replies of each pair, summed over their tokens; shape (pairs,).

    Attributes:
        chosen: Under the policy; it has gradients.
        rejected: Under the policy; it has gradients.
        reference_chosen: Under the reference.
        reference_rejected: Under the reference.
        n_chosen: Tokens of the chosen reply that the loss is taken on.
        n_rejected: The same of the rejected one.
    """

    chosen: "Tensor"
    rejected: "Tensor"
    reference_chosen: "Tensor"
    reference_rejected: "Tensor"
    n_chosen: "Tensor"
    n_rejected: "Tensor"

    @property
    def delta(self) -> "Tensor":
        """By how much more the policy prefers the chosen reply than the reference does."""
        return (self.chosen - self.reference_chosen) - (self.rejected - self.reference_rejected)

    @property
    def delta_per_token(self) -> "Tensor":
        """The same, of each reply's mean over its tokens."""
        chosen = (self.chosen - self.reference_chosen) / self.n_chosen.clamp(min=1)
        rejected = (self.rejected - self.reference_rejected) / self.n_rejected.clamp(min=1)
        return chosen - rejected


def sigmoid(pairs: PairLogs, beta: float) -> "Tensor":
    """Return DPO's loss of each pair; log 2 where policy and reference are one."""
    from torch.nn.functional import logsigmoid

    return -logsigmoid(beta * pairs.delta)


def sigmoid_norm(pairs: PairLogs, beta: float) -> "Tensor":
    """Return the same of means over tokens."""
    from torch.nn.functional import logsigmoid

    return -logsigmoid(beta * pairs.delta_per_token)


LOSSES: Mapping[str, Callable[[PairLogs, float], "Tensor"]] = {
    "sigmoid": sigmoid,
    "sigmoid_norm": sigmoid_norm,
}
"""Name in a configuration → loss of each pair, of shape (pairs,)."""
