"""Tasks cut out of catalogues: a part of the items, and some of the users."""

from typing import NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Float

from hyperrec.systems.hyperease import composition as composition_lib

Catalogue = composition_lib.Catalogue
Csr = scipy.sparse.csr_matrix
Queries = composition_lib.Queries

# Share of a history that is hidden, and the most targets of a user.
_HIDDEN, _MOST_TARGETS = 0.25, 6
# A user who is judged has as many items.
_LEAST_ITEMS = 3
# Share of tasks without evidence, of views with noise, and its length beside
# that of a view's rows.
_EMPTY, _NOISY, _NOISE = 0.12, 0.2, (0.3, 2.0)


class Domain(NamedTuple):
  """A catalogue to cut tasks from.

  Attributes:
    x: what the users did, [U, V].
    views: the text of the items, tables with rows of length 1 or 0.
  """

  x: Csr
  views: list[np.ndarray]


class SubCatalogue(NamedTuple):
  """A task.

  Attributes:
    cosines: of its items in each view, float16, to save memory.
    evidence: what K users did.
    judged: what other users did.
  """

  cosines: Float[np.ndarray, 'n V V']
  evidence: Csr
  judged: Csr

  @property
  def catalogue(self) -> Catalogue:
    """What the solve needs."""
    gram = (self.evidence.T @ self.evidence).toarray()
    return Catalogue(self.cosines, gram.astype(np.float32))


def cosines(views: list[np.ndarray], items: np.ndarray, rng=None) -> np.ndarray:
  """Cosines of some items in each view, centred over them; [n, V, V].

  Args:
    views: tables of the whole catalogue.
    items: the items.
    rng: where given, some of the views get noise.
  """
  tables = []
  for view in views:
    table = _units(view[items] - view[items].mean(axis=0))
    if rng is not None and rng.random() < _NOISY:
      noise = rng.standard_normal(table.shape) / np.sqrt(table.shape[1])
      table = _units(table + rng.uniform(*_NOISE) * noise)
    tables.append(table)
  return np.stack([t @ t.T for t in tables]).astype(np.float16)


def _units(table):
  norm = np.linalg.norm(table, axis=1, keepdims=True)
  return table / np.where(norm > 1e-6, norm, np.inf)


def choose_items(domain: Domain, size: int, rng) -> np.ndarray:
  """Items that belong together, of one of three kinds, in ascending order.

  They are popular, or near each other in the text, or what a few users took up.
  """
  counts_V = domain.x.getnnz(0) + 1.0
  total = len(counts_V)
  if size >= total:
    return np.arange(total)
  kind = rng.integers(3)
  if kind == 0:
    value = rng.uniform(0, 1) * np.log(counts_V) + rng.gumbel(size=total)
  elif kind == 1:
    view = domain.views[0]
    value = view @ view[rng.integers(total)]
    value = value + rng.uniform(0, 0.1) * rng.gumbel(size=total)
  else:
    users = rng.permutation(domain.x.shape[0])
    reached = np.cumsum(domain.x[users].getnnz(1))
    few = users[: np.searchsorted(reached, 2 * size) + 1]
    value = (domain.x[few].getnnz(0) > 0) + 0.5 * rng.random(total)
  return np.sort(np.argsort(-value, kind='stable')[:size])


def draw(
  domain: Domain,
  *,
  size: int,
  most_users: int,
  num_judged: int,
  rng: np.random.Generator,
) -> SubCatalogue | None:
  """A task; None where too few users did anything in it.

  Args:
    domain: where it is cut out.
    size: number of items.
    most_users: the largest K, which is drawn log-uniformly, or is 0.
    num_judged: the most users who are judged.
    rng: of the draws.
  """
  items = choose_items(domain, size, rng)
  x = domain.x[:, items]
  lengths = x.getnnz(1)
  users = rng.permutation(np.flatnonzero(lengths))
  may = users[lengths[users] >= _LEAST_ITEMS]
  judged = may[: min(num_judged, len(may) // 2)]
  if not len(judged):
    return None
  others = users[~np.isin(users, judged)]
  most = min(most_users, len(others))
  number = int(np.exp(rng.uniform(0, np.log(most + 1))))
  number = 0 if rng.random() < _EMPTY else min(number, most)
  return SubCatalogue(
    cosines(domain.views, items, rng), x[others[:number]], x[judged]
  )


def queries(task: SubCatalogue, size: int, rng) -> Queries:
  """Users who are no part of the evidence, with hidden items."""
  users = rng.permutation(task.judged.shape[0])[:size]
  rows = task.judged[users]
  return _queries(rows, size, rng, np.zeros((size, rows.shape[1]), np.float32))


def own_queries(evidence: Csr, size: int, rng) -> list[Queries]:
  """The evidence users in two groups; each is judged without its own rows.

  Users with one item cannot be judged. A group may be empty.
  """
  users = rng.permutation(np.flatnonzero(evidence.getnnz(1) > 1))[: 2 * size]
  found = []
  for group in (users[::2], users[1::2]):
    rows = np.zeros((size, evidence.shape[1]), np.float32)
    rows[: len(group)] = evidence[group].toarray()
    found.append(_queries(evidence[group], size, rng, rows))
  return found


def _queries(x, size, rng, rows) -> Queries:
  histories = np.zeros((size, x.shape[1]), np.float32)
  histories[: x.shape[0]] = x.toarray()
  unranked = np.zeros_like(histories)
  targets = np.zeros((size, _MOST_TARGETS), np.int32)
  is_target = np.zeros(targets.shape, np.float32)
  for user in range(x.shape[0]):
    items = np.flatnonzero(histories[user])
    number = max(1, round(_HIDDEN * len(items)))
    hidden = rng.choice(items, number, replace=False)
    kept = hidden[:_MOST_TARGETS]
    histories[user, hidden] = 0
    unranked[user, hidden[_MOST_TARGETS:]] = 1
    targets[user, : len(kept)] = kept
    is_target[user, : len(kept)] = 1
  weight = (np.arange(size) < x.shape[0]).astype(np.float32)
  return Queries(histories, targets, is_target, unranked, weight, rows)
