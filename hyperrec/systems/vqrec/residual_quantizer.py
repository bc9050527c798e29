"""Residual quantization: it encodes vectors as codes from coarse to fine.

Chen, Guan & Wang: "Approximate nearest neighbor search by residual vector
quantization" (Sensors 2010). The code of each level encodes the residual of the
levels before it. The beam search for codes follows Babenko & Lempitsky (CVPR
2014). With a beam of 1, it is residual k-means, which makes semantic ids (GRID,
arXiv 2507.22224).
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
  """A learned residual quantizer.

  Attributes:
    mean: mean of the training vectors.
    codebooks: M centroids of each of the G levels.
  """

  mean: Float[Array, ' F']
  codebooks: Float[Array, 'G M F']


class _Beam(NamedTuple):
  """The best K codes of each vector after g levels, and their residuals."""

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
  """Learns one level after another by k-means of the residuals.

  Args:
    key: key of the first centroids.
    x_VxF: training vectors.
    num_levels: G, the number of levels.
    num_codes: M, the number of codes in each level; at most the number of
      distinct vectors.
    steps: number of k-means steps of each level.

  Raises:
    TooFewVectorsError: there are fewer distinct vectors than codes in a level.
    ValueError: `product_quantizer.check_vectors` refuses the vectors, or
      `num_levels` is below 1.
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
  """The best codes of vectors that a beam search finds.

  Args:
    quantizer: learned quantizer.
    x_VxF: vectors, which need not be training vectors.
    beam: number of codes of a vector that the search keeps at each level.
  """
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
  """Extends codes by one level and keeps the best `beam`, best first."""
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
