"""Vectors as codes from coarse to fine: residual quantization.

Each level's code is of what the levels before it left over. Chen, Guan & Wang:
"Approximate nearest neighbor search by residual vector quantization" (Sensors
2010); a beam in search of codes is of Babenko & Lempitsky (CVPR 2014). With a
beam of 1 it is residual k-means, which semantic ids are made by (GRID, arXiv
2507.22224).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hyperrec.nn import k_means
from hyperrec.systems.vqrec import product_quantizer


class ResidualQuantizer(NamedTuple):
  """What codes mean.

  Attributes:
    mean: of the vectors it was made from.
    codebooks: the centroids of each of G levels.
  """

  mean: Float[Array, ' F']
  codebooks: Float[Array, 'G M F']


class _Beam(NamedTuple):
  """The best K codes so far of each vector, and what they leave over."""

  residuals: Float[Array, 'V K F']
  codes: Int[Array, 'V K g']


def fit(
  key: jax.Array,
  x_VxF: Float[np.ndarray, 'V F'],
  *,
  num_levels: int,
  num_codes: int,
  steps: int = 25,
) -> ResidualQuantizer:
  """Learns level after level, each by k-means of what is left over.

  Args:
    key: of the seeds.
    x_VxF: vectors.
    num_levels: G.
    num_codes: M; at most the number of distinct vectors.
    steps: of each level's centroids.

  Raises:
    ValueError: see `product_quantizer.check_vectors`; or no level.
  """
  product_quantizer.check_vectors(x_VxF, num_codes)
  if num_levels < 1:
    raise ValueError(f'num_levels={num_levels} must be at least 1')
  x_VxF = np.asarray(x_VxF, np.float32)
  mean_F = x_VxF.mean(axis=0)
  found, codebooks = _start(jnp.asarray(x_VxF - mean_F)), []
  for level_key in jax.random.split(key, num_levels):
    residual_VxF = found.residuals[:, 0]
    codebooks.append(_level(level_key, residual_VxF, num_codes, steps))
    found = _follow(found, codebooks[-1], 1)
  return ResidualQuantizer(jnp.asarray(mean_F), jnp.stack(codebooks))


def encode(
  quantizer: ResidualQuantizer, x_VxF: Float[Array, 'V F'], *, beam: int = 1
) -> Int[Array, 'V G']:
  """The best codes that a search of the given beam finds."""
  found = _start(x_VxF - quantizer.mean[None])
  for codebook in quantizer.codebooks:
    found = _follow(found, codebook, beam)
  return found.codes[:, 0].astype(jnp.int32)


@jax.jit
def decode(
  quantizer: ResidualQuantizer, codes_VxG: Int[Array, 'V G']
) -> Float[Array, 'V F']:
  """The vectors that codes stand for."""
  parts_GxVxF = jax.vmap(jnp.take, (0, 0, None))(
    quantizer.codebooks, codes_VxG.T, 0
  )
  return parts_GxVxF.sum(axis=0) + quantizer.mean[None]


def _start(x_VxF) -> _Beam:
  return _Beam(x_VxF[:, None], jnp.zeros((len(x_VxF), 1, 0), jnp.int32))


@functools.partial(jax.jit, static_argnames=('num_codes', 'steps'))
def _level(key, points_NxF, num_codes, steps):
  seeds = k_means.seed(key, points_NxF, num_codes)
  return k_means.refine(points_NxF, seeds, steps)


@functools.partial(jax.jit, static_argnames='beam')
def _follow(found: _Beam, codebook_MxF, beam: int) -> _Beam:
  """The best `beam` of all codes one level longer, the best first."""
  V, K, F = found.residuals.shape
  M = len(codebook_MxF)
  distances = k_means.squared_distances(
    found.residuals.reshape(-1, F), codebook_MxF
  )
  _, best_VxK = jax.lax.top_k(-distances.reshape(V, K * M), min(beam, K * M))
  from_VxK, code_VxK = best_VxK // M, best_VxK % M
  kept = jax.tree.map(
    lambda a: jnp.take_along_axis(a, from_VxK[..., None], axis=1), found
  )
  return _Beam(
    kept.residuals - codebook_MxF[code_VxK],
    jnp.concatenate([kept.codes, code_VxK[..., None]], axis=2),
  )
