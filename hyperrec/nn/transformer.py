"""Transformer blocks, which all models of sequences share.

Vaswani et al.: "Attention is all you need" (NeurIPS 2017, arXiv 1706.03762).
The attention mask is an argument, so that the same block serves encoders,
causal models and padded batches.

Shapes: B sequences, L positions, Q queries, K keys, H heads, E dimensions of
each head.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

gelu = functools.partial(jax.nn.gelu, approximate=False)


def attention_mask(
  mask_BxL: Bool[Array, 'B L'], *, causal: bool = False
) -> Bool[Array, 'B L L']:
  """Attention mask of padded sequences.

  Args:
    mask_BxL: True where a sequence has an entry, False at padding.
    causal: whether a position attends only to itself and earlier positions.

  Returns:
    [b, q, k] is True where position q of sequence b may attend to position k.
  """
  B, L = mask_BxL.shape
  allowed_BxLxL = jnp.broadcast_to(mask_BxL[:, None, :], (B, L, L))
  return jnp.tril(allowed_BxLxL) if causal else allowed_BxLxL


def segment_mask(segments_BxL: Int[Array, 'B L']) -> Bool[Array, 'B L L']:
  """Causal attention mask of rows that hold several sequences side by side.

  Args:
    segments_BxL: number of the sequence at each position; 0 is padding.

  Returns:
    [b, q, k] is True where position q of row b may attend to position k: both
    belong to the same sequence, and k is not after q.
  """
  same_BxLxL = segments_BxL[:, :, None] == segments_BxL[:, None, :]
  return attention_mask(segments_BxL > 0, causal=True) & same_BxLxL


def one_sequence_a_row(
  sizes_B: Int[Array, ' B'],
  num_positions: int,
  num_places: int,
  *,
  from_the_end: bool,
) -> tuple[Int[Array, 'B L'], Int[Array, 'B L']]:
  """Segments and places of rows that hold one sequence each.

  A sequence starts at position 0 of its row. Its places select the rows of the
  position embedding.

  Args:
    sizes_B: length of each sequence, at least 1 and at most `num_places`.
    num_positions: length L of a row.
    num_places: number of rows of the position embedding.
    from_the_end: whether the end of a sequence has the last place; otherwise
      its start has place 0.

  Returns:
    Segments, 1 where a sequence has an entry and 0 at padding; and places.
  """
  place_1xL = jnp.arange(num_positions, dtype=jnp.int32)[None]
  segments_BxL = (place_1xL < sizes_B[:, None]).astype(jnp.int32)
  first_B = num_places - sizes_B if from_the_end else jnp.zeros_like(sizes_B)
  return segments_BxL, jnp.minimum(first_B[:, None] + place_1xL, num_places - 1)


def mix(
  q_QxHxE: Float[Array, '*b Q H E'],
  k_KxHxE: Float[Array, '*b K H E'],
  v_KxHxE: Float[Array, '*b K H E'],
  allowed_QxK: Bool[Array, '*b Q K'],
  *,
  bias_HxQxK: Float[Array, '*c H Q K'] | None = None,
  drop: Callable[[Array], Array] = lambda weights: weights,
) -> Float[Array, '*b Q H E']:
  """Dot-product attention: each query's weighted mean of the values (eq. 1).

  The caller scales the queries. A query that may not attend to any key gets
  the unweighted mean of all values.

  Args:
    q_QxHxE: queries, already scaled.
    k_KxHxE: keys.
    v_KxHxE: values.
    allowed_QxK: [..., q, k] is True where query q may attend to key k.
    bias_HxQxK: bias that is added to the logits. It is broadcast over the
      leading axes that it lacks.
    drop: dropout function that is applied to the attention weights.
  """
  logits_HxQxK = jnp.einsum('...qhe,...khe->...hqk', q_QxHxE, k_KxHxE)
  if bias_HxQxK is not None:
    lacking = range(logits_HxQxK.ndim - bias_HxQxK.ndim)
    logits_HxQxK += jnp.expand_dims(bias_HxQxK, tuple(lacking))
  logits_HxQxK = jnp.where(
    allowed_QxK[..., None, :, :], logits_HxQxK, jnp.finfo(q_QxHxE.dtype).min
  )
  weights_HxQxK = drop(jax.nn.softmax(logits_HxQxK, axis=-1))
  return jnp.einsum('...hqk,...khe->...qhe', weights_HxQxK, v_KxHxE)


class Attention(nn.Module):
  """Multi-head scaled dot-product attention (paper, section 3.2).

  Attributes:
    num_heads: H; must divide D.
    dropout: share of the attention weights that is dropped in training.
  """

  num_heads: int
  dropout: float = 0.0

  @nn.compact
  def __call__(
    self,
    x_BxLxD: Float[Array, 'B L D'],
    allowed_BxLxL: Bool[Array, 'B L L'],
    *,
    queries_BxLxD: Float[Array, 'B L D'] | None = None,
    num_empty_BxL: Int[Array, 'B L'] | None = None,
    train: bool = False,
  ) -> Float[Array, 'B L D']:
    """Attends from each position to the positions that are allowed.

    A position that may not attend to any position gets the unweighted mean of
    all. This value is finite, and the caller has to mask it.

    Args:
      x_BxLxD: states that keys and values are made of.
      allowed_BxLxL: attention mask; see `attention_mask`.
      queries_BxLxD: states that queries are made of; None uses `x_BxLxD`.
      num_empty_BxL: number of additional positions of zeros that each position
        attends to; None means 0.
      train: whether to apply dropout, with the rng "dropout".

    Raises:
      ValueError: `num_heads` does not divide D.
    """
    B, L, D = x_BxLxD.shape
    if D % self.num_heads:
      raise ValueError(f'num_heads={self.num_heads} must divide the width {D}')

    def heads(name, of_BxNxD):
      projected = nn.Dense(D, name=name)(of_BxNxD)
      return projected.reshape(B, -1, self.num_heads, D // self.num_heads)

    q_BxLxHxE = heads(
      'query', x_BxLxD if queries_BxLxD is None else queries_BxLxD
    )
    seen_BxKxD, allowed_BxLxK, bias = x_BxLxD, allowed_BxLxL, None
    if num_empty_BxL is not None:
      seen_BxKxD, allowed_BxLxK, bias = _with_empty(
        x_BxLxD, allowed_BxLxL, num_empty_BxL
      )
    k_BxKxHxE, v_BxKxHxE = heads('key', seen_BxKxD), heads('value', seen_BxKxD)
    scale = jnp.sqrt(jnp.asarray(D // self.num_heads, x_BxLxD.dtype))
    mixed_BxLxHxE = mix(
      q_BxLxHxE / scale,
      k_BxKxHxE,
      v_BxKxHxE,
      allowed_BxLxK,
      bias_HxQxK=bias,
      drop=nn.Dropout(self.dropout, deterministic=not train),
    )
    return nn.Dense(D, name='out')(mixed_BxLxHxE.reshape(B, L, D))


def _with_empty(x_BxLxD, allowed_BxLxL, num_empty_BxL):
  """Puts one position of zeros first, in place of `num_empty_BxL` of them.

  A bias of log(n) on its logit has the same effect as n equal positions.

  Returns:
    States [B, K, D], attention mask [B, L, K] and bias [B, 1, L, K], where
    K = L + 1.
  """
  x_BxKxD = jnp.pad(x_BxLxD, ((0, 0), (1, 0), (0, 0)))
  is_seen_BxLx1 = (num_empty_BxL > 0)[..., None]
  allowed_BxLxK = jnp.concatenate([is_seen_BxLx1, allowed_BxLxL], axis=2)
  times_BxLxK = jnp.ones(allowed_BxLxK.shape, x_BxLxD.dtype)
  times_BxLxK = times_BxLxK.at[..., 0].set(jnp.maximum(num_empty_BxL, 1))
  return x_BxKxD, allowed_BxLxK, jnp.log(times_BxLxK)[:, None]


class Block(nn.Module):
  """A Transformer block: attention and a feed-forward net, with residuals.

  Attributes:
    num_heads: H; must divide D.
    hidden_dim: hidden width of the feed-forward net.
    norm_first: whether layer norms are before attention and feed-forward net
      (pre-LN, Xiong et al. 2020, arXiv 2002.04745). False puts them after the
      residual sums (post-LN, as in the paper and in BERT).
    activation: activation function of the feed-forward net.
    norm_epsilon: number added to the variance in the layer norms.
    dropout: share that is dropped in training, of the attention weights and of
      the outputs of attention and feed-forward net.
  """

  num_heads: int
  hidden_dim: int
  norm_first: bool
  activation: Callable[[Array], Array] = gelu
  norm_epsilon: float = 1e-6
  dropout: float = 0.0

  @nn.compact
  def __call__(
    self,
    x_BxLxD: Float[Array, 'B L D'],
    allowed_BxLxL: Bool[Array, 'B L L'],
    *,
    train: bool = False,
  ) -> Float[Array, 'B L D']:
    """Transforms the positions.

    Args:
      x_BxLxD: states of the positions.
      allowed_BxLxL: attention mask; see `attention_mask`.
      train: whether to apply dropout, with the rng "dropout".
    """
    attend = Attention(self.num_heads, self.dropout, name='attention')
    expand = nn.Dense(self.hidden_dim, name='expand')
    contract = nn.Dense(x_BxLxD.shape[-1], name='contract')
    drop = nn.Dropout(self.dropout, deterministic=not train)
    x_BxLxD = self._residual(
      lambda h: drop(attend(h, allowed_BxLxL, train=train)),
      x_BxLxD,
      'attention_norm',
    )
    return self._residual(
      lambda h: drop(contract(self.activation(expand(h)))), x_BxLxD, 'net_norm'
    )

  def _residual(self, part, x_BxLxD, name):
    norm = nn.LayerNorm(epsilon=self.norm_epsilon, name=name)
    if self.norm_first:
      return x_BxLxD + part(norm(x_BxLxD))
    return norm(x_BxLxD + part(x_BxLxD))


def forward_flops(
  num_rows: int,
  length: int,
  num_candidates: int,
  *,
  dim: int,
  hidden_dim: int,
  num_layers: int,
) -> float:
  """Operations of blocks whose positions score candidates.

  Look-ups, norms and softmax are not counted; a multiply-add counts as two.

  Args:
    num_rows: B.
    length: L.
    num_candidates: number of items that each position scores.
    dim: D, the width of the embeddings.
    hidden_dim: width of the hidden layer of a block.
    num_layers: number of blocks.
  """
  block = 4 * dim**2 + 2 * dim * hidden_dim + 2 * length * dim
  position = num_layers * block + dim * num_candidates
  return 2.0 * num_rows * length * position
