"""The names of a catalogue as a tree of tokens.

A name is written token by token; at each node of the tree only its children
may follow. Their probabilities are normalised among themselves, so those of
all items add up to one. A part of the tree that leads to one item alone is cut
off: nothing is left to choose there.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

# Above it the table of children is not made: 1 GiB of int32.
_MOST_CHILDREN = 2**28


class PrefixTree(NamedTuple):
  """M nodes where there is a choice, or below which there is one.

  Node 0 is the root. Of a node that has no choice only one child is set.

  Attributes:
    tokens: int32 [M], what is written at the node: the token that leads there,
      0 (the decoder's start) at the root.
    ancestors: int32 [M, T], nodes from the root to the node, filled with 0.
    depth: int32 [M], how many ancestors but itself.
    alphabet: int32 [W], the tokens that lead to any node or item.
    children: int32 [M, W], where each leads: node n, or M + item; -1 is
      nowhere.
    path_nodes: int32 [V, T], the nodes at which an item is chosen, filled with
      0.
    path_letters: int32 [V, T], the place in the alphabet chosen there, filled
      with -1.
  """

  tokens: Int[Array, ' M']
  ancestors: Int[Array, 'M T']
  depth: Int[Array, ' M']
  alphabet: Int[Array, ' W']
  children: Int[Array, 'M W']
  path_nodes: Int[Array, 'V T']
  path_letters: Int[Array, 'V T']

  @property
  def num_items(self) -> int:
    """V."""
    return self.path_nodes.shape[0]

  @property
  def num_steps(self) -> int:
    """T, choices until every name is whole."""
    return self.path_nodes.shape[1]


def build(names: Sequence[Sequence[int]], end: int) -> PrefixTree:
  """The tree of some names.

  Args:
    names: [V] tokens of each.
    end: the token that follows a name.

  Raises:
    ValueError: no name, one that is empty or that two items share, or more
      than the table of children can hold.
  """
  whole = [(*map(int, name), end) for name in names]
  _check(whole)
  nodes, paths = _grow(whole)
  letters = np.unique([token for path in paths for _, token in path])
  place = {int(token): i for i, token in enumerate(letters)}
  if len(nodes) * len(letters) > _MOST_CHILDREN:
    raise ValueError(
      f'{len(whole)} names make a tree of {len(nodes)} nodes and '
      f'{len(letters)} tokens, more than fits; shorten the names'
    )
  steps = max(map(len, paths))
  children = np.full((len(nodes), len(letters)), -1, np.int32)
  path_nodes = np.zeros((len(whole), steps), np.int32)
  path_letters = np.full((len(whole), steps), -1, np.int32)
  for item, path in enumerate(paths):
    for step, (node, token) in enumerate(path):
      path_nodes[item, step] = node
      path_letters[item, step] = place[token]
      is_last = step + 1 == len(path)
      follows = len(nodes) + item if is_last else path[step + 1][0]
      children[node, place[token]] = follows
  ancestors = np.zeros((len(nodes), steps), np.int32)
  for i, prefix in enumerate(nodes):
    chain = [nodes[prefix[:n]] for n in range(len(prefix) + 1)]
    ancestors[i, : len(chain)] = chain
  return PrefixTree(
    np.array([prefix[-1] if prefix else 0 for prefix in nodes], np.int32),
    ancestors,
    np.array([len(prefix) for prefix in nodes], np.int32),
    letters.astype(np.int32),
    children,
    path_nodes,
    path_letters,
  )


def _grow(whole):
  """Prefix -> node of those that several names share, and items' paths."""
  count = {}
  for name in whole:
    for size in range(len(name) + 1):
      count[name[:size]] = count.get(name[:size], 0) + 1
  count[()] = 2  # the root is there for a single name too
  shared = sorted((p for p, n in count.items() if n > 1), key=len)
  nodes = {prefix: i for i, prefix in enumerate(shared)}
  paths = [
    [
      (nodes[name[:size]], name[size])
      for size in range(len(name))
      if name[:size] in nodes
    ]
    for name in whole
  ]
  return nodes, paths


def _check(whole) -> None:
  if not whole:
    raise ValueError('a prefix tree needs a name; there is none')
  seen = {}
  for item, name in enumerate(whole):
    if len(name) == 1:
      raise ValueError(f'the name of item {item} has no token')
    if name in seen:
      raise ValueError(
        f'items {seen[name]} and {item} have the same name; a name must tell '
        'one item'
      )
    seen[name] = item


def log_choices(
  logits: Float[Array, '*b W'], children: Int[Array, '*b W']
) -> Float[Array, '*b W']:
  """Log-probabilities of each child among its siblings; -inf is no child."""
  masked = jnp.where(children >= 0, logits, -jnp.inf)
  return jax.nn.log_softmax(masked, axis=-1)


def item_scores(
  tree: PrefixTree, log_BxMxW: Float[Array, 'B M W']
) -> Float[Array, 'B V']:
  """Log-probability of each item: of its choices, all together."""
  scores_BxVxT = log_BxMxW[:, tree.path_nodes, tree.path_letters]
  is_chosen: Bool[Array, '1 V T'] = (tree.path_letters >= 0)[None]
  return jnp.where(is_chosen, scores_BxVxT, 0).sum(axis=-1)
