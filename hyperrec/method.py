"""The contract of every system in the comparison, and nothing else.

What is fitted is a `Model`. How it is adapted is a policy of `adapting`. A
model under a policy is a `Method`, the thing that is compared: it splits its
work in what is learned once and what is paid for each adaptation.

    method  = adapting.retrained(ease.ease(l2=100.0))
    shared  = method.prepare(source, key)
    adapted = method.adapt(shared.state, evidence, key)
    scores  = method.score(adapted.state, histories)

`shared` and `adapted` are `Outcome`s: a state, and what it cost.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.sparse
from jaxtyping import Float

from hyperrec import program as program_lib
from hyperrec.cost import counts
from hyperrec.data import interactions as interactions_lib
from hyperrec.training import run as run_lib

Cost = counts.Cost
Interactions = interactions_lib.Interactions
Program = program_lib.Program
# One domain, or one for each source domain.
Source = Interactions | tuple[Interactions, ...]
Run = run_lib.Run
# Interactions -> features of the items of their catalogue, float [V, F].
Features = Callable[[Interactions], np.ndarray]
# The same, centred; (interactions, known=None), where `known` are the items
# whose mean is taken off: those that were there before others arrived.
CentredFeatures = Callable[..., np.ndarray]


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

  def of_items(self, items: np.ndarray) -> 'Histories':
    """The histories in a catalogue of only these items, in the order given."""
    number = np.full(self.num_items, -1, np.int32)
    number[items] = np.arange(len(items), dtype=np.int32)
    new = number[self.items]
    is_kept = self.mask & (new >= 0)
    # What is kept moves to the front, and stays in the order of time.
    order = np.argsort(~is_kept, axis=1, kind='stable')
    mask = np.take_along_axis(is_kept, order, 1)
    kept = np.where(mask, np.take_along_axis(new, order, 1), 0)
    return Histories(kept, mask, len(items), self.users)

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


class Outcome(NamedTuple):
  """What a piece of work made, and what it cost; whoever works counts."""

  state: Any
  cost: Cost = Cost()


class Part(NamedTuple):
  """A model's state in a catalogue of which it knows only some items.

  Attributes:
    state: the model's state.
    items: int [V_known], the items that it knows, in its own order.
  """

  state: Any
  items: np.ndarray


@dataclasses.dataclass(frozen=True)
class Model:
  """What can be fitted, and what its parameters can do besides.

  Attributes:
    name: the name of the system, as "ease".
    config: the hyperparameters: a frozen dataclass, or a mapping of names to
      values.
    fit: (data, key, start=None, run=Run()) -> Outcome. The data are one
      `Interactions`, or a tuple of domains where `takes_domains`. `start` is a
      state to continue from.
    score: (state, histories) -> float scores [B, V] of the whole catalogue;
      higher is better. Items that were seen are masked by the evaluation, not
      here.
    look_up: (state, data) -> Outcome. The state for another catalogue, made
      without training; None where there is no such thing.
    carry: (state, data, key) -> Outcome. The state from which `fit` starts on
      another catalogue; it is given the same key as that `fit`. None where
      nothing of a state means anything there.
    update: (state, source, evidence) -> Outcome. The state of source and
      evidence from that of the source; None where only a refit has it.
    generate: (state, data, key) -> Outcome. The parameters of a catalogue or
      of users, from what `fit` has learned to generate; None for a model that
      is no generator.
    grow: (state, data, known) -> Outcome. The state for a catalogue to which
      items were added; the parameters of the old ones stay. The data are
      all interactions at hand over the grown catalogue, and `known` [V_known]
      are the items of the state, in its order. None for other models.
    program: state -> Program. The same scores as one JAX function, by which a
      state is exported; raises `CannotServe` if this state has none. None where
      scores are no function of tensors and a history alone.
    sparse_weights: state -> sparse weights [V, V] of which the scores are x B,
      so that large catalogues are ranked without scores of all items; it
      returns None if a state has none. None where no state has any.
    generates_catalogues: whether `generate` serves catalogues that `fit` has
      not seen.
    takes_domains: whether `fit` learns from several domains.
    needs_history: whether users with empty histories cannot be scored.
    needs_interactions: whether a catalogue without any interaction cannot be
      served.
    scores_new_items: whether items without interactions have scores of their
      own, by their features, where other items have interactions. All models
      that need no interactions have them.
  """

  name: str
  config: Any
  fit: Callable[..., Outcome]
  score: Callable[[Any, Histories], Any]
  look_up: Callable[[Any, Interactions], Outcome] | None = None
  carry: Callable[[Any, Interactions, jax.Array], Outcome] | None = None
  update: Callable[[Any, Interactions, Interactions], Outcome] | None = None
  generate: Callable[[Any, Interactions, jax.Array], Outcome] | None = None
  grow: Callable[[Any, Interactions, np.ndarray], Outcome] | None = None
  program: Callable[[Any], Program] | None = None
  sparse_weights: Callable[[Any], Any] | None = None
  generates_catalogues: bool = False
  takes_domains: bool = False
  needs_history: bool = False
  needs_interactions: bool = True
  scores_new_items: bool = False


@dataclasses.dataclass(frozen=True)
class Method:
  """A model under a policy: what is compared.

  Attributes:
    name: of the model and the policy, as "ease, retrained".
    model: what is adapted.
    prepare: (source, key) -> Outcome. Learned once. Where the target is a new
      domain, `source` is a tuple of domains.
    adapt: (shared state, evidence, key) -> Outcome. Paid for each catalogue,
      domain, time slice or group of new users. `evidence` is an `Interactions`
      over the target's catalogue and may hold no row at all.
  """

  name: str
  model: Model
  prepare: Callable[[Source, jax.Array], Outcome]
  adapt: Callable[[Any, Interactions, jax.Array], Outcome]

  @property
  def config(self) -> Any:
    """The model's hyperparameters."""
    return self.model.config

  def score(self, state: Any, histories: Histories) -> Any:
    """Scores [B, V] of the whole catalogue from an adapted state.

    Items that the state does not know come last, and tie.
    """
    if not isinstance(state, Part):
      return self.model.score(state, histories)
    own = histories.of_items(state.items)
    scores = np.asarray(self.model.score(state.state, own))
    last = scores.min(axis=1, keepdims=True) - 1
    whole = np.repeat(last, histories.num_items, axis=1)
    whole[:, state.items] = scores
    return whole
