"""The network and the losses of VQ-Rec.

Hou, He, McAuley & Zhao: "Learning vector-quantized item representation for
transferable sequential recommenders" (WWW 2023, arXiv 2210.12316). The vector
of an item is the mean of the embeddings of its codes. Since the codes come from
text (`product_quantizer`), a new item has a vector without training.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hyperrec.nn import transformer

_TINY = 1e-12


class SequenceEncoder(nn.Module):
  """A causal transformer (post-LN) over the item vectors of histories.

  Attributes:
    length: L, the largest number of items of a history.
    num_layers: number of transformer blocks.
    num_heads: H, the number of attention heads; must divide D.
    hidden_dim: width of the feed-forward network of a block.
    dropout: share of values that dropout sets to 0 in training, in the input
      and in the blocks.
    from_the_end: whether the last item of a history is at position L - 1;
      otherwise, its first item is at position 0.
  """

  length: int = 50
  num_layers: int = 2
  num_heads: int = 2
  hidden_dim: int = 256
  dropout: float = 0.5
  from_the_end: bool = False

  @nn.compact
  def __call__(
    self,
    x_BxLxD: Float[Array, 'B L D'],
    segments_BxL: Int[Array, 'B L'],
    places_BxL: Int[Array, 'B L'],
    *,
    train: bool = False,
  ) -> Float[Array, 'B L D']:
    """Hidden states that predict the next item at each position.

    Args:
      x_BxLxD: vectors of the items.
      segments_BxL: number of the sequence that each position of a row belongs
        to, from 1; 0 is padding.
      places_BxL: position within the sequence, in 0..L-1.
      train: whether dropout is applied, with the rng "dropout".
    """
    places_LxD = self.param(
      'places', nn.initializers.normal(0.02), (self.length, x_BxLxD.shape[-1])
    )
    x_BxLxD = nn.LayerNorm(name='input_norm')(x_BxLxD + places_LxD[places_BxL])
    x_BxLxD = nn.Dropout(self.dropout)(x_BxLxD, deterministic=not train)
    allowed_BxLxL = transformer.segment_mask(segments_BxL)
    for i in range(self.num_layers):
      block = transformer.Block(
        self.num_heads,
        self.hidden_dim,
        norm_first=False,
        dropout=self.dropout,
        name=f'block_{i}',
      )
      x_BxLxD = block(x_BxLxD, allowed_BxLxL, train=train)
    return x_BxLxD


def init(
  encoder: SequenceEncoder,
  key: jax.Array,
  *,
  num_groups: int,
  num_codes: int,
  dim: int,
) -> dict[str, Any]:
  """Draws the initial parameters.

  Args:
    encoder: the network.
    key: typed key.
    num_groups: G, the number of codes of an item.
    num_codes: M, the number of codes in each group.
    dim: D, the width of the embeddings.

  Returns:
    `codes`, the code embeddings [G, M, D], and `encoder`, the parameters of the
    network.
  """
  codes_key, encoder_key = jax.random.split(key)
  shape = num_groups, num_codes, dim
  row = jnp.zeros((1, encoder.length), jnp.int32)
  x = jnp.zeros((*row.shape, dim))
  return {
    # The mean of G of them then has the scale of the position embeddings.
    'codes': 0.02 * num_groups**0.5 * jax.random.normal(codes_key, shape),
    'encoder': encoder.init(encoder_key, x, row, row)['params'],
  }


def embed(
  table_GxMxD: Float[Array, 'G M D'], codes_NxG: Int[Array, 'N G']
) -> Float[Array, 'N D']:
  """Item vectors: the mean of the embeddings of their codes."""

  # The groups are added one by one; all at once would need memory for N G D
  # numbers.
  def add(total_NxD, group):
    table_MxD, codes_N = group
    return total_NxD + table_MxD[codes_N], None

  zeros_NxD = jnp.zeros((len(codes_NxG), table_GxMxD.shape[-1]))
  total_NxD, _ = jax.lax.scan(add, zeros_NxD, (table_GxMxD, codes_NxG.T))
  return total_NxD / len(table_GxMxD)


def unit(x: Float[Array, '*N D']) -> Float[Array, '*N D']:
  """Scales vectors to length 1; vectors of zeros stay as they are."""
  squared = jnp.square(x).sum(axis=-1, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(squared, _TINY))


def catalogue_loss(
  encoder: SequenceEncoder,
  params: Any,
  rows: Any,
  codes_VxG: Int[Array, 'V G'],
  key: jax.Array,
  *,
  temperature: float,
) -> Float[Array, '']:
  """Mean cross-entropy of the next items over the whole catalogue.

  The logits are cosines divided by the temperature (paper, section 3.3).

  Args:
    encoder: the network.
    params: parameters; see `init`.
    rows: `inputs`, `targets`, `segments` and `places`, int [B, L] each.
    codes_VxG: codes of the catalogue.
    key: key of dropout.
    temperature: tau.
  """
  table_VxD = embed(params['codes'], codes_VxG)
  hidden_NxD = _hidden(encoder, params, table_VxD[rows.inputs], rows, key)
  # Scaling, and picking the targets, before the product saves one pass over
  # N V numbers.
  hidden_NxD = hidden_NxD / temperature
  unit_VxD = unit(table_VxD)
  targets_NxD = unit_VxD[rows.targets.reshape(-1)]
  nll_N = jax.nn.logsumexp(hidden_NxD @ unit_VxD.T, axis=-1)
  nll_N -= (hidden_NxD * targets_NxD).sum(axis=-1)
  return _mean_of_real(nll_N, rows)


def contrastive_loss(
  encoder: SequenceEncoder,
  params: Any,
  rows: Any,
  codes_VxG: Int[Array, 'V G'],
  key: jax.Array,
  *,
  temperature: float,
  replaced: float,
) -> Float[Array, '']:
  """Mean cross-entropy of the next items against negatives of the batch.

  The loss is equation 5 of the paper. The negatives of a position are the
  targets of the other users of the batch, from all domains, and one fake item
  ("semi-synthetic" in the paper). A fake item has the codes of the target, but
  each code is replaced with probability rho. Three kinds of candidates are
  masked, since they are no negatives: copies of the target in the batch (the
  published code gives them a logit of 0), other items of the same user, and
  fake items with all codes of the target.

  Args:
    encoder: the network.
    params: parameters; see `init`.
    rows: `inputs`, `targets`, `segments` and `places`, int [B, L] each.
    codes_VxG: codes of all items that the rows refer to.
    key: key of dropout and fake items.
    temperature: tau.
    replaced: rho, the probability that a code is replaced; with 0, there are
      no fake items.
  """
  dropout_key, fake_key = jax.random.split(key)
  B, L = rows.inputs.shape
  targets_N = rows.targets.reshape(-1)
  codes_NxG = codes_VxG[targets_N]
  fake_NxG = fake_codes(fake_key, codes_NxG, params['codes'].shape[1], replaced)
  inputs_NxG = codes_VxG[rows.inputs.reshape(-1)]
  both_NxG = jnp.concatenate([inputs_NxG, codes_NxG, fake_NxG])
  x_NxD, targets_NxD, fakes_NxD = jnp.split(embed(params['codes'], both_NxG), 3)
  hidden_NxD = _hidden(
    encoder, params, x_NxD.reshape(B, L, -1), rows, dropout_key
  )
  logits_NxN = hidden_NxD @ unit(targets_NxD).T / temperature
  fake_N = (hidden_NxD * unit(fakes_NxD)).sum(axis=-1) / temperature
  is_fake_N = (fake_NxG != codes_NxG).any(axis=1)
  logits_NxN = jnp.where(is_negative(rows), logits_NxN, -jnp.inf)
  target_N = (hidden_NxD * unit(targets_NxD)).sum(axis=-1) / temperature
  others_Nx2 = jnp.stack(
    [target_N, jnp.where(is_fake_N, fake_N, -jnp.inf)], axis=1
  )
  logits_NxC = jnp.concatenate([logits_NxN, others_Nx2], axis=1)
  nll_N = jax.nn.logsumexp(logits_NxC, axis=-1) - target_N
  return _mean_of_real(nll_N, rows)


def is_negative(rows: Any) -> Bool[Array, 'N N']:
  """True at [i, j] if the target of position j is a negative of position i."""
  B, L = rows.targets.shape
  row_N = jnp.repeat(jnp.arange(B, dtype=jnp.int32), L)
  segments_N, targets_N = rows.segments.reshape(-1), rows.targets.reshape(-1)

  def equal(x_N):
    return x_N[:, None] == x_N[None]

  same_user_NxN = equal(row_N) & equal(segments_N)
  return ~same_user_NxN & ~equal(targets_N) & (segments_N > 0)[None]


def fake_codes(
  key: jax.Array,
  codes_NxG: Int[Array, 'N G'],
  num_codes: int,
  replaced: float,
) -> Int[Array, 'N G']:
  """Codes of fake items: each code is replaced with probability `replaced`.

  The new code is drawn uniformly from all codes of the group (paper, section
  3.2.2). A fake item need not be any real item, but it is similar enough to the
  target to be a hard negative.

  Args:
    key: key of all draws.
    codes_NxG: codes of the targets.
    num_codes: M, the number of codes in each group.
    replaced: rho, the probability that a code is replaced.
  """
  which_key, code_key = jax.random.split(key)
  is_replaced = jax.random.bernoulli(which_key, replaced, codes_NxG.shape)
  drawn = jax.random.randint(code_key, codes_NxG.shape, 0, num_codes)
  return jnp.where(is_replaced, drawn, codes_NxG)


def aligned(
  table_GxMxD: Float[Array, 'G M D'], weights_GxMxM: Float[Array, 'G M M']
) -> Float[Array, 'G M D']:
  """Makes embeddings for the codes of another index (paper, section 3.3).

  Args:
    table_GxMxD: code embeddings of the source.
    weights_GxMxM: a permutation for each group, soft while it is learned; row m
      gives the weights of the source's embeddings for code m.
  """
  return jnp.einsum('gmn,gnd->gmd', weights_GxMxM, table_GxMxD)


def last_hidden(
  encoder: SequenceEncoder,
  params: Any,
  x_BxLxD: Float[Array, 'B L D'],
  sizes_B: Int[Array, ' B'],
) -> Float[Array, 'B D']:
  """Unit vectors that predict the next item of each history.

  They are the hidden states of the last items, scaled to length 1.

  Args:
    encoder: the network.
    params: parameters; see `init`.
    x_BxLxD: vectors of the items, from index 0 on.
    sizes_B: number of items of each history, at least 1.
  """
  B, L, _ = x_BxLxD.shape
  segments_BxL, places_BxL = transformer.one_sequence_a_row(
    sizes_B, L, encoder.length, from_the_end=encoder.from_the_end
  )
  hidden_BxLxD = encoder.apply(
    {'params': params['encoder']}, x_BxLxD, segments_BxL, places_BxL
  )
  return unit(hidden_BxLxD[jnp.arange(B), sizes_B - 1])


def forward_flops(
  encoder: SequenceEncoder,
  *,
  num_rows: int,
  dim: int,
  num_candidates: int,
  num_looked_up: int,
  num_groups: int,
) -> float:
  """Operations of a forward pass over B rows of L positions, with look-ups.

  See `transformer.forward_flops`.

  Args:
    encoder: the network, which gives L and the sizes of its blocks.
    num_rows: B, the number of rows.
    dim: D, the width of the embeddings.
    num_candidates: number of items that each position scores.
    num_looked_up: number of items whose vectors are made from codes.
    num_groups: G, the number of codes of an item.
  """
  blocks = transformer.forward_flops(
    num_rows,
    encoder.length,
    num_candidates,
    dim=dim,
    hidden_dim=encoder.hidden_dim,
    num_layers=encoder.num_layers,
  )
  return blocks + num_looked_up * num_groups * dim


def _hidden(encoder, params, x_BxLxD, rows, key) -> Float[Array, 'N D']:
  hidden_BxLxD = encoder.apply(
    {'params': params['encoder']},
    x_BxLxD,
    rows.segments,
    rows.places,
    train=True,
    rngs={'dropout': key},
  )
  return unit(hidden_BxLxD).reshape(-1, hidden_BxLxD.shape[-1])


def _mean_of_real(nll_N, rows) -> Float[Array, '']:
  is_real_N = rows.segments.reshape(-1) > 0
  return jnp.where(is_real_N, nll_N, 0).sum() / is_real_N.sum()
