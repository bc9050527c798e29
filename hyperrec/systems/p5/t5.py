"""T5: an encoder of a text, a decoder that writes one.

Raffel et al.: "Exploring the limits of transfer learning with a unified
text-to-text Transformer" (JMLR 2020, arXiv 1910.10683), version 1.0. With P5's
addition (Geng et al., RecSys 2022, arXiv 2203.13366): the encoder is also told
which tokens belong to one word, since an item's number is several tokens.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hyperrec.nn import t5_layers, transformer

T5Config = t5_layers.T5Config
KeysValues = t5_layers.KeysValues
Look = t5_layers.Look
Memory = t5_layers.Memory
View = t5_layers.View

# P5-small: T5-small with P5's vocabulary and whole-word rows, 60.75M.
P5_SMALL = T5Config(
  32_100, d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_decoder_layers=6,
  num_heads=8,
)  # fmt: skip


class T5(nn.Module):
  """The network; `encode`, `remember`, `decode` and `logits` are its parts."""

  config: T5Config

  def setup(self):
    """The shared table and the two stacks."""
    config = self.config
    normal = nn.initializers.normal
    self.words = nn.Embed(
      config.vocab_size, config.d_model, embedding_init=normal(1.0)
    )
    if config.num_whole_words:
      self.whole_words = nn.Embed(
        config.num_whole_words, config.d_model, embedding_init=normal(1.0)
      )
    self.encoder = t5_layers.Stack(config, is_decoder=False)
    self.decoder = t5_layers.Stack(config, is_decoder=True)

  def __call__(self, source, target, *, train: bool = False):
    """Logits [B, T, V] of each next token; see `encode` and `write`."""
    memory = self.remember(*source, train=train)
    return self.logits(self.write(target, memory, train=train))

  def encode(
    self,
    tokens_BxS: Int[Array, 'B S'],
    whole_BxS: Int[Array, 'B S'],
    mask_BxS: Bool[Array, 'B S'],
    *,
    train: bool = False,
  ) -> Float[Array, 'B S D']:
    """The states of a text's tokens.

    Args:
      tokens_BxS: the text.
      whole_BxS: the number of the word each token is of, from 1; 0 is none.
      mask_BxS: True where a token is.
      train: drops out, with the rng "dropout".
    """
    x_BxSxD = self.words(tokens_BxS)
    if self.config.num_whole_words:
      last = self.config.num_whole_words - 1
      x_BxSxD += self.whole_words(jnp.minimum(whole_BxS, last))
    place_S = jnp.arange(tokens_BxS.shape[1])
    bias_HxSxS = self.encoder.bias(place_S[None] - place_S[:, None])
    allowed_BxSxS = transformer.attention_mask(mask_BxS)
    return self.encoder(
      x_BxSxD,
      lambda layer, shown: View(shown, allowed_BxSxS, bias_HxSxS),
      train=train,
    )[0]

  def remember(
    self,
    tokens_BxS: Int[Array, 'B S'],
    whole_BxS: Int[Array, 'B S'],
    mask_BxS: Bool[Array, 'B S'],
    *,
    train: bool = False,
  ) -> Memory:
    """`encode`, and what each layer of the decoder is shown of it."""
    states_BxSxD = self.encode(tokens_BxS, whole_BxS, mask_BxS, train=train)
    return Memory(self.decoder.shown(states_BxSxD), mask_BxS)

  def decode(
    self,
    tokens_BxQ: Int[Array, 'B Q'],
    memory: Memory,
    look: Look,
    *,
    train: bool = False,
  ) -> tuple[Float[Array, 'B Q D'], tuple[KeysValues, ...]]:
    """What each position says of the next token, and what it attended to.

    Args:
      tokens_BxQ: positions: tokens of a text, beams, or nodes of a tree.
      memory: of the source.
      look: what each sees of the others; see `bias`.
      train: drops out, with the rng "dropout".
    """
    x_BxQxD = self.words(tokens_BxQ)
    return self.decoder(x_BxQxD, look, memory, train=train)

  def bias(
    self, distance_QxK: Int[Array, '*b Q K']
  ) -> Float[Array, '*b H Q K']:
    """What the decoder adds for places of keys less places of queries."""
    return self.decoder.bias(distance_QxK)

  def write(
    self, target_BxT: Int[Array, 'B T'], memory: Memory, *, train: bool = False
  ) -> Float[Array, 'B T D']:
    """`decode` of texts, each token seeing itself and those before it."""
    place_T = jnp.arange(target_BxT.shape[1])
    bias_HxTxT = self.bias(place_T[None] - place_T[:, None])
    allowed_BxTxT = transformer.attention_mask(
      jnp.ones(target_BxT.shape, bool), causal=True
    )
    return self.decode(
      target_BxT,
      memory,
      lambda layer, shown: View(shown, allowed_BxTxT, bias_HxTxT),
      train=train,
    )[0]

  def logits(
    self, hidden: Float[Array, '*b D'], tokens_W: Int[Array, ' W'] | None = None
  ) -> Float[Array, '*b W']:
    """Logits of the vocabulary, or of some of its tokens."""
    table_WxD = self.words.embedding
    if tokens_W is not None:
      table_WxD = table_WxD[tokens_W]
    return hidden @ table_WxD.T * self.config.d_model**-0.5


def abstract_params(config: T5Config) -> Any:
  """Shapes of the parameters."""
  return jax.eval_shape(lambda: init_params(config, jax.random.key(0)))


def init_params(config: T5Config, key: jax.Array) -> Any:
  """Initial parameters, by the rule of T5's authors."""
  one = jnp.zeros((1, 1), jnp.int32)
  source = one, one, one == 0
  return T5(config).init(key, source, one)['params']


def forward_flops(
  config: T5Config, num_rows: int, source: int, positions: int
) -> float:
  """Multiply-adds (two operations) of encoding and decoding some rows.

  Look-ups, norms, softmax and logits are left out.

  Args:
    config: the sizes.
    num_rows: B.
    source: S, tokens of each source.
    positions: Q, decoded of each.
  """
  D, width = config.d_model, config.num_heads * config.d_kv
  net = 2 * D * config.d_ff
  encoder = source * (4 * D * width + net + 2 * source * width)
  decoder = positions * (6 * D * width + net + 2 * (source + positions) * width)
  decoder += 2 * source * D * width
  layers = config.num_layers * encoder + config.num_decoder_layers * decoder
  return 2.0 * num_rows * layers
