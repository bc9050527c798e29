"""The composition of a kernel as numbers that a network can generate.

`l3ae` with a kernel is solved by six hyperparameters, and the kernel reads
several views of the text, each with a weight. Together they are a composition.
Here the same closed form is written in JAX, so that a composition has a
gradient *through the exact solve*, and a network can be trained to generate it.

Evidence users can judge a composition, too: a user is taken out of P = (X'X +
l2 I)^-1 exactly, by a downdate of rank one, and out of the item counts. All
that is left are products of P and C with thin matrices.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hyperrec.cost import counts
from hyperrec.systems.linear import l3ae

# The order of `Composition.numbers`.
NAMES = (
  'sharpness', 'l2_features', 'trust', 'l2', 'popularity', 'prior_count',
)  # fmt: skip
# Limits of the logarithms of those that are positive without an upper limit.
_LIMITS = {
  'sharpness': (-3.0, 4.0),
  'l2_features': (-4.0, 6.0),
  'l2': (0.0, 9.0),
  'prior_count': (-5.0, 7.0),
}
# A rank counts a competitor by a sigmoid of this width, in standard deviations
# of a user's scores.
_WIDTH = 0.08
# Ranks beyond this share of the catalogue count for little.
_SHARE, _LEAST = 0.1, 40.0


class Composition(NamedTuple):
  """A composition, without limits on any number.

  Attributes:
    numbers: `NAMES` in this order: logarithms, but the logit of the trust and
      the popularity exponent itself.
    views: logarithms of the weights of n views, up to a constant.
  """

  numbers: Float[Array, '6']
  views: Float[Array, ' n']


class Catalogue(NamedTuple):
  """What the solve needs of a catalogue.

  Attributes:
    cosines: of the items in each view.
    gram: X'X of the evidence.
  """

  cosines: Float[Array, 'n V V']
  gram: Float[Array, 'V V']


class Queries(NamedTuple):
  """Users on whom a composition is judged.

  Attributes:
    histories: binary rows.
    targets: items; what `is_target` leaves out is padding.
    is_target: 1 where a target is.
    unranked: 1 at items, beside the histories, that are not ranked.
    weight: weight of each user, 0 for padding.
    rows: what each user contributed to the Gram matrix, which is taken out;
      zeros for users who are not part of the evidence.
  """

  histories: Float[Array, 'B V']
  targets: Int[Array, 'B T']
  is_target: Float[Array, 'B T']
  unranked: Float[Array, 'B V']
  weight: Float[Array, ' B']
  rows: Float[Array, 'B V']


def start(config: l3ae.L3aeConfig, num_views: int) -> Composition:
  """The composition of a configuration, with equal weights of the views."""
  value = vars(config)
  numbers = [
    np.log(value['trust'] / (1 - value['trust']))
    if name == 'trust'
    else value[name]
    if name == 'popularity'
    else np.log(value[name])
    for name in NAMES
  ]
  return Composition(
    jnp.asarray(numbers, jnp.float32), jnp.zeros(num_views, jnp.float32)
  )


def values(composition: Composition) -> dict[str, Array]:
  """The hyperparameters by name, and the `weights` of the views, of sum 1."""
  found = dict(zip(NAMES, composition.numbers, strict=True))
  for name, (low, high) in _LIMITS.items():
    found[name] = jnp.exp(jnp.clip(found[name], low, high))
  found['trust'] = jax.nn.sigmoid(found['trust'])
  return {**found, 'weights': jax.nn.softmax(composition.views)}


def settle(
  composition: Composition,
) -> tuple[l3ae.L3aeConfig, tuple[float, ...]]:
  """The configuration of `l3ae`, and the weights of the views."""
  found = values(composition)
  weights = tuple(float(w) for w in found.pop('weights'))
  return l3ae.L3aeConfig(**{k: float(v) for k, v in found.items()}), weights


@jax.custom_vjp
def _inverse(a: Float[Array, 'V V']) -> Float[Array, 'V V']:
  """The inverse P of a symmetric positive definite matrix.

  Its derivative is -P dA P, which needs no derivative of a factorisation.
  """
  factor = jax.scipy.linalg.cho_factor(a, lower=True)
  return jax.scipy.linalg.cho_solve(factor, jnp.eye(len(a), dtype=a.dtype))


def _inverse_forward(a):
  p = _inverse(a)
  return p, p


def _inverse_backward(p, dp):
  return (-(p @ ((dp + dp.T) / 2) @ p),)


_inverse.defvjp(_inverse_forward, _inverse_backward)


def _cosines(weights, cosines):
  """The cosines of the mixture of the views, [V, V]."""
  mixed = jnp.einsum('n,nij->ij', weights, cosines.astype(jnp.float32))
  square = jnp.diagonal(mixed)
  # A row of zeros has a cosine of 0 to all others, as in `item_kernel`.
  scale = jnp.where(square > 1e-12, jax.lax.rsqrt(square + 1e-30), 0.0)
  return mixed * scale[:, None] * scale[None]


def scores(
  composition: Composition, catalogue: Catalogue, queries: Queries
) -> Float[Array, 'B V']:
  """Scores of the histories, by weights that their users did not help to make.

  Users with `rows` of zeros are scored by the weights of all evidence.
  """
  found = values(composition)
  eye = jnp.eye(len(catalogue.gram))
  cosines = _cosines(found['weights'], catalogue.cosines)
  kernel = jnp.exp(found['sharpness'] * (cosines - 1))
  inverse = _inverse(kernel + found['l2_features'] * eye)
  c_VxV = -found['trust'] * inverse / jnp.diagonal(inverse)[None] * (1 - eye)
  p_VxV = _inverse(catalogue.gram + found['l2'] * eye)

  # Counts, tilt and products with P of each user, without the user's row.
  rows, histories = queries.rows, queries.histories
  taken = jnp.maximum(jnp.diagonal(catalogue.gram)[None] - rows, 0)
  right_BxV = (taken + found['prior_count']) ** found['popularity']
  left_BxV = found['l2'] / right_BxV
  xp_BxV = rows @ p_VxV
  left_over = jnp.maximum(1 - jnp.sum(xp_BxV * rows, 1, keepdims=True), 1e-3)
  ratio = jnp.sum(histories * xp_BxV, 1, keepdims=True) / left_over
  hp_BxV = histories @ p_VxV + ratio * xp_BxV
  p_diag = jnp.diagonal(p_VxV)[None] + jnp.square(xp_BxV) / left_over
  # A = P Lambda B0, with B0 = D^-k C D^k: the product with a history, and the
  # diagonal.
  ha_BxV = ((hp_BxV * left_BxV) @ c_VxV) * right_BxV
  a_diag = (left_BxV @ (p_VxV * c_VxV)) * right_BxV
  own = ((xp_BxV * left_BxV) @ c_VxV) * right_BxV
  a_diag += xp_BxV / left_over * own
  return histories + ha_BxV - hp_BxV * (1 + a_diag) / p_diag


def smooth_ndcg(
  scores_BxV: Float[Array, 'B V'], queries: Queries
) -> Float[Array, ' B']:
  """NDCG with smooth ranks, so that it has a gradient."""
  ranked = (1 - queries.histories) * (1 - queries.unranked)
  count = jnp.maximum(jnp.sum(ranked, 1, keepdims=True), 1)
  mean = jnp.sum(scores_BxV * ranked, 1, keepdims=True) / count
  spread = jnp.sum(jnp.square(scores_BxV - mean) * ranked, 1, keepdims=True)
  z_BxV = (scores_BxV - mean) * jax.lax.rsqrt(spread / count + 1e-12)
  z_BxT = jnp.take_along_axis(z_BxV, queries.targets, 1)
  above = jax.nn.sigmoid((z_BxV[:, None] - z_BxT[:, :, None]) / _WIDTH)
  # A target is half above itself.
  rank = jnp.maximum(0.5 + jnp.sum(above * ranked[:, None], -1), 1.0)
  cut = max(_LEAST, _SHARE * scores_BxV.shape[1])
  counts_BxT = jax.nn.sigmoid((cut - rank) / (0.2 * cut)) / jnp.log2(1 + rank)
  discount = 1 / jnp.log2(2 + jnp.arange(queries.targets.shape[1]))
  number = jnp.maximum(jnp.sum(queries.is_target, 1), 1).astype(int)
  ideal = jnp.cumsum(discount)[number - 1]
  return jnp.sum(queries.is_target * counts_BxT, 1) / ideal


def loss(
  composition: Composition, catalogue: Catalogue, queries: Queries
) -> Float[Array, '']:
  """Minus the logarithm of the mean smooth NDCG.

  Its gradient is that of relative gains, so that all catalogues weigh alike.
  """
  found = smooth_ndcg(scores(composition, catalogue, queries), queries)
  total = jnp.maximum(jnp.sum(queries.weight), 1)
  return -jnp.log(jnp.sum(found * queries.weight) / total + 0.005)


def loss_flops(num_views: int, num_items: int, num_users: int) -> float:
  """Operations of `loss`; see `gradient_flops` for its gradient.

  An inverse of V items takes V^3.
  """
  thin = counts.matmul(num_users, num_items, num_items)
  return (
    2 * counts.spd_inverse(num_items)
    + (2 * num_views + 6) * float(num_items) ** 2
    + 5 * thin
  )


def gradient_flops(num_views: int, num_items: int, num_users: int) -> float:
  """Operations of the gradient of `loss`.

  The derivative of an inverse takes two products of V x V matrices.
  """
  thin = counts.matmul(num_users, num_items, num_items)
  return (
    loss_flops(num_views, num_items, num_users)
    + 4 * counts.matmul(num_items, num_items, num_items)
    + 10 * thin
    + (4 * num_views + 12) * float(num_items) ** 2
  )
