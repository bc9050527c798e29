"""Other columns of the same item, which a trained generator mixes.

One kernel and one product with the weights need not be best for every item. So
there are several kernel regressions: on all views of the text together, on each
view alone, and with a sharper kernel. Each gives its shares S and the smoothed
shares B S. Beside them stand the shares that are smoothed twice, B B S, and the
shares of popular items, B (p S) with p the standardised log counts.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from hyperrec.cost import memory
from hyperrec.systems.hyperease import hidden_columns, item_columns

# How much sharper the sharp kernel is.
_SHARPER = 4.0

Table = Float[np.ndarray, '_ F']
# shares -> (smoothed shares, operations)
Smoothing = Callable[[np.ndarray], tuple[np.ndarray, float]]


class Mixture(NamedTuple):
  """What the other columns of new items are made of.

  Attributes:
    factors: lower Cholesky factor of each kernel but the first, which is that
      of the catalogue.
    lengths: [K], by which each column is divided, so that all have the median
      length of the closed form's columns.
    popularity: [V], standardised log counts.
  """

  factors: tuple[Float[np.ndarray, 'V V'], ...]
  lengths: Float[np.ndarray, ' K']
  popularity: Float[np.ndarray, ' V']


def of_old(
  config: item_columns.ItemColumnsConfig,
  precision: Float[np.ndarray, 'V V'],
  views: Sequence[Table],
  hidden: item_columns.Generated,
  popularity: Float[np.ndarray, ' V'],
) -> tuple[Float[np.ndarray, 'K V V'], Mixture, float]:
  """The other columns of each old item, each in a catalogue without it.

  Args:
    config: hyperparameters of the closed form.
    precision: P of the whole catalogue.
    views: features of its items; first those of all views together.
    hidden: the closed form (`hidden_columns.generate`).
    popularity: standardised log counts.

  Returns:
    The columns, what those of new items are made of, and the operations.

  Raises:
    InsufficientMemoryError: they do not fit.
  """
  num_items, num_kernels = len(views[0]), len(views) + 1
  memory.check_memory(
    4 * (3 * num_kernels + 6) * num_items**2,
    f'several columns of each of {num_items} items',
  )
  found, factors, operations = [hidden.shares], [], 0.0
  for table, sharpness in _kernels(config, views)[1:]:
    made, spent = hidden_columns.regress(table, sharpness, config.l2_kernel)
    found.append(made)
    factors.append(
      item_columns.kernel_factor(table, sharpness, config.l2_kernel)
    )
    operations += spent
  smooth = lambda s: hidden_columns.smooth(precision, s)  # noqa: E731
  mixed, of_products = _all(found, popularity, smooth)
  length = np.median(np.linalg.norm(hidden.columns, axis=0))
  lengths = np.array(
    [np.median(np.linalg.norm(one, axis=0)) for one in mixed], np.float32
  )
  lengths = np.maximum(lengths, 1e-9) / max(length, 1e-9)
  mixed /= lengths[:, None, None]
  made = Mixture(tuple(factors), lengths, popularity)
  return mixed, made, operations + of_products


def of_new(
  config: item_columns.ItemColumnsConfig,
  mixture: Mixture,
  weights: Float[np.ndarray, 'V V'],
  shares: Float[np.ndarray, 'V N'],
  views: Sequence[tuple[Table, Table]],
) -> tuple[Float[np.ndarray, 'K V N'], float]:
  """The other columns of new items, and the operations.

  Args:
    config: hyperparameters of the closed form.
    mixture: see `Mixture`.
    weights: B.
    shares: of the closed form.
    views: features of the old items and of the new ones; first those of all
      views together.
  """
  found, operations = [shares], 0.0
  for factor, ((known, new), sharpness) in zip(
    mixture.factors, _kernels(config, views)[1:], strict=True
  ):
    made, spent = item_columns.regression(factor, known, new, sharpness)
    found.append(made)
    operations += spent
  smooth = lambda s: (weights @ s, 2.0 * weights.size * s.shape[1])  # noqa: E731
  mixed, of_products = _all(found, mixture.popularity, smooth)
  mixed /= mixture.lengths[:, None, None]
  return mixed, operations + of_products


def _kernels(config, views: Sequence) -> list[tuple[Any, float]]:
  """View and sharpness of each kernel; that of the closed form is first."""
  alone = views[1:] if len(views) > 2 else []
  plain = [(view, config.sharpness) for view in (views[0], *alone)]
  return [*plain, (views[0], _SHARPER * config.sharpness)]


def _all(
  shares: Sequence[np.ndarray], popularity: np.ndarray, smooth: Smoothing
) -> tuple[np.ndarray, float]:
  """All columns, from the shares of all kernels; the operations."""
  found, operations = [], 0.0
  for one in shares:
    smoothed, spent = smooth(one)
    found += [one, smoothed]
    operations += spent
  twice, spent = smooth(found[1])
  popular, more = smooth(popularity[:, None] * shares[0])
  found += [twice, popular]
  return np.stack(found), operations + spent + more
