"""Bootstrap over people, pooled effects, Holm's correction, verdicts.

Wilcoxon and sign tests are not used, since their error is inflated with
thousands of users (Ihemelandu & Ekstrand, SIGIR 2023, arXiv 2305.02461).
"""

import functools
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int
from scipy import stats

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


class Pooled(NamedTuple):
  """A mean effect with data sets as units; effects are ratios of quality.

  Attributes:
    ratio: the geometric mean of the ratios.
    low: lower end of its 95% interval.
    high: upper end.
    p_better: one-sided p-value against "at most `MIN_EFFECT` better".
    p_worse: one-sided p-value against "at most `MIN_EFFECT` worse".
    count: number of data sets.
  """

  ratio: float
  low: float
  high: float
  p_better: float
  p_worse: float
  count: int


def pooled(ratios: Sequence[float]) -> Pooled:
  """Pools one ratio of each data set by a mean of logarithms.

  The data sets are the units, so the interval (Student's t) tells what to
  expect of another data set like them. The noise of each ratio is a part of the
  spread between data sets.

  Args:
    ratios: positive numbers, one for each of at least two data sets.

  Raises:
    ValueError: there are fewer than two, or one is not positive.
  """
  ratios = np.asarray(ratios, float)
  if len(ratios) < 2 or not (np.isfinite(ratios) & (ratios > 0)).all():
    raise ValueError(f'{ratios.tolist()} are not at least two positive ratios')
  logs = np.log(ratios)
  mean, error = float(logs.mean()), float(stats.sem(logs))
  freedom, least = len(logs) - 1, math.log1p(MIN_EFFECT)
  half = float(stats.t.ppf(1 - ALPHA / 2, freedom)) * error
  return Pooled(
    *(math.exp(x) for x in (mean, mean - half, mean + half)),
    p_better=float(stats.t.sf((mean - least) / max(error, 1e-12), freedom)),
    p_worse=float(stats.t.cdf((mean + least) / max(error, 1e-12), freedom)),
    count=len(logs),
  )


def people_bootstrap(
  a: Sequence[np.ndarray],
  b: Sequence[np.ndarray],
  people: Sequence[Sequence],
  *,
  seed: int,
  num_resamples: int = 2000,
) -> Comparison:
  """Compares two methods on one data set; people are resampled across seeds.

  A person who is tested under several seeds is drawn with all of these results
  or with none, since they are not independent. Seeds are taken as they are:
  they divide the people, and do not stand for other people.

  Args:
    a: [U_s] values of the method, for each seed s.
    b: values of the baseline for the same people.
    people: who they are.
    seed: seed of the resampling.
    num_resamples: number of bootstrap samples.

  Raises:
    ValueError: the numbers of values or people differ, or a value is not
      finite.
  """
  a, b = _by_seed(a), _by_seed(b)
  sizes = [len(one) for one in people]
  if sizes != [len(x) for x in a] or sizes != [len(x) for x in b]:
    raise ValueError('the two methods were not judged on the same people')
  names, index = np.unique(
    np.concatenate([np.asarray(one).astype(str) for one in people]),
    return_inverse=True,
  )
  # For each seed: results of a person, and the sums of their values.
  told = np.zeros((len(sizes), 3, len(names)))
  for one, place, *sides in zip(
    told, np.split(index, np.cumsum(sizes)[:-1]), a, b, strict=True
  ):
    for row, values in zip(one, (1.0, *sides), strict=True):
      np.add.at(row, place, values)
  drawn = _drawn_people(len(names), seed, num_resamples)
  at_a_time = max(1, 2**22 // len(names))
  relative = []
  for start in range(0, num_resamples, at_a_time):
    some = drawn[start : start + at_a_time].astype(float)
    total, mine, theirs = np.moveaxis(some @ told.transpose(0, 2, 1), -1, 0)
    mine, theirs = ((x / np.maximum(total, 1)).sum(0) for x in (mine, theirs))
    relative.append((mine - theirs) / np.where(theirs, theirs, np.nan))
  relative = np.concatenate(relative)
  base = float(np.mean([x.mean() for x in b]))
  mean = float(np.mean([x.mean() for x in a])) - base
  low, high = np.nanpercentile(relative, [2.5, 97.5])
  tail = min((relative <= 0).mean(), (relative >= 0).mean())
  p_value = min(1.0, max(2 * float(tail), 1 / num_resamples))
  return Comparison(mean, _ratio(mean, base), float(low), float(high), p_value)


@functools.lru_cache(maxsize=32)
def _drawn_people(
  num_people: int, seed: int, num_resamples: int
) -> Int[np.ndarray, 'N P']:
  """How often each person is drawn in each sample; the same for equal sizes."""
  random = np.random.default_rng(seed)
  share = np.full(num_people, 1 / num_people)
  drawn = np.empty((num_resamples, num_people), np.int16)
  for row in drawn:
    row[:] = random.multinomial(num_people, share)
  drawn.flags.writeable = False
  return drawn


def holm(p_values: Sequence[float]) -> np.ndarray:
  """Returns p-values adjusted by Holm's method, in the given order."""
  p_values = np.asarray(p_values, float)
  order = np.argsort(p_values)
  steps = (len(p_values) - np.arange(len(p_values))) * p_values[order]
  adjusted = np.empty(len(p_values))
  adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
  return adjusted


def holm_chains(chains: Sequence[Sequence[float]]) -> list[list[float]]:
  """Returns p-values of chains of hypotheses, adjusted by Holm's method.

  Each hypothesis of a chain is implied by the one before it, as "at most 1%
  better" is by "at least 1% worse": where one is true, all later ones are. So a
  chain counts as a single test, and it counts until its last hypothesis is
  rejected.

  Args:
    chains: p-values, which do not fall along a chain.

  Raises:
    ValueError: they fall along a chain.
  """
  if any(list(chain) != sorted(chain) for chain in chains):
    raise ValueError('the p-values fall along a chain')
  last = holm([chain[-1] for chain in chains])
  # The level at which so many chains are done with.
  done_at = [0.0, *sorted(last)]
  adjusted = []
  for chain, own in zip(chains, last.tolist(), strict=True):
    earlier = [
      min(
        own,
        *(
          max(p_value * (len(chains) - done), level)
          for done, level in enumerate(done_at[:-1])
        ),
      )
      for p_value in chain[:-1]
    ]
    adjusted.append([*earlier, own])
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
