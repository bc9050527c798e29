"""A prefix tree of the tokens of item names.

A name is decoded token by token. At each node of the tree, only its children
may follow, and their probabilities are normalised to sum to 1. The
probabilities of all items therefore also sum to 1. A branch that leads to a
single item is cut off, because no choice is left there.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

# Largest number of entries of the table of children: 1 GiB of int32.
_MOST_CHILDREN = 2**28


class PrefixTree(NamedTuple):
  """A prefix tree of V names with M nodes.

  A node is a prefix that several names share; node 0 is the root, the empty
  prefix. A node has only one child if all its names continue with the same
  token.

  Attributes:
    tokens: int32 [M], the last token of each prefix; 0, the start token of the
      decoder, at the root.
    ancestors: int32 [M, T], the nodes from the root to each node, the node
      itself included; 0 fills the rest.
    depth: int32 [M], number of tokens of each prefix.
    alphabet: int32 [W], all tokens that lead to a node or an item.
    children: int32 [M, W], what each token leads to: a node, or M + an item; -1
      if the token cannot follow.
    path_nodes: int32 [V, T], the nodes at which the tokens of each name are
      chosen; 0 fills the rest.
    path_letters: int32 [V, T], the positions in `alphabet` of the tokens that
      are chosen there; -1 fills the rest.
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
    """V, the number of items."""
    return self.path_nodes.shape[0]

  @property
  def num_steps(self) -> int:
    """T, the largest number of choices that complete a name."""
    return self.path_nodes.shape[1]


def build(names: Sequence[Sequence[int]], end: int) -> PrefixTree:
  """Builds the prefix tree of item names.

  Args:
    names: [V], tokens of each name.
    end: token that ends a name.

  Raises:
    ValueError: there is no name, a name is empty, two items share a name, or
      the table of children would be too large.
  """
  whole = [(*map(int, name), end) for name in names]
  _check(whole)
  nodes, paths = _grow(whole)
  letters = np.unique([token for path in paths for _, token in path])
  place = {int(token): i for i, token in enumerate(letters)}
  if len(nodes) * len(letters) > _MOST_CHILDREN:
    raise ValueError(
      f'{len(whole)} names make a tree of {len(nodes)} nodes and '
      f'{len(letters)} tokens, which is too large; shorten the names'
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
  """The node of each prefix that several names share, and each item's path."""
  count = {}
  for name in whole:
    for size in range(len(name) + 1):
      count[name[:size]] = count.get(name[:size], 0) + 1
  count[()] = 2  # The root is a node even if there is only one name.
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
    raise ValueError('a prefix tree needs at least one name; there is none')
  seen = {}
  for item, name in enumerate(whole):
    if len(name) == 1:
      raise ValueError(
        f'the name of item {item} has no token; give every item a name'
      )
    if name in seen:
      raise ValueError(
        f'items {seen[name]} and {item} have the same name; give every item a '
        'name of its own'
      )
    seen[name] = item


def log_choices(
  logits: Float[Array, '*b W'], children: Int[Array, '*b W']
) -> Float[Array, '*b W']:
  """Log-probabilities of each child among its siblings; -inf for no child.

  Args:
    logits: logits of the tokens of the alphabet at some nodes.
    children: rows of `PrefixTree.children` of the same nodes.
  """
  masked = jnp.where(children >= 0, logits, -jnp.inf)
  return jax.nn.log_softmax(masked, axis=-1)


def item_scores(
  tree: PrefixTree, log_BxMxW: Float[Array, 'B M W']
) -> Float[Array, 'B V']:
  """Log-probability of each item: the sum over the choices on its path.

  Args:
    tree: prefix tree of the item names.
    log_BxMxW: log-probabilities from `log_choices` at all nodes.
  """
  scores_BxVxT = log_BxMxW[:, tree.path_nodes, tree.path_letters]
  is_chosen: Bool[Array, '1 V T'] = (tree.path_letters >= 0)[None]
  return jnp.where(is_chosen, scores_BxVxT, 0).sum(axis=-1)
