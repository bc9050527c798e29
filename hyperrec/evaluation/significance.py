"""Paired bootstrap over users and seeds, Holm's correction, verdicts.

Wilcoxon and sign tests are not used, since their error is inflated with
thousands of users (Ihemelandu & Ekstrand, SIGIR 2023, arXiv 2305.02461).
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

# Smallest relative difference that matters, and significance level.
MIN_EFFECT = 0.01
ALPHA = 0.05


class Comparison(NamedTuple):
  """The comparison of a method a with a baseline b.

  Attributes:
    difference: mean(a) - mean(b).
    relative: the difference divided by mean(b); infinite if mean(b) is 0 and
      the difference is not.
    low: lower end of the 95% interval of `relative`.
    high: upper end of the 95% interval of `relative`.
    p_value: two-sided p-value from the bootstrap distribution.
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
  """Returns the 95% percentile interval of a mean over users (and seeds).

  Args:
    values: [U] values of one seed, or a sequence of such arrays, one per seed.
    seed: random seed of the resampling.
    num_resamples: number of bootstrap samples.

  Raises:
    ValueError: there is no value, or a value is not finite.
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
  """Compares two methods on the same users by a two-level bootstrap.

  Each sample draws seeds, then users within each seed, both with replacement.

  Args:
    a: [U] values of the method, or a sequence of such arrays, one per seed.
    b: values of the baseline for the same users and seeds.
    seed: random seed of the resampling.
    num_resamples: number of bootstrap samples.

  Raises:
    ValueError: the numbers of users or seeds differ, or a value is not finite.
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
  """Returns p-values adjusted by Holm's method, in the given order."""
  p_values = np.asarray(p_values, float)
  order = np.argsort(p_values)
  steps = (len(p_values) - np.arange(len(p_values))) * p_values[order]
  adjusted = np.empty(len(p_values))
  adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
  return adjusted


def verdict(
  comparison: Comparison, adjusted_p: float | None = None
) -> Literal['win', 'loss', 'tie', 'unclear', 'untested']:
  """Summarizes a comparison in one word.

  Args:
    comparison: the comparison of a method with a baseline.
    adjusted_p: p-value corrected for multiple tests; None uses the p-value of
      the comparison.

  Returns:
    'win' or 'loss' for a significant difference of at least `MIN_EFFECT`;
    'tie' for a smaller difference whose interval lies within `MIN_EFFECT` or on
    one side of zero; 'untested' without a p-value; 'unclear' in all other
    cases.
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
  """Returns value / base; for base 0 it is infinite, or 0 if both are 0."""
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
        f'values of seed {seed} have shape {group.shape}; give one value per '
        'user, for at least one user'
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
  """Means of two-level resamples [num_resamples]; a group is one seed."""
  random = np.random.default_rng(seed)
  drawn = random.integers(0, len(groups), (num_resamples, len(groups)))
  means = np.empty(drawn.shape)
  # If a seed is drawn twice, its users are drawn anew each time.
  for index, group in enumerate(groups):
    is_drawn = drawn == index
    means[is_drawn] = _means(group, random, int(is_drawn.sum()))
  return means.mean(axis=1)


def _means(values: np.ndarray, random, num_resamples: int) -> np.ndarray:
  """Bootstrap means [num_resamples], computed in parts to limit memory."""
  at_a_time = max(1, 2**22 // max(1, len(values)))
  means = []
  for start in range(0, num_resamples, at_a_time):
    count = min(at_a_time, num_resamples - start)
    draws = random.integers(0, len(values), (count, len(values)))
    means.append(values[draws].mean(axis=1))
  return np.concatenate(means) if means else np.empty(0)
