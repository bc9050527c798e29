"""An interview as a decision tree, grown once and walked without arithmetic.

After fMF (Zhou, Yang & Zha, SIGIR 2011): a node asks one question, its
children are the answers ("first", "second", "I don't know"), and each holds
the profile of the users who came there, shrunk to its parent's. The splits
minimise the squared error of the users' scores; the item side stays fixed,
where fMF alternates.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

FIRST, SECOND, UNKNOWN = range(3)


class Tree(NamedTuple):
  """M nodes; node 0 is the root.

  Attributes:
    pairs: [M, 2] places in the pool; of a leaf arbitrary.
    children: [M, 3] nodes by answer; 0 at a leaf.
    profiles: [M, J] coefficients.
  """

  pairs: Int[np.ndarray, 'M 2']
  children: Int[np.ndarray, 'M 3']
  profiles: Float[np.ndarray, 'M J']


def answers_to(
  ratings: Float[np.ndarray, 'U N'], pairs: Int[np.ndarray, 'C 2']
) -> Int[np.ndarray, 'U C']:
  """FIRST, SECOND or UNKNOWN; NaN is not rated, a tie is UNKNOWN."""
  gap = ratings[:, pairs[:, 0]] - ratings[:, pairs[:, 1]]
  known = np.where(gap > 0, FIRST, SECOND)
  return np.where(np.isnan(gap) | (gap == 0), UNKNOWN, known)


def grow(
  ratings: Float[np.ndarray, 'U N'],
  users: Float[np.ndarray, 'U J'],
  pairs: Int[np.ndarray, 'C 2'],
  importance: Float[np.ndarray, 'J J'],
  *,
  depth: int,
  min_users: int = 10,
  shrinkage: float = 10.0,
) -> Tree:
  """Grows the tree on training users, greedily.

  Args:
    ratings: of the pool's items; NaN where there is none.
    users: their coefficients.
    pairs: questions that may be asked.
    importance: weight of an error in each direction of the coefficients.
    depth: most questions on a path.
    min_users: fewer are not split.
    shrinkage: users that a parent's profile counts as.
  """
  answers_UxC = answers_to(ratings, pairs)
  jitter_JxJ = 1e-9 * np.eye(len(importance))
  weighed_UxJ = users @ np.linalg.cholesky(importance + jitter_JxJ)
  nodes = [[(0, 0), [0, 0, 0], users.mean(axis=0)]]
  waiting = [(0, np.arange(len(users)), depth)]
  while waiting:
    place, here, left = waiting.pop(0)
    if left == 0 or len(here) < min_users:
      continue
    best = _best_split(answers_UxC[here], weighed_UxJ[here])
    nodes[place][0] = tuple(pairs[best])
    for answer in (FIRST, SECOND, UNKNOWN):
      members = here[answers_UxC[here, best] == answer]
      total_J = users[members].sum(axis=0) + shrinkage * nodes[place][2]
      nodes[place][1][answer] = len(nodes)
      waiting.append((len(nodes), members, left - 1))
      nodes.append([(0, 0), [0, 0, 0], total_J / (len(members) + shrinkage)])
  return Tree(*(np.array(column) for column in zip(*nodes, strict=True)))


def _best_split(answers_UxC, weighed_UxJ) -> int:
  """The question that leaves the least squared error within its answers."""
  explained_C = np.zeros(answers_UxC.shape[1])
  centred_UxJ = weighed_UxJ - weighed_UxJ.mean(axis=0)
  for answer in (FIRST, SECOND, UNKNOWN):
    is_UxC = (answers_UxC == answer).astype(np.float64)
    sums_CxJ = is_UxC.T @ centred_UxJ
    explained_C += (sums_CxJ**2).sum(1) / np.maximum(is_UxC.sum(0), 1)
  return int(explained_C.argmax())


def walk(
  tree: Tree, ratings: Float[np.ndarray, 'B N'], num_questions: int
) -> Float[np.ndarray, 'B Q1 J']:
  """Profiles after 0..Q questions; at a leaf there are no more."""
  node_B = np.zeros(len(ratings), int)
  profiles = [tree.profiles[node_B]]
  rows = np.arange(len(ratings))
  for _ in range(num_questions):
    pairs = tree.pairs[node_B]
    gap = ratings[rows, pairs[:, 0]] - ratings[rows, pairs[:, 1]]
    answer = np.where(gap > 0, FIRST, SECOND)
    answer = np.where(np.isnan(gap) | (gap == 0), UNKNOWN, answer)
    below_B = tree.children[node_B, answer]
    node_B = np.where(below_B > 0, below_B, node_B)
    profiles.append(tree.profiles[node_B])
  return np.stack(profiles, axis=1)
