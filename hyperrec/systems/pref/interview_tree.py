"""An interview as a decision tree.

The tree follows fMF (Zhou, Yang & Zha, SIGIR 2011). A node asks one question
and has one child for each answer: "first", "second" and "I don't know". It
holds a profile: the mean coefficients of the training users who reached it,
shrunk to the profile of its parent. An interview only follows the branches and
looks up the profile.

A split minimises the squared error of the users' scores. The base functions
stay fixed, whereas fMF fits users and items in turn.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

FIRST, SECOND, UNKNOWN = range(3)

# A node with fewer users is not split.
_MIN_USERS = 10
# Number of users that the profile of the parent counts as.
_SHRINKAGE = 10.0


class Tree(NamedTuple):
  """A tree of M nodes, of which node 0 is the root.

  Attributes:
    pairs: [M, 2], indices into the pool; arbitrary at a leaf.
    children: [M, 3], the next node for each answer; 0 at a leaf.
    profiles: [M, J], coefficients.
  """

  pairs: Int[np.ndarray, 'M 2']
  children: Int[np.ndarray, 'M 3']
  profiles: Float[np.ndarray, 'M J']


def answers_to(
  ratings: Float[np.ndarray, 'U N'], pairs: Int[np.ndarray, 'C 2']
) -> Int[np.ndarray, 'U C']:
  """Returns the answers of users: FIRST, SECOND or UNKNOWN.

  An answer is UNKNOWN if an item is not rated or both ratings are equal.

  Args:
    ratings: Ratings of the pool's items; NaN where there is none.
    pairs: Indices into the pool of the pairs that are asked about.
  """
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
) -> Tree:
  """Grows the tree on training users, greedily.

  Args:
    ratings: Training users' ratings of the pool's items; NaN where there is
      none.
    users: Coefficients of the training users.
    pairs: Questions that may be asked, as indices into the pool.
    importance: Weight of an error in each direction of the coefficients.
    depth: Largest number of questions on a path.
  """
  answers_UxC = answers_to(ratings, pairs)
  jitter_JxJ = 1e-9 * np.eye(len(importance))
  weighed_UxJ = users @ np.linalg.cholesky(importance + jitter_JxJ)
  nodes = [[(0, 0), [0, 0, 0], users.mean(axis=0)]]
  waiting = [(0, np.arange(len(users)), depth)]
  while waiting:
    place, here, left = waiting.pop(0)
    if left == 0 or len(here) < _MIN_USERS:
      continue
    best = _best_split(answers_UxC[here], weighed_UxJ[here])
    nodes[place][0] = tuple(pairs[best])
    for answer in (FIRST, SECOND, UNKNOWN):
      members = here[answers_UxC[here, best] == answer]
      total_J = users[members].sum(axis=0) + _SHRINKAGE * nodes[place][2]
      nodes[place][1][answer] = len(nodes)
      waiting.append((len(nodes), members, left - 1))
      nodes.append([(0, 0), [0, 0, 0], total_J / (len(members) + _SHRINKAGE)])
  return Tree(*(np.array(column) for column in zip(*nodes, strict=True)))


def _best_split(answers_UxC, weighed_UxJ) -> int:
  """Returns the index of the question that leaves the least squared error."""
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
  """Returns the profiles of users after 0, 1, ..., Q questions.

  A user who reaches a leaf is asked no more and keeps its profile.

  Args:
    tree: Tree from `grow`.
    ratings: Ratings of the pool's items, which answer the questions; NaN where
      there is none.
    num_questions: Number of questions, Q.
  """
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
