"""The contract of every system in the comparison, and nothing else.

Each system splits its work in what is learned once and what is paid for each
adaptation:

    shared  = method.prepare(source, key)
    adapted = method.adapt(shared, evidence, key)
    scores  = method.score(adapted, histories)
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import scipy.sparse
from jaxtyping import Float

from hyperrec.data import interactions as interactions_lib

Interactions = interactions_lib.Interactions
# One domain, or one for each source domain.
Source = Interactions | tuple[Interactions, ...]


class CannotServe(Exception):  # noqa: N818 - a refusal, not a failure
  """A method's typed refusal of a regime; the report prints "cannot".

  Raised by `prepare` or `adapt` with a reason a reader understands, e.g.
  "EASE has no weights for a catalogue without interactions".
  """


@dataclasses.dataclass(frozen=True)
class Histories:
  """What a batch of B users has shown, in the order of time.

  Attributes:
    items: int32 [B, L], item indices; what is beyond a user's length is
      arbitrary (0 by convention).
    mask: bool [B, L], True where an item is.
    num_items: V, the size of the catalogue the indices refer to.
    users: int [B], their numbers in the evidence, for methods that keep
      something of each; None where histories are of no such users.
  """

  items: np.ndarray
  mask: np.ndarray
  num_items: int
  users: np.ndarray | None = None

  @classmethod
  def of(cls, data: Interactions, users: np.ndarray) -> 'Histories':
    """The histories of some users of `data`, sorted by user and time.

    Args:
      data: rows sorted by user (`Interactions.by_user_and_time`).
      users: [B] user indices.
    """
    start = np.searchsorted(data.users, users, side='left')
    length = np.searchsorted(data.users, users, side='right') - start
    place_L = np.arange(max(1, int(length.max(initial=0))))
    mask = place_L[None] < length[:, None]
    rows = np.where(mask, start[:, None] + place_L[None], 0)
    padded = np.append(data.items, np.int32(0))
    items = np.where(mask, padded[rows], 0)
    return cls(items, mask, data.num_items, users)

  def csr(self, dtype: Any = np.float32) -> scipy.sparse.csr_matrix:
    """The same histories as a binary matrix [B, V]."""
    lengths = self.mask.sum(axis=1)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    indices = self.items[self.mask]
    x_BxV = scipy.sparse.csr_matrix(
      (np.ones(len(indices), dtype), indices, indptr),
      shape=(len(self.items), self.num_items),
    )
    x_BxV.sum_duplicates()
    x_BxV.data[:] = 1
    return x_BxV

  def multi_hot(self) -> Float[np.ndarray, 'B V']:
    """The same histories as a dense binary float32 matrix [B, V]."""
    return self.csr().toarray()


def no_flops(*unused: Any) -> float:
  """The cost of doing nothing."""
  del unused
  return 0.0


@dataclasses.dataclass(frozen=True)
class Method:
  """One system: three functions, and what the first two cost.

  Attributes:
    name: the name in result rows; arms add a suffix after a colon.
    prepare: (source, key) -> shared. Learned once, amortised. Where the target
      is a new domain, `source` is a tuple of domains.
    adapt: (shared, evidence, key) -> adapted. Paid per catalogue, domain, time
      slice or group of new users. `evidence` is an `Interactions` over the
      target's catalogue and may hold no row at all.
    score: (adapted, histories) -> float scores [B, V] of the whole catalogue,
      higher is better. Seen items are masked by the evaluation, not here.
    prepare_flops: (source, shared) -> floating point operations of `prepare`.
    adapt_flops: (shared, evidence, adapted) -> operations of `adapt`.
  """

  name: str
  prepare: Callable[[Source, jax.Array], Any]
  adapt: Callable[[Any, Interactions, jax.Array], Any]
  score: Callable[[Any, Histories], Any]
  prepare_flops: Callable[[Source, Any], float] = no_flops
  adapt_flops: Callable[[Any, Interactions, Any], float] = no_flops
