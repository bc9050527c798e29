"""Two towers: a network that maps item features directly to scores.

A generator of weights is compared with this plain network, whose form follows
Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
Recommendations" (RecSys 2019). One tower reads the items of a history, the
other the candidates, and a score is the inner product of the two outputs.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from hyperrec.cost import counts


class TwoTower(nn.Module):
  """Two towers with one hidden layer each.

  Attributes:
    hidden_dim: Width of the hidden layer of each tower.
    dim: D, the width of their outputs.
  """

  hidden_dim: int = 256
  dim: int = 128

  @nn.compact
  def __call__(
    self, features: Float[Array, 'V F']
  ) -> tuple[Float[Array, 'V D'], Float[Array, 'V D']]:
    """Embeddings of each item as part of a history and as a candidate."""
    return tuple(
      nn.Dense(self.dim, name=f'{name}_out')(
        jnp.tanh(nn.Dense(self.hidden_dim, name=f'{name}_hidden')(features))
      )
      for name in ('shown', 'scored')
    )


def scores(
  shown: Float[Array, 'V D'],
  scored: Float[Array, 'V D'],
  histories: Float[Array, 'B V'],
) -> Float[Array, 'B V']:
  """Scores of the whole catalogue; an empty history scores 0 everywhere.

  Args:
    shown: embeddings of the items as parts of a history.
    scored: embeddings of the items as candidates.
    histories: 0/1 histories; a user's embedding is the mean of `shown` over
      the items of the history.
  """
  length_B = jnp.maximum(histories.sum(axis=1), 1)
  return (histories @ shown / length_B[:, None]) @ scored.T


def forward_flops(
  num_items: int, width: int, num_users: int, model: TwoTower
) -> float:
  """Operations of the towers over all items and of the users' scores.

  Args:
    num_items: V.
    width: F, the number of features of an item.
    num_users: B.
    model: the network, of which only the sizes count.
  """
  tower = counts.layers(num_items, width, model.hidden_dim, model.dim)
  return 2 * tower + 4.0 * num_users * num_items * model.dim
