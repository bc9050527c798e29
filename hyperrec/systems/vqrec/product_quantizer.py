"""Product quantization, plain and optimised: it encodes vectors as short codes.

Jegou, Douze & Schmid: "Product quantization for nearest neighbor search" (TPAMI
2011); Ge, He, Ke & Sun: "Optimized product quantization" (CVPR 2013). A vector
is cut into G parts, one for each group. The code of a part is the number of the
nearest of the group's M centroids. Optimised product quantization first rotates
the vectors, so that the centroids are closer to them.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hyperrec.nn import k_means

# Vectors whose difference is below this share of the largest value are equal.
_SAME = 1e-6


class TooFewVectorsError(ValueError):
  """There are fewer distinct vectors than codes in a group."""


class ProductQuantizer(NamedTuple):
  """A learned product quantizer.

  Attributes:
    mean: mean of the training vectors.
    rotation: orthonormal matrix; the identity in plain product quantization.
    codebooks: M centroids of each group, of width E = F / G.
  """

  mean: Float[Array, ' F']
  rotation: Float[Array, 'F F']
  codebooks: Float[Array, 'G M E']


def fit(
  key: jax.Array,
  x_VxF: Float[np.ndarray, 'V F'],
  *,
  num_groups: int,
  num_codes: int,
  rotate: bool = True,
  rotation_steps: int = 50,
  steps: int = 25,
) -> ProductQuantizer:
  """Learns a quantizer of vectors.

  The first rotation spreads the variance evenly over the groups (Ge et al.,
  section 3.2). Then centroids and rotation are improved in turn; the rotation
  is the solution of an orthogonal Procrustes problem (section 3.1).

  Args:
    key: key of the first centroids.
    x_VxF: training vectors.
    num_groups: G, the number of groups; must divide F.
    num_codes: M, the number of codes in each group; at most the number of
      distinct vectors.
    rotate: whether a rotation is learned.
    rotation_steps: number of steps that improve centroids and rotation.
    steps: number of steps that then improve the centroids alone.

  Raises:
    TooFewVectorsError: there are fewer distinct vectors than codes in a group.
    ValueError: `check_vectors` refuses the vectors, or G does not divide F.
  """
  check_vectors(x_VxF, num_codes)
  F = x_VxF.shape[1]
  if num_groups < 1 or F % num_groups:
    raise ValueError(
      f'num_groups={num_groups} must divide the {F} features; choose another, '
      'or fill up with columns of zeros'
    )
  x_VxF = np.asarray(x_VxF, np.float32)
  mean_F = x_VxF.mean(axis=0)
  centred_VxF = x_VxF - mean_F
  rotation = np.eye(F, dtype=np.float32)
  if rotate:
    rotation = _balanced_rotation(centred_VxF, num_groups)
  rotation, codebooks = _learn(
    key,
    centred_VxF,
    rotation,
    num_groups=num_groups,
    num_codes=num_codes,
    rotation_steps=rotation_steps if rotate else 0,
    steps=steps,
  )
  return ProductQuantizer(jnp.asarray(mean_F), rotation, codebooks)


@jax.jit
def encode(
  quantizer: ProductQuantizer, x_VxF: Float[Array, 'V F']
) -> Int[Array, 'V G']:
  """The codes of vectors, which need not be training vectors."""
  rotated_VxF = (x_VxF - quantizer.mean[None]) @ quantizer.rotation
  codes_GxV = jax.lax.map(
    lambda part: k_means.nearest(*part).codes,
    (_cut(rotated_VxF, len(quantizer.codebooks)), quantizer.codebooks),
  )
  return codes_GxV.T.astype(jnp.int32)


@jax.jit
def decode(
  quantizer: ProductQuantizer, codes_VxG: Int[Array, 'V G']
) -> Float[Array, 'V F']:
  """The vectors that codes stand for."""
  parts_GxVxE = jax.vmap(jnp.take, (0, 0, None))(
    quantizer.codebooks, codes_VxG.T, 0
  )
  return _joined(parts_GxVxE) @ quantizer.rotation.T + quantizer.mean[None]


def encode_flops(quantizer: ProductQuantizer, num_items: int) -> float:
  """Operations of `encode` for the rotation and the distances."""
  F, M = len(quantizer.mean), quantizer.codebooks.shape[1]
  return 2.0 * num_items * F * (F + M)


def fit_flops(
  quantizer: ProductQuantizer,
  num_items: int,
  *,
  rotation_steps: int = 50,
  steps: int = 25,
) -> float:
  """Operations of `fit` with a rotation: distances, means and Procrustes.

  A singular value decomposition counts as 21 F^3 operations (Golub & Van Loan),
  and the principal axes as 9 F^3.

  Args:
    quantizer: quantizer that `fit` learned.
    num_items: V, the number of training vectors.
    rotation_steps: see `fit`.
    steps: see `fit`.
  """
  F, M = len(quantizer.mean), quantizer.codebooks.shape[1]
  centroids = 4.0 * num_items * F * M
  rotation = 4.0 * num_items * F**2 + 2 * F**3 + 21 * F**3
  seeds = 3.0 * num_items * F * M
  start = 2.0 * num_items * F**2 + 9 * F**3 + seeds
  return start + rotation_steps * (centroids + rotation) + steps * centroids


def flat_ids(
  codes_VxG: Int[np.ndarray, 'V G'], num_codes: int
) -> Int[np.ndarray, 'V G']:
  """Ids g M + code in 0..G M - 1, which differ between groups.

  Raises:
    ValueError: a code is outside 0..M-1.
  """
  check_codes(codes_VxG, codes_VxG.shape[1], num_codes)
  return codes_VxG + num_codes * np.arange(codes_VxG.shape[1])


def entropy_bits(
  codes_VxG: Int[np.ndarray, 'V G'], num_codes: int
) -> Float[np.ndarray, ' G']:
  """Entropy of the codes of each group in bits; even use gives log2(M)."""
  ids = flat_ids(np.asarray(codes_VxG), num_codes)
  counts = np.bincount(ids.reshape(-1), minlength=ids.shape[1] * num_codes)
  share = counts.reshape(-1, num_codes) / len(ids)
  return -(share * np.log2(np.where(share > 0, share, 1))).sum(axis=1)


def collision_share(codes_VxG: Int[np.ndarray, 'V G']) -> float:
  """Share of items with the same codes as an earlier item."""
  codes_VxG = np.asarray(codes_VxG)
  return 1 - len(np.unique(codes_VxG, axis=0)) / len(codes_VxG)


def check_vectors(x_VxF: Float[np.ndarray, 'V F'], num_codes: int) -> None:
  """Checks that a quantizer can be learned from vectors.

  Raises:
    TooFewVectorsError: there are fewer distinct vectors than `num_codes`.
    ValueError: `num_codes` is below 2, there is no vector, or a vector is not
      finite.
  """
  if num_codes < 2:
    raise ValueError(f'num_codes={num_codes} must be at least 2')
  if np.ndim(x_VxF) != 2 or not len(x_VxF):
    raise ValueError(f'vectors [V, F] are needed, not {np.shape(x_VxF)}')
  bad = np.flatnonzero(~np.isfinite(x_VxF).all(axis=1))
  if len(bad):
    raise ValueError(
      f'the vectors of {len(bad)} items, the first of them item {bad[0]}, are '
      'not finite; make the features again, or leave the items out'
    )
  if len(x_VxF) < num_codes:
    raise TooFewVectorsError(
      f'{len(x_VxF)} items are too few for num_codes={num_codes} codes in each '
      'group; choose fewer codes'
    )
  spread = np.abs(x_VxF).max() or 1.0
  distinct = len(np.unique(np.round(x_VxF / (spread * _SAME)), axis=0))
  if distinct < num_codes:
    raise TooFewVectorsError(
      f'{len(x_VxF)} items have {distinct} distinct vectors, too few for '
      f'num_codes={num_codes} codes in each group; check whether texts are '
      'empty or the same, or choose fewer codes'
    )


def check_codes(
  codes_VxG: Int[np.ndarray, 'V G'], num_groups: int, num_codes: int
) -> None:
  """Checks that codes are [V, G] and in 0..M-1.

  Raises:
    ValueError: the codes have another shape, or a code is out of range.
  """
  codes_VxG = np.asarray(codes_VxG)
  if codes_VxG.ndim != 2 or codes_VxG.shape[1] != num_groups:
    raise ValueError(
      f'codes have the shape {codes_VxG.shape}, but every item needs '
      f'{num_groups} codes; encode the items with the index of this model'
    )
  bad = np.argwhere((codes_VxG < 0) | (codes_VxG >= num_codes))
  if len(bad):
    item, group = bad[0]
    raise ValueError(
      f'code {codes_VxG[item, group]} of item {item}, group {group}, is '
      f'outside 0..{num_codes - 1}; encode the items with the index of this '
      'model'
    )


@functools.partial(
  jax.jit,
  static_argnames=('num_groups', 'num_codes', 'rotation_steps', 'steps'),
)
def _learn(
  key, x_VxF, rotation_FxF, *, num_groups, num_codes, rotation_steps, steps
):
  """Learns rotation and codebooks; groups run in turn, which saves memory."""

  def turn(_, state):
    rotation_FxF, codebooks = state
    parts = _cut(x_VxF @ rotation_FxF, num_groups)
    codebooks, codes_GxV = jax.lax.map(
      lambda a: k_means.step(*a), (parts, codebooks)
    )
    found_VxF = _joined(
      jax.vmap(jnp.take, (0, 0, None))(codebooks, codes_GxV, 0)
    )
    u, _, vt = jnp.linalg.svd(x_VxF.T @ found_VxF)
    return u @ vt, codebooks

  parts = _cut(x_VxF @ rotation_FxF, num_groups)
  codebooks = jax.lax.map(
    lambda a: k_means.seed(*a, num_codes),
    (jax.random.split(key, num_groups), parts),
  )
  state = rotation_FxF, codebooks
  rotation_FxF, codebooks = jax.lax.fori_loop(0, rotation_steps, turn, state)
  parts = _cut(x_VxF @ rotation_FxF, num_groups)
  codebooks = jax.lax.map(
    lambda a: k_means.refine(*a, steps), (parts, codebooks)
  )
  return rotation_FxF, codebooks


def _balanced_rotation(
  x_VxF: Float[np.ndarray, 'V F'], num_groups: int
) -> Float[np.ndarray, 'F F']:
  """Principal axes, assigned so that groups have about equal volume.

  Axes are taken in the order of falling variance. Each goes to the group with
  the smallest product of variances among the groups that have room.
  """
  F = x_VxF.shape[1]
  variances, axes = np.linalg.eigh(x_VxF.T @ x_VxF / len(x_VxF))
  logs = np.log(np.maximum(variances, variances.max() * 1e-9))
  # Variances of at least 1 make products grow with each axis, so that groups
  # with few axes come first.
  logs -= logs.min()
  volumes, members = np.zeros(num_groups), [[] for _ in range(num_groups)]
  for axis in np.argsort(-logs, kind='stable'):
    group = int(volumes.argmin())
    members[group].append(axis)
    volumes[group] += logs[axis]
    if len(members[group]) == F // num_groups:
      volumes[group] = np.inf
  return axes[:, np.concatenate(members)].astype(np.float32)


def _cut(x_VxF, num_groups):
  """Cuts vectors [V, F] into parts [G, V, E]."""
  return x_VxF.reshape(len(x_VxF), num_groups, -1).transpose(1, 0, 2)


def _joined(parts_GxVxE):
  """Joins parts [G, V, E] to vectors [V, F]."""
  return parts_GxVxE.transpose(1, 0, 2).reshape(parts_GxVxE.shape[1], -1)
