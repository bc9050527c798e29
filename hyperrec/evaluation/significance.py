"""Paired bootstrap over users and seeds, Holm's correction, verdicts.

Not Wilcoxon or sign tests: their error is inflated at thousands of users
(Ihemelandu & Ekstrand, SIGIR 2023, arXiv 2305.02461).
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

# The smallest relative difference that matters, and the level of the tests.
MIN_EFFECT = 0.01
ALPHA = 0.05


class Comparison(NamedTuple):
  """A method against a baseline.

  Attributes:
    difference: mean(a) - mean(b).
    relative: the difference over mean(b); infinite where that is 0.
    low: lower end of the 95% interval of `relative`.
    high: its upper end.
    p_value: two-sided, from the bootstrap distribution.
  """

  difference: float
  relative: float
  low: float
  high: float
  p_value: float


def bootstrap_interval(
  values: np.ndarray | Sequence[np.ndarray],
  *,
  seed: int,
  num_resamples: int = 1000,
) -> tuple[float, float]:
  """95% percentile interval of a mean over users (and seeds).

  Args:
    values: [U] of one seed, or a sequence of such arrays, one a seed.
    seed: of the resampling.
    num_resamples: bootstrap samples.
  """
  means = _resampled_means(_by_seed(values), seed, num_resamples)
  low, high = np.percentile(means, [2.5, 97.5])
  return float(low), float(high)


def paired_bootstrap(
  a: np.ndarray | Sequence[np.ndarray],
  b: np.ndarray | Sequence[np.ndarray],
  *,
  seed: int,
  num_resamples: int = 2000,
) -> Comparison:
  """Compares two methods on the same users; seeds are the second level.

  Each sample draws seeds, then users within each, both with replacement.

  Args:
    a: [U] or one such array a seed: the method's values.
    b: the baseline's values of the same users.
    seed: of the resampling.
    num_resamples: bootstrap samples.

  Raises:
    ValueError: the two do not hold the same users, or a value is no number.
  """
  a, b = _by_seed(a), _by_seed(b)
  if [len(x) for x in a] != [len(x) for x in b]:
    raise ValueError('the two methods were not judged on the same users')
  differences = [x - y for x, y in zip(a, b, strict=True)]
  means = _resampled_means(differences, seed, num_resamples)
  base = float(np.mean([x.mean() for x in b]))
  mean = float(np.mean([d.mean() for d in differences]))
  low, high = np.percentile(means, [2.5, 97.5])
  tail = min((means <= 0).mean(), (means >= 0).mean())
  p_value = min(1.0, max(2 * float(tail), 1 / num_resamples))
  return Comparison(
    mean, *(_ratio(float(x), base) for x in (mean, low, high)), p_value
  )


def holm(p_values: Sequence[float]) -> np.ndarray:
  """Holm's adjusted p-values, in the order given."""
  p_values = np.asarray(p_values, float)
  order = np.argsort(p_values)
  steps = (len(p_values) - np.arange(len(p_values))) * p_values[order]
  adjusted = np.empty(len(p_values))
  adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
  return adjusted


def verdict(
  comparison: Comparison, adjusted_p: float | None = None
) -> Literal['win', 'loss', 'tie', 'unclear', 'untested']:
  """The comparison in one word.

  Args:
    comparison: of a method with a baseline.
    adjusted_p: p-value after correction for other tests, if there are any.

  Returns:
    'win' or 'loss' for a significant difference of at least `MIN_EFFECT`;
    'tie' for a smaller one that is known well: its interval lies within
    `MIN_EFFECT`, or on one side of zero; 'unclear' where the data cannot
    tell; 'untested' where there is no p-value.
  """
  p_value = comparison.p_value if adjusted_p is None else adjusted_p
  if math.isnan(p_value):
    return 'untested'
  low, high = comparison.low, comparison.high
  if abs(comparison.relative) < MIN_EFFECT:
    is_small = max(abs(low), abs(high)) <= MIN_EFFECT
    return 'tie' if is_small or low > 0 or high < 0 else 'unclear'
  if p_value >= ALPHA:
    return 'unclear'
  return 'win' if comparison.relative > 0 else 'loss'


def _ratio(value: float, base: float) -> float:
  """The value over base; what a baseline of 0 is beaten by is infinite."""
  if base:
    return value / base
  return math.copysign(math.inf, value) if value else 0.0


def _by_seed(values) -> list[np.ndarray]:
  if isinstance(values, np.ndarray) and values.ndim == 1:
    values = [values]
  groups = [np.asarray(v, float) for v in values]
  for seed, group in enumerate(groups):
    if group.ndim != 1 or len(group) == 0:
      raise ValueError(
        f'values of seed {seed} have shape {group.shape}; one number for each '
        'of at least one user is needed'
      )
    if not np.isfinite(group).all():
      user = int(np.flatnonzero(~np.isfinite(group))[0])
      raise ValueError(
        f'the value of seed {seed}, user {user} is {group[user]}; leave out '
        'users without a value'
      )
  if not groups:
    raise ValueError('no seed holds a value; nothing can be compared')
  return groups


def _resampled_means(
  groups: list[np.ndarray], seed: int, num_resamples: int
) -> np.ndarray:
  """Means of two-level resamples; one group keeps the first level fixed."""
  random = np.random.default_rng(seed)
  drawn = random.integers(0, len(groups), (num_resamples, len(groups)))
  means = np.empty(drawn.shape)
  # A seed that is drawn twice gets other users each time.
  for index, group in enumerate(groups):
    is_drawn = drawn == index
    means[is_drawn] = _means(group, random, int(is_drawn.sum()))
  return means.mean(axis=1)


def _means(values: np.ndarray, random, num_resamples: int) -> np.ndarray:
  """Bootstrap means, a few samples at a time to bound the memory."""
  at_a_time = max(1, 2**22 // max(1, len(values)))
  means = []
  for start in range(0, num_resamples, at_a_time):
    count = min(at_a_time, num_resamples - start)
    draws = random.integers(0, len(values), (count, len(values)))
    means.append(values[draws].mean(axis=1))
  return np.concatenate(means) if means else np.empty(0)
