"""Two towers from item features straight to scores: nothing is generated.

The plain network that a generator of weights is compared with (in the form of
Yi et al., RecSys 2019, "Sampling-Bias-Corrected Neural Modeling for Large
Corpus Item Recommendations"): one tower reads each item that a user has shown,
another each item to be scored, and a score is a product of the two.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class TwoTower(nn.Module):
  """u . v with u the mean of what the first tower reads of a history.

  Attributes:
    hidden_dim: of the one hidden layer of each tower.
    dim: D of their outputs.
  """

  hidden_dim: int = 256
  dim: int = 128

  @nn.compact
  def __call__(
    self, features: Float[Array, 'V F']
  ) -> tuple[Float[Array, 'V D'], Float[Array, 'V D']]:
    """Each item as part of a history, and as one to be scored."""
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
  """Scores of the whole catalogue; an empty history scores 0 everywhere."""
  length_B = jnp.maximum(histories.sum(axis=1), 1)
  return (histories @ shown / length_B[:, None]) @ scored.T


def forward_flops(
  num_items: int, width: int, num_users: int, model: TwoTower
) -> float:
  """Operations of towers [V, F] and of the scores of B users."""
  towers = 4.0 * num_items * model.hidden_dim * (width + model.dim)
  return towers + 4.0 * num_users * num_items * model.dim
