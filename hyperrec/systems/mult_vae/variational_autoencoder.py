"""Mult-VAE and Mult-DAE: networks that reconstruct a user's row of items.

Liang, Krishnan, Hoffman, Jebara: "Variational Autoencoders for Collaborative
Filtering" (WWW 2018, arXiv 1802.05814). Sizes, initialisers and constants are
those of the authors' published notebook.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Rows = Bool[Array, 'B V'] | Float[Array, 'B V']

# The layers of MultVAE whose shapes do not depend on the number of items, so
# that another catalogue can keep them.
INNER_LAYERS = ('moments', 'hidden_out')


class Output(NamedTuple):
  """Output of a forward pass over B rows.

  Attributes:
    logits: Unnormalised log-probabilities of all items.
    kl: KL(q(z | x) || N(0, I)) of each row; 0 for Mult-DAE.
  """

  logits: Float[Array, 'B V']
  kl: Float[Array, ' B']


class MultVAE(nn.Module):
  """V -> hidden -> latent -> hidden -> V with tanh (paper, section 3.1).

  Attributes:
    num_items: V.
    hidden_dim: Width of the layer before the code, and of the one after it.
    latent_dim: Width of the code z.
    dropout: Share of the input that dropout sets to 0 in training.
  """

  num_items: int
  hidden_dim: int = 600
  latent_dim: int = 200
  dropout: float = 0.5

  @nn.compact
  def __call__(self, x_BxV: Rows, *, train: bool) -> Output:
    """Scores rows; `train` needs the random streams `dropout` and `sample`."""
    x_BxV = _corrupt(self, x_BxV, train)
    h_BxH = jnp.tanh(_dense(self.hidden_dim, 'hidden_in')(x_BxV))
    moments = _dense(2 * self.latent_dim, 'moments')(h_BxH)
    mean_BxD, logvar_BxD = jnp.split(moments, 2, axis=-1)
    kl_BxD = 0.5 * (mean_BxD**2 + jnp.exp(logvar_BxD) - logvar_BxD - 1)
    z_BxD = mean_BxD
    if train:
      noise = jax.random.normal(self.make_rng('sample'), mean_BxD.shape)
      z_BxD += noise * jnp.exp(0.5 * logvar_BxD)
    h_BxH = jnp.tanh(_dense(self.hidden_dim, 'hidden_out')(z_BxD))
    logits_BxV = _dense(self.num_items, 'logits')(h_BxH)
    return Output(logits_BxV, kl_BxD.sum(axis=-1))


class MultDAE(nn.Module):
  """V -> latent -> V with tanh; a deeper network was worse (paper, table 4).

  Attributes:
    num_items: V.
    latent_dim: Width of the only hidden layer.
    dropout: Share of the input that dropout sets to 0 in training.
  """

  num_items: int
  latent_dim: int = 200
  dropout: float = 0.5

  @nn.compact
  def __call__(self, x_BxV: Rows, *, train: bool) -> Output:
    """Scores rows; `train` needs the random stream `dropout`."""
    x_BxV = _corrupt(self, x_BxV, train)
    h_BxD = jnp.tanh(_dense(self.latent_dim, 'hidden_in')(x_BxV))
    logits_BxV = _dense(self.num_items, 'logits')(h_BxD)
    return Output(logits_BxV, jnp.zeros(x_BxV.shape[0]))


def _dense(size: int, name: str) -> nn.Dense:
  """A dense layer with the initialisers of the authors' notebook."""
  return nn.Dense(
    size,
    kernel_init=nn.initializers.xavier_uniform(),
    bias_init=nn.initializers.truncated_normal(0.001),
    name=name,
  )


def _corrupt(
  module: nn.Module, x_BxV: Rows, train: bool
) -> Float[Array, 'B V']:
  """Scales rows to norm 1, then applies dropout; an empty row stays 0."""
  x_BxV = x_BxV.astype(jnp.float32)
  square_Bx1 = (x_BxV**2).sum(axis=-1, keepdims=True)
  x_BxV *= jax.lax.rsqrt(jnp.maximum(square_Bx1, 1e-12))
  if not train or module.dropout == 0:
    return x_BxV
  return byte_dropout(module.make_rng('dropout'), x_BxV, module.dropout)


def byte_dropout(
  key: jax.Array, x_BxV: Float[Array, 'B V'], rate: float
) -> Float[Array, 'B V']:
  """Inverted dropout at `rate`, rounded to a multiple of 1/256.

  It draws one random byte for each entry instead of four. For a row as long as
  the catalogue, four bytes would cost as much as two of the matrix products.
  """
  kept = 256 - round(256 * rate)
  rows, columns = x_BxV.shape
  words = jax.random.bits(key, (rows, -(-columns // 4)), jnp.uint32)
  bytes_ = jax.lax.bitcast_convert_type(words, jnp.uint8)
  mask_BxV = bytes_.reshape(rows, -1)[:, :columns] < kept
  return jnp.where(mask_BxV, x_BxV * (256 / kept), 0)


def multinomial_nll(
  logits: Float[Array, '*B V'], x: Float[Array, '*B V']
) -> Float[Array, '*B']:
  """-sum_v x_v log softmax(logits)_v, per row (paper, equation 2)."""
  # The sum is split, so that the log-probabilities are never stored.
  total = x.sum(axis=-1)
  return total * jax.nn.logsumexp(logits, axis=-1) - (logits * x).sum(axis=-1)


def kernel_penalty(params: dict) -> Float[Array, '']:
  """Sum of the squares of all weights; biases are not penalised."""
  kernels = [layer['kernel'] for layer in params.values()]
  return sum(jnp.sum(kernel**2) for kernel in kernels)


def keep_inner_layers(trained: dict, fresh: dict) -> dict:
  """The inner layers of `trained`, with the other layers of `fresh`."""
  return {**fresh, **{name: trained[name] for name in INNER_LAYERS}}


def train_step_flops(
  layers: tuple[tuple[int, int], ...], batch_size: int
) -> float:
  """Operations of a training step, Adam included.

  A layer computes three matrix products: the forward pass, the gradient of its
  input and the gradient of its kernel. The first layer needs no gradient of its
  input. Adam takes 14 operations per weight. Element-wise work on activations
  (under 1%) is not counted.

  Args:
    layers: (inputs, outputs) of each layer, in the order of the forward pass.
    batch_size: B.
  """
  weights = sum(a * b for a, b in layers)
  first = layers[0][0] * layers[0][1]
  return batch_size * 2.0 * (3 * weights - first) + 14.0 * weights


def layer_sizes(params: dict) -> tuple[tuple[int, int], ...]:
  """(inputs, outputs) of each layer, in the order of the forward pass."""
  order = ('hidden_in', *INNER_LAYERS, 'logits')
  return tuple(params[name]['kernel'].shape for name in order if name in params)
