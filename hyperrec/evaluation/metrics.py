"""Ranking metrics of one user, from the ranks of the user's targets.

Ranks start at 1, are sorted in ascending order and padded with `NO_RANK`. |T|
is the number of targets.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

NO_RANK = 2**30

Ranks = Int[Array, ' T']
Scalar = Float[Array, '']


def recall(ranks: Ranks, num_targets: Array, k: int) -> Scalar:
  """Number of targets in the top k, divided by |T| (LightGCN, BARS)."""
  return (ranks <= k).sum() / jnp.maximum(num_targets, 1)


def recall_min(ranks: Ranks, num_targets: Array, k: int) -> Scalar:
  """Number of targets in the top k by min(k, |T|) (Liang et al., WWW 2018)."""
  return (ranks <= k).sum() / jnp.clip(num_targets, 1, k)


def ndcg(ranks: Ranks, num_targets: Array, k: int) -> Scalar:
  """Binary NDCG@k; the ideal list holds min(k, |T|) targets."""
  gain = jnp.where(ranks <= k, 1 / jnp.log2(ranks + 1.0), 0.0).sum()
  place = jnp.arange(1, k + 1)
  ideal = jnp.where(place <= num_targets, 1 / jnp.log2(place + 1.0), 0.0)
  return gain / jnp.maximum(ideal.sum(), 1e-9)


def hit_rate(ranks: Ranks, num_targets: Array, k: int) -> Scalar:
  """1 if any target is in the top k, otherwise 0."""
  del num_targets
  return (ranks[0] <= k).astype(jnp.float32)


def reciprocal_rank(ranks: Ranks, num_targets: Array, k: int) -> Scalar:
  """1 / rank of the best target; 0 if it is beyond k. k = 0 is no cut-off."""
  del num_targets
  is_listed = (k == 0) | (ranks[0] <= k)
  return jnp.where(is_listed, 1 / ranks[0].astype(jnp.float32), 0.0)


METRICS = {
  'recall': recall,
  'recall_min': recall_min,
  'ndcg': ndcg,
  'hr': hit_rate,
  'mrr': reciprocal_rank,
}


def parse(name: str) -> tuple[str, int]:
  """Parses 'ndcg@100' as ('ndcg', 100), and 'mrr' (no cut-off) as ('mrr', 0).

  Raises:
    ValueError: the metric is unknown, or the cut-off is not in 1..2**30 - 1.
  """
  kind, _, cut = name.partition('@')
  is_cut = cut.isdecimal() and 0 < int(cut) < NO_RANK
  if kind not in METRICS or not (is_cut or name == 'mrr'):
    raise ValueError(
      f'metric {name!r} is unknown; use mrr, or one of '
      f'{[*METRICS]} with a cut-off, such as ndcg@100'
    )
  return kind, int(cut) if is_cut else 0
