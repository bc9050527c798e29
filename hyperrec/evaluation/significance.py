"""Bootstrap intervals over users and paired comparisons."""

from typing import NamedTuple

import numpy as np


class Comparison(NamedTuple):
  """a against b: mean difference, relative to b, interval and p-value."""

  difference: float
  relative: float
  low: float
  high: float
  p_value: float


def bootstrap_interval(
  values: np.ndarray, *, seed: int, num_resamples: int = 1000
) -> tuple[float, float]:
  """95% percentile interval of the mean of values [U]."""
  random = np.random.default_rng(seed)
  draws = random.integers(0, len(values), (num_resamples, len(values)))
  low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
  return float(low), float(high)


def paired_bootstrap(
  a: np.ndarray, b: np.ndarray, *, seed: int, num_resamples: int = 2000
) -> Comparison:
  """Compares two methods on the same users [U]."""
  difference = np.asarray(a, float) - np.asarray(b, float)
  random = np.random.default_rng(seed)
  draws = random.integers(0, len(difference), (num_resamples, len(difference)))
  means = difference[draws].mean(1)
  low, high = np.percentile(means, [2.5, 97.5])
  tail = min((means <= 0).mean(), (means >= 0).mean())
  mean = float(difference.mean())
  return Comparison(
    mean,
    mean / float(np.mean(b)),
    float(low),
    float(high),
    float(min(1, 2 * tail)),
  )
