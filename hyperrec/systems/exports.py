"""Converts fitted methods to `export.Model`; each family has one function.

`jax.export` converts a network to a StableHLO program for any number of users.
The parameters are not part of the program but of the safetensors file.

Shapes: B users, L history items, V items.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Bool, Float, Int

from hyperrec import export
from hyperrec.systems.linear import linear_autoencoder
from hyperrec.systems.mult_vae import mult_vae
from hyperrec.systems.pref import pref, taken_weight
from hyperrec.systems.sequential import sasrec, sequential_recommender
from hyperrec.systems.vqrec import network as vqrec_lib
from hyperrec.systems.vqrec import vqrec

Items = Int[Array, 'B L']
Mask = Bool[Array, 'B L']
# Programs that contain only basic operations run on all of these platforms.
_PLATFORMS = ('cpu', 'cuda', 'tpu')


def popularity(counts: Float[np.ndarray, ' V']) -> export.Model:
  """Popularity, which scores every item by its number of interactions."""
  return export.Model('popularity', {'counts': counts}, counts=counts)


def linear(
  weights: linear_autoencoder.Weights, counts: np.ndarray | None = None
) -> export.Model:
  """An item-item method, such as EASE, L3AE, HyperEASE, SLIM or ItemKNN.

  Args:
    weights: the fitted weights between items.
    counts: [V] number of interactions of each item. With them, users with
      empty histories are recommended the most popular items.
  """
  return _weights(weights)._replace(counts=counts)


def _weights(weights: linear_autoencoder.Weights) -> export.Model:
  if isinstance(weights, linear_autoencoder.FactoredWeights):
    if scipy.sparse.issparse(weights.left):
      return _weights(weights.sparse())
    return export.Model('factored', weights._asdict())
  if isinstance(weights, linear_autoencoder.SubsetWeights):
    tensors = {'weights': weights.weights, 'items': weights.items}
    return export.Model('subset', tensors)
  if scipy.sparse.issparse(weights):
    matrix = weights.tocsr()
    names = ('data', 'indices', 'indptr')
    return export.Model('sparse', {n: getattr(matrix, n) for n in names})
  return export.Model('dense', {'weights': weights})


def mult_vae_network(
  config: mult_vae.MultVaeConfig, params: Any
) -> export.Model:
  """Mult-VAE or Mult-DAE; the scores are the logits of the mean latent code.

  Args:
    config: hyperparameters.
    params: fitted parameters of the network.
  """
  size = len(params['logits']['bias'])
  network = mult_vae.make_model(config, size)

  def score(params, items_BxL: Items, mask_BxL: Mask) -> Float[Array, 'B V']:
    rows = jnp.arange(items_BxL.shape[0])[:, None]
    x_BxV = jnp.zeros((items_BxL.shape[0], size), bool)
    x_BxV = x_BxV.at[rows, items_BxL].max(mask_BxL)
    return mult_vae.logits(network, params, x_BxV)

  return _network(score, params, None)


def sasrec_network(
  config: sasrec.SasrecConfig, state: sasrec.State
) -> export.Model:
  """SASRec, with item counts for users with empty histories."""
  network = sasrec.make_model(config, len(state.popularity))

  def hidden(params, items_BxL, sizes_B):
    return sequential_recommender.last_hidden(
      network, params['network'], items_BxL, sizes_B
    )

  score = _sequential(hidden, lambda params: params['network']['items'])
  made = _network(score, {'network': state.params}, config.length)
  return made._replace(counts=_counts(state.popularity))


def vqrec_network(
  config: vqrec.VqrecConfig, state: vqrec.VqrecState
) -> export.Model:
  """VQ-Rec; the table of item embeddings is computed from the codes once."""
  encoder = config.encoder()

  def hidden(params, items_BxL, sizes_B):
    return vqrec.last_hidden(
      encoder, params['network'], params['table'], items_BxL, sizes_B
    )

  score = _sequential(hidden, lambda params: vqrec_lib.unit(params['table']))
  tensors = {
    'network': {k: v for k, v in state.params.items() if k != 'codes'},
    'table': vqrec.item_table(state.params['codes'], state.codes),
  }
  made = _network(score, tensors, config.length)
  return made._replace(counts=_counts(state.popularity))


def pref_network(state: pref.PrefState) -> export.Model:
  """PReF for users with histories instead of answers.

  Each item of a history counts as an answer that prefers it to an average item.
  """
  tensors = {
    'prior': state.prior,
    'against': taken_weight.against_average(state.choice),
    'choice': state.choice,
  }

  def score(params, items_BxL: Items, mask_BxL: Mask) -> Float[Array, 'B V']:
    found = pref.coefficients(
      params['prior'],
      params['against'],
      items_BxL,
      mask_BxL.astype(jnp.float32),
    )
    return found @ params['choice'].T

  made = _network(score, tensors, None, platforms=('cpu',))
  return made._replace(counts=state.counts)


def _counts(
  popularity: Float[np.ndarray, ' V'] | None,
) -> Float[np.ndarray, ' V'] | None:
  """Number of interactions of each item, from popularity = log(1 + count)."""
  if popularity is None:
    return None
  return np.rint(np.expm1(np.asarray(popularity, np.float64)))


def _sequential(hidden: Callable, table: Callable) -> Callable:
  """Makes the score function of a network that predicts the next item.

  Histories start at position 0. The network reads an empty history as one item;
  these scores are not used, since `Recommender` ranks such users by counts.

  Args:
    hidden: maps parameters, items [B, L] and sizes [B] to states [B, D].
    table: maps parameters to item embeddings [V, D].
  """

  def score(params, items_BxL: Items, mask_BxL: Mask) -> Float[Array, 'B V']:
    sizes_B = mask_BxL.sum(axis=1)
    hidden_BxD = hidden(params, items_BxL, jnp.maximum(sizes_B, 1))
    return hidden_BxD @ table(params).T

  return score


def _network(
  score: Callable[[Any, Items, Mask], Float[Array, 'B V']],
  tree: Any,
  length: int | None,
  platforms: tuple[str, ...] = _PLATFORMS,
) -> export.Model:
  """Exports a score function together with its parameters.

  Args:
    score: maps parameters, items and mask to scores.
    tree: parameters; the path of each leaf becomes the name of its tensor.
    length: L, the number of history items that the program takes; None allows
      any number.
    platforms: platforms that the program runs on.
  """
  leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
  tensors = {
    jax.tree_util.keystr(path, simple=True, separator='.'): np.asarray(leaf)
    for path, leaf in leaves
  }
  names = list(tensors)

  def named(tensors, items_BxL, mask_BxL):
    own = jax.tree_util.tree_unflatten(structure, [tensors[n] for n in names])
    return score(own, items_BxL, mask_BxL)

  width = 'l' if length is None else str(length)
  shape = jax.export.symbolic_shape(f'b, {width}')
  exported = jax.export.export(jax.jit(named), platforms=platforms)(
    {n: jax.ShapeDtypeStruct(t.shape, t.dtype) for n, t in tensors.items()},
    jax.ShapeDtypeStruct(shape, jnp.int32),
    jax.ShapeDtypeStruct(shape, jnp.bool_),
  )
  return export.Model('network', tensors, bytes(exported.serialize()), length)
