"""Decoding with T5: ranks the item names of a catalogue, or writes free text.

All functions run under jit. When they decode token by token, a cache keeps the
keys and values of the earlier tokens.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from hyperrec.systems.p5 import prefix_tree, t5

PrefixTree = prefix_tree.PrefixTree


class Beams(NamedTuple):
  """The item names that beam search found, best first.

  Attributes:
    items: int32 [B, K], item indices; -1 where fewer than K were found.
    scores: float32 [B, K], log-probabilities of the names; -inf where fewer
      than K were found.
  """

  items: Int[Array, 'B K']
  scores: Float[Array, 'B K']


@functools.partial(jax.jit, static_argnames='config')
def score_catalogue(
  params: Any, source: tuple, tree: PrefixTree, *, config: t5.T5Config
) -> Float[Array, 'B V']:
  """Exact log-probabilities of the names of all items.

  The decoder runs once for each node of the tree, all nodes in parallel.

  Args:
    params: parameters of `t5.T5`.
    source: prompts as `prompts.Batch.source`, arrays [B, S].
    tree: prefix tree of the item names.
    config: sizes of the network.
  """
  return t5.T5(config).apply(
    {'params': params}, source, tree, method=_score_catalogue
  )


def _score_catalogue(model, source, tree):
  memory = model.remember(*source)
  num_rows = len(source[0])
  tokens_BxM = jnp.broadcast_to(tree.tokens[None], (num_rows, len(tree.tokens)))
  place_T = jnp.arange(tree.ancestors.shape[1])
  distance_MxT = place_T[None] - tree.depth[:, None]
  bias_MxHx1xT = model.bias(distance_MxT[:, None])
  allowed_BxMx1xT = jnp.broadcast_to(
    (distance_MxT <= 0)[None, :, None], (*tokens_BxM.shape, 1, len(place_T))
  )

  def look(layer, shown):
    del layer
    own = t5.KeysValues(*(part[:, tree.ancestors] for part in shown))
    return t5.View(own, allowed_BxMx1xT, bias_MxHx1xT)

  hidden_BxMxD, _ = model.decode(tokens_BxM, memory, look)
  logits_BxMxW = model.logits(hidden_BxMxD, tree.alphabet)
  children_BxMxW = jnp.broadcast_to(tree.children[None], logits_BxMxW.shape)
  log_BxMxW = prefix_tree.log_choices(logits_BxMxW, children_BxMxW)
  return prefix_tree.item_scores(tree, log_BxMxW)


@functools.partial(jax.jit, static_argnames=('config', 'num_beams'))
def beam_search(
  params: Any,
  source: tuple,
  tree: PrefixTree,
  *,
  config: t5.T5Config,
  num_beams: int,
) -> Beams:
  """Searches the most probable item names with a beam of K.

  Only names of the catalogue are found, with the scores of `score_catalogue`. A
  complete name stays in the beam with its final score until K better ones push
  it out.

  Args:
    params: parameters of `t5.T5`.
    source: prompts as `prompts.Batch.source`, arrays [B, S].
    tree: prefix tree of the item names.
    config: sizes of the network.
    num_beams: K, the width of the beam and the number of names to return.
  """
  search = functools.partial(_beam_search, num_beams=num_beams)
  return t5.T5(config).apply({'params': params}, source, tree, method=search)


class _Search(NamedTuple):
  """State of the search: each beam is at a node, or at M + a found item."""

  at: Int[Array, 'B K']
  scores: Float[Array, 'B K']
  cache: tuple[t5.KeysValues, ...]


def _beam_search(model, source, tree, *, num_beams):
  memory = model.remember(*source)
  num_rows, num_nodes = len(source[0]), len(tree.tokens)
  # The search starts with one beam at the root.
  search = _Search(
    jnp.zeros((num_rows, 1), jnp.int32),
    jnp.zeros((num_rows, 1)),
    _empty_cache(model.config, (num_rows, 1), tree.num_steps),
  )
  # A name has few tokens, so this loop is unrolled.
  for step in range(tree.num_steps):
    search = _beam_step(model, memory, tree, search, step=step, most=num_beams)
  is_item = (search.at >= num_nodes) & jnp.isfinite(search.scores)
  lacking = (0, 0), (0, num_beams - search.at.shape[1])
  return Beams(
    jnp.pad(
      jnp.where(is_item, search.at - num_nodes, -1), lacking, constant_values=-1
    ),
    jnp.pad(
      jnp.where(is_item, search.scores, -jnp.inf),
      lacking,
      constant_values=-jnp.inf,
    ),
  )


def _beam_step(model, memory, tree, search, *, step, most):
  num_rows, num_nodes = len(search.at), len(tree.tokens)
  is_found_BxK = search.at >= num_nodes
  node_BxK = jnp.where(is_found_BxK, 0, search.at)
  hidden_BxKxD, cache = _decode_one(
    model, tree.tokens[node_BxK], memory, search.cache, step
  )
  logits_BxKxW = model.logits(hidden_BxKxD, tree.alphabet)
  children_BxKxW = tree.children[node_BxK]
  log_BxKxW = prefix_tree.log_choices(logits_BxKxW, children_BxKxW)
  log_BxKxW = jnp.where(is_found_BxK[..., None], -jnp.inf, log_BxKxW)
  stay_BxKx1 = jnp.where(is_found_BxK, 0.0, -jnp.inf)[..., None]
  log_BxKxX = jnp.concatenate([log_BxKxW, stay_BxKx1], axis=-1)
  to_BxKxX = jnp.concatenate([children_BxKxW, search.at[..., None]], axis=-1)
  total = (search.scores[..., None] + log_BxKxX).reshape(num_rows, -1)
  scores_BxK, chosen_BxK = jax.lax.top_k(total, min(most, total.shape[1]))
  parent_BxK = chosen_BxK // log_BxKxX.shape[-1]
  return _Search(
    jnp.take_along_axis(to_BxKxX.reshape(num_rows, -1), chosen_BxK, axis=1),
    scores_BxK,
    jax.tree.map(
      lambda part: jnp.take_along_axis(
        part, parent_BxK[..., None, None, None], axis=1
      ),
      cache,
    ),
  )


def _empty_cache(config, leading, steps) -> tuple[t5.KeysValues, ...]:
  nothing = jnp.zeros((*leading, steps, config.num_heads, config.d_kv))
  return (t5.KeysValues(nothing, nothing),) * config.num_decoder_layers


def _decode_one(model, tokens_BxK, memory, cache, step):
  """Hidden states [B, K, D] of one more token of K texts, and the new cache."""
  steps = cache[0].keys.shape[2]
  distance_1xT = jnp.arange(steps)[None] - step
  bias_Hx1xT = model.bias(distance_1xT)
  allowed = jnp.broadcast_to(distance_1xT <= 0, (*tokens_BxK.shape, 1, steps))

  def look(layer, shown):
    kept = t5.KeysValues(
      *(
        jax.lax.dynamic_update_slice_in_dim(old, new[:, :, None], step, axis=2)
        for old, new in zip(cache[layer], shown, strict=True)
      )
    )
    return t5.View(kept, allowed, bias_Hx1xT)

  return model.decode(tokens_BxK, memory, look)


@functools.partial(jax.jit, static_argnames=('config', 'length', 'end'))
def greedy(
  params: Any, source: tuple, *, config: t5.T5Config, length: int, end: int
) -> Int[Array, 'B T']:
  """Writes texts of the most probable token at each position.

  Args:
    params: parameters of `t5.T5`.
    source: prompts as `prompts.Batch.source`, arrays [B, S].
    config: sizes of the network.
    length: T, the largest number of tokens of a text.
    end: token that ends a text; 0 fills the positions after it.
  """
  write = functools.partial(_greedy, length=length, end=end)
  return t5.T5(config).apply({'params': params}, source, method=write)


def _greedy(model, source, *, length, end):
  memory = model.remember(*source)
  num_rows = len(source[0])

  def write_one(carry, step):
    token_B, is_done_B, cache = carry
    hidden_Bx1xD, cache = _decode_one(
      model, token_B[:, None], memory, cache, step
    )
    best_B = jnp.argmax(model.logits(hidden_Bx1xD[:, 0]), axis=-1)
    token_B = jnp.where(is_done_B, 0, best_B).astype(jnp.int32)
    return (token_B, is_done_B | (token_B == end), cache), token_B

  start = (
    jnp.zeros(num_rows, jnp.int32),
    jnp.zeros(num_rows, bool),
    _empty_cache(model.config, (num_rows, 1), length),
  )
  _, tokens_TxB = jax.lax.scan(write_one, start, jnp.arange(length))
  return tokens_TxB.T
