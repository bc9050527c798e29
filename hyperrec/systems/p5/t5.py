"""T5: an encoder that reads a text and a decoder that writes one.

Raffel et al.: "Exploring the limits of transfer learning with a unified
text-to-text Transformer" (JMLR 2020, arXiv 1910.10683), version 1.0. P5 (Geng
et al., RecSys 2022, arXiv 2203.13366) adds whole-word embeddings: they show the
encoder which tokens belong to one word, as an item number has several tokens.
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

# P5-small is T5-small with P5's vocabulary and whole-word embeddings; it has
# 60.75M parameters.
P5_SMALL = T5Config(
  32_100, d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_decoder_layers=6,
  num_heads=8,
)  # fmt: skip


class T5(nn.Module):
  """The network; `encode`, `remember`, `decode` and `logits` are its parts.

  Attributes:
    config: sizes of the network.
  """

  config: T5Config

  def setup(self):
    """Creates the shared embeddings and the two stacks of layers."""
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
    """Logits [B, T, W] of the next token at each position of the answers.

    Args:
      source: prompts, as the arguments of `encode`.
      target: int32 [B, T], input tokens of the decoder; see `write`.
      train: whether dropout is applied, with the rng "dropout".
    """
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
    """Hidden states of the tokens of texts.

    Args:
      tokens_BxS: tokens of the texts.
      whole_BxS: number of the word that each token belongs to, from 1; 0 for
        none. All numbers beyond the last embedding share it.
      mask_BxS: True where a text has a token.
      train: whether dropout is applied, with the rng "dropout".
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
    """Encodes texts and makes the keys and values for the decoder's layers.

    See `encode` for the arguments.
    """
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
    """Hidden states that predict the next token at each position.

    Args:
      tokens_BxQ: token at each position; positions are those of a text, beams,
        or nodes of a tree.
      memory: encoded source, from `remember`.
      look: (layer, keys and values of the positions) -> `View`, what the
        positions attend to in the layer.
      train: whether dropout is applied, with the rng "dropout".

    Returns:
      The hidden states, and the keys and values that each layer attended to.
    """
    x_BxQxD = self.words(tokens_BxQ)
    return self.decoder(x_BxQxD, look, memory, train=train)

  def bias(
    self, distance_QxK: Int[Array, '*b Q K']
  ) -> Float[Array, '*b H Q K']:
    """Bias that the decoder adds to attention logits for relative positions.

    Args:
      distance_QxK: position of each key minus position of each query.
    """
    return self.decoder.bias(distance_QxK)

  def write(
    self, target_BxT: Int[Array, 'B T'], memory: Memory, *, train: bool = False
  ) -> Float[Array, 'B T D']:
    """Hidden states of whole texts; a token sees itself and earlier tokens.

    Args:
      target_BxT: tokens of the texts.
      memory: encoded source, from `remember`.
      train: whether dropout is applied, with the rng "dropout".
    """
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
    """Logits of all tokens of the vocabulary, or of `tokens_W` alone."""
    table_WxD = self.words.embedding
    if tokens_W is not None:
      table_WxD = table_WxD[tokens_W]
    return hidden @ table_WxD.T * self.config.d_model**-0.5


def abstract_params(config: T5Config) -> Any:
  """Shapes and types of the parameters, without values."""
  return jax.eval_shape(lambda: init_params(config, jax.random.key(0)))


def init_params(config: T5Config, key: jax.Array) -> Any:
  """Initial parameters, by the rule of T5's authors."""
  one = jnp.zeros((1, 1), jnp.int32)
  source = one, one, one == 0
  return T5(config).init(key, source, one)['params']


def forward_flops(
  config: T5Config, num_rows: int, source: int, positions: int
) -> float:
  """Operations of encoding and decoding a batch; a multiply-add counts as two.

  Look-ups, norms, softmax and logits are not counted.

  Args:
    config: sizes of the network.
    num_rows: B, number of rows of the batch.
    source: S, number of tokens that each row encodes.
    positions: Q, number of positions that each row decodes.
  """
  D, width = config.d_model, config.num_heads * config.d_kv
  net = 2 * D * config.d_ff
  encoder = source * (4 * D * width + net + 2 * source * width)
  decoder = positions * (6 * D * width + net + 2 * (source + positions) * width)
  decoder += 2 * source * D * width
  layers = config.num_layers * encoder + config.num_decoder_layers * decoder
  return 2.0 * num_rows * layers
