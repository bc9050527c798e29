"""SASRec: a causal Transformer over a user's items, in the order of time.

Kang & McAuley: "Self-attentive sequential recommendation" (ICDM 2018, arXiv
1808.09781). The loss covers the whole catalogue instead of one negative item:
the single negative explains SASRec's weak published results (Klenitskiy &
Vasilev, RecSys 2023, arXiv 2309.07602; Petrov & Macdonald, RecSys 2023).
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hyperrec.nn import transformer


class Block(nn.Module):
  """A transformer block as in the code of SASRec's authors.

  Only the queries are normalised, and the output of attention is added to the
  normalised queries, not to the block's input. An item's own embedding, which
  is small at first, then counts from the first step on. In a pre-LN block the
  output of attention is much larger than the embedding and hides it.

  Attributes:
    num_heads: H; must divide D.
    hidden_dim: Width of the feed-forward network.
    dropout: Share of the attention weights, and of the values in the
      feed-forward network, that dropout sets to 0 in training.
  """

  num_heads: int
  hidden_dim: int
  dropout: float

  @nn.compact
  def __call__(
    self,
    x_BxLxD: Float[Array, 'B L D'],
    allowed_BxLxL: Bool[Array, 'B L L'],
    num_empty_BxL: Int[Array, 'B L'] | None,
    *,
    train: bool = False,
  ) -> Float[Array, 'B L D']:
    """Updates each position from the positions that it may attend to.

    Args:
      x_BxLxD: values at each position.
      allowed_BxLxL: True where the position of the second axis may attend to
        that of the third.
      num_empty_BxL: number of padding positions that each position attends to
        in addition; None for none.
      train: apply dropout, with the random stream `dropout`.
    """
    attend = transformer.Attention(
      self.num_heads, self.dropout, name='attention'
    )
    drop = nn.Dropout(self.dropout, deterministic=not train)
    q_BxLxD = nn.LayerNorm(name='query_norm')(x_BxLxD)
    x_BxLxD = q_BxLxD + attend(
      x_BxLxD,
      allowed_BxLxL,
      queries_BxLxD=q_BxLxD,
      num_empty_BxL=num_empty_BxL,
      train=train,
    )
    x_BxLxD = nn.LayerNorm(name='net_norm')(x_BxLxD)
    hidden_BxLxF = nn.relu(nn.Dense(self.hidden_dim, name='expand')(x_BxLxD))
    contract = nn.Dense(x_BxLxD.shape[-1], name='contract')
    return x_BxLxD + drop(contract(drop(hidden_BxLxF)))


class SASRec(nn.Module):
  """Item and position embeddings, causal blocks and a final layer norm.

  The score of an item is the inner product of the output and the item's input
  embedding: input and output embeddings are the same table.

  Attributes:
    num_items: V.
    length: L, the longest history.
    dim: D.
    num_layers: Number of blocks.
    num_heads: H; must divide D.
    hidden_dim: Width of the feed-forward network of a block.
    dropout: Share of the embeddings, and of the values in the blocks, that
      dropout sets to 0 in training.
    from_the_end: Whether the last item of a history is at position L - 1;
      otherwise its first item is at position 0.
    sees_padding: Whether attention also covers the padding before the first
      item, as in eSASRec's benchmark. In a short history, the other items then
      count less and the last item itself counts more.
  """

  num_items: int
  length: int = 50
  dim: int = 64
  num_layers: int = 2
  num_heads: int = 2
  hidden_dim: int = 256
  dropout: float = 0.5
  from_the_end: bool = False
  sees_padding: bool = False

  @nn.compact
  def __call__(
    self,
    items_BxL: Int[Array, 'B L'],
    segments_BxL: Int[Array, 'B L'],
    places_BxL: Int[Array, 'B L'],
    *,
    train: bool = False,
  ) -> Float[Array, 'B L D']:
    """The output at each position, from which the next item is predicted.

    Args:
      items_BxL: items; at padding, any number from 0 to V - 1.
      segments_BxL: number of the sequence to which a position belongs; 0 is
        padding.
      places_BxL: position within its sequence, 0 to L - 1.
      train: apply dropout, with the random stream `dropout`.
    """
    init = nn.initializers.xavier_normal()
    table_VxD = self.param('items', init, (self.num_items, self.dim))
    places_LxD = self.param('places', init, (self.length, self.dim))
    x_BxLxD = table_VxD[items_BxL] + places_LxD[places_BxL]
    x_BxLxD = nn.Dropout(self.dropout)(x_BxLxD, deterministic=not train)
    allowed_BxLxL = transformer.segment_mask(segments_BxL)
    num_empty_BxL = None
    if self.sees_padding:
      num_empty_BxL = first_places(segments_BxL, places_BxL)
    for i in range(self.num_layers):
      block = Block(
        self.num_heads, self.hidden_dim, self.dropout, name=f'block_{i}'
      )
      x_BxLxD = block(x_BxLxD, allowed_BxLxL, num_empty_BxL, train=train)
    return nn.LayerNorm(name='norm')(x_BxLxD)


def first_places(
  segments_BxL: Int[Array, 'B L'], places_BxL: Int[Array, 'B L']
) -> Int[Array, 'B L']:
  """The place of the first item in the sequence of each position."""
  same_BxLxL = segments_BxL[:, :, None] == segments_BxL[:, None, :]
  far = jnp.iinfo(places_BxL.dtype).max
  return jnp.where(same_BxLxL, places_BxL[:, None, :], far).min(axis=-1)


class Negatives(NamedTuple):
  """Negative items, drawn with replacement.

  Attributes:
    items: The drawn items.
    log_q: Log-probability with which each of them is drawn; -log M for all
      items leaves the logits unchanged.
  """

  items: Int[Array, ' M']
  log_q: Float[Array, ' M']


def draw_negatives(
  key: jax.Array, counts_V: Float[Array, ' V'], num: int
) -> Negatives:
  """Draws `num` items in proportion to their count plus one."""
  weights_V = counts_V + 1.0
  log_q_V = jnp.log(weights_V) - jnp.log(weights_V.sum())
  cumulated_V = jnp.cumsum(weights_V)
  draws_M = jax.random.uniform(key, (num,)) * cumulated_V[-1]
  items_M = jnp.searchsorted(cumulated_V, draws_M, side='right')
  items_M = jnp.minimum(items_M, len(counts_V) - 1)
  return Negatives(items_M, log_q_V[items_M])


def draw_uniform_negatives(
  key: jax.Array, num_items: int, num: int
) -> Negatives:
  """Draws `num` items uniformly; their logits are not corrected.

  The softmax then runs over M items instead of V, as in the well-trained SASRec
  of Klenitskiy & Vasilev (arXiv 2309.07602). The loss is near 0 as soon as the
  target ranks first among the M items, so the gradient is weaker.
  """
  items_M = jax.random.randint(key, (num,), 0, num_items)
  return Negatives(items_M, jnp.full(num, -jnp.log(num)))


def next_item_nll(
  hidden_NxD: Float[Array, 'N D'],
  table_VxD: Float[Array, 'V D'],
  targets_N: Int[Array, ' N'],
  negatives: Negatives | None = None,
) -> Float[Array, ' N']:
  """-log softmax of each target, over the catalogue or over M negatives.

  With M negatives, the sum over the other items is replaced by an unbiased
  estimate, sum_j exp(s_j) / (M q_j), over the draws that are not the target
  itself. This is the logQ correction (Bengio & Senecal, 2008), which is applied
  to the negatives only.

  Args:
    hidden_NxD: outputs of the network at N positions.
    table_VxD: item embeddings.
    targets_N: the item that follows each position.
    negatives: drawn items; None computes the full softmax.
  """
  scores_N = jnp.einsum('nd,nd->n', hidden_NxD, table_VxD[targets_N])
  if negatives is None:
    return jax.nn.logsumexp(hidden_NxD @ table_VxD.T, axis=-1) - scores_N
  logits_NxM = hidden_NxD @ table_VxD[negatives.items].T
  log_expected_M = negatives.log_q + jnp.log(len(negatives.items))
  logits_NxM = jnp.where(
    negatives.items[None] == targets_N[:, None],
    -jnp.inf,
    logits_NxM - log_expected_M[None],
  )
  logits_NxM = jnp.concatenate([scores_N[:, None], logits_NxM], axis=1)
  return jax.nn.logsumexp(logits_NxM, axis=-1) - scores_N


def next_item_loss(
  model: SASRec,
  params: Any,
  rows: Any,
  key: jax.Array,
  *,
  counts_V: Float[Array, ' V'],
  num_negatives: int = 0,
  logq: bool = True,
  item_dropout: float = 0.0,
) -> Float[Array, '']:
  """The training loss: the mean `next_item_nll` without padding positions.

  Args:
    model: the network.
    params: its parameters.
    rows: packed rows: `inputs`, `targets`, `segments` and `places`, each int
      [B, L].
    key: random key for dropout and negatives.
    counts_V: number of interactions of each item.
    num_negatives: number of negatives drawn for the batch; 0 is the full
      softmax.
    logq: draw negatives by popularity and correct for it; otherwise draw them
      uniformly, without a correction.
    item_dropout: share of the values in the item embeddings that dropout sets
      to 0. The same values are dropped in inputs, targets and negatives.
  """
  dropout_key, negatives_key, item_key = jax.random.split(key, 3)
  table_VxD = params['items']
  if item_dropout:
    kept = jax.random.bernoulli(item_key, 1 - item_dropout, table_VxD.shape)
    table_VxD = jnp.where(kept, table_VxD / (1 - item_dropout), 0)
  hidden_BxLxD = model.apply(
    {'params': {**params, 'items': table_VxD}},
    rows.inputs,
    rows.segments,
    rows.places,
    train=True,
    rngs={'dropout': dropout_key},
  )
  negatives = None
  if num_negatives and logq:
    negatives = draw_negatives(negatives_key, counts_V, num_negatives)
  elif num_negatives:
    negatives = draw_uniform_negatives(
      negatives_key, model.num_items, num_negatives
    )
  nll_N = next_item_nll(
    hidden_BxLxD.reshape(-1, model.dim),
    table_VxD,
    rows.targets.reshape(-1),
    negatives,
  )
  is_real_N = rows.segments.reshape(-1) > 0
  return jnp.where(is_real_N, nll_N, 0).sum() / is_real_N.sum()


def last_hidden(
  model: SASRec,
  params: Any,
  items_BxL: Int[Array, 'B L'],
  sizes_B: Int[Array, ' B'],
) -> Float[Array, 'B D']:
  """The output at the last item of each history.

  Args:
    model: the network.
    params: its parameters.
    items_BxL: histories, which start at column 0.
    sizes_B: number of items in each history, at least 1.
  """
  segments_BxL, places_BxL = transformer.one_sequence_a_row(
    sizes_B, items_BxL.shape[1], model.length, from_the_end=model.from_the_end
  )
  hidden_BxLxD = model.apply(
    {'params': params}, items_BxL, segments_BxL, places_BxL
  )
  return hidden_BxLxD[jnp.arange(sizes_B.shape[0]), sizes_B - 1]


def forward_flops(
  model: SASRec, num_rows: int, length: int, num_candidates: int
) -> float:
  """Operations of a forward pass; see `transformer.forward_flops`.

  Args:
    model: the network, of which only the sizes count.
    num_rows: B.
    length: number of positions in a row.
    num_candidates: number of items that each position scores.
  """
  return transformer.forward_flops(
    num_rows,
    length,
    num_candidates,
    dim=model.dim,
    hidden_dim=model.hidden_dim,
    num_layers=model.num_layers,
  )


def keep_all_but_items(source: Any, fresh: Any) -> Any:
  """The parameters of `source` with the item embeddings of `fresh`."""
  return {**source, 'items': fresh['items']}
