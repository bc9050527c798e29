"""The words of the verdict, all of which follow from numbers."""

import math
from collections.abc import Sequence

import numpy as np

from experiments.verdict import analysis
from hyperrec import regimes
from hyperrec.evaluation import significance


def title(regime: str) -> str:
  """The heading of a regime."""
  return regimes.find(regime).title


def times(ratios: Sequence[float]) -> str:
  """The geometric mean of ratios of operations, such as "1/30" or "4.1".

  Ratios to a method that needs no operations are told apart.
  """
  finite = [one for one in ratios if 0 < one < math.inf]
  free = sum(one == 0 for one in ratios)
  endless = sum(one == math.inf for one in ratios)
  parts = []
  if finite:
    mean = math.exp(np.mean(np.log(finite)))
    parts.append(f'1/{_two(1 / mean)}' if mean < 0.95 else _two(mean))
  if free:
    parts.append('none needed' if free == len(ratios) else f'none in {free}')
  if endless:
    told = 'the other needs none'
    parts.append(told if endless == len(ratios) else f'{told} in {endless}')
  return ', '.join(parts)


def interval(found: significance.Pooled | analysis.Effect) -> str:
  """A ratio with its 95% interval, such as "1.071 [1.020, 1.124]"."""
  return f'{found.ratio:.3f} [{found.low:.3f}, {found.high:.3f}]'


def adaptations(number: float) -> str:
  """A number of adaptations, such as "3", "at once" or "never"."""
  if number == 0:
    return 'at once'
  return 'never' if number == math.inf else f'{math.ceil(number):,}'


def _two(value: float) -> str:
  """Two significant digits, without an exponent."""
  return f'{float(f"{value:.2g}"):,g}'


def answer(
  claims: Sequence[analysis.Claim], rivals: Sequence[analysis.Claim]
) -> str:
  """The answer to the question, in a sentence for each of its parts."""
  parts = [
    (
      'Cheaper than retraining at equal quality?',
      [c for c in claims if c.other == analysis.RETRAINING],
    ),
    (
      'Better than the cheaper ways of adapting?',
      [c for c in claims if c.other == analysis.CHEAPER],
    ),
  ]
  lines = [f'- **{question}** {_told(own)}' for question, own in parts]
  lines.append(f'- **Against each rival by name?** {_named(rivals)}')
  return '\n'.join(lines)


def capacity(correlation: float | None) -> str:
  """What the number of parameters says about the quality."""
  if correlation is None:
    return 'No data set is complete yet.'
  if abs(correlation) < 0.2:
    told = 'hardly tells how well a method ranks'
  else:
    more = 'more' if correlation > 0 else 'fewer'
    told = f'goes with quality: methods with {more} parameters rank better'
  return (
    f'Within a cell, the number of parameters {told} (Spearman '
    f'{correlation:+.2f}, the mean over cells).'
  )


def _told(claims: Sequence[analysis.Claim]) -> str:
  """One sentence for each claim that has enough data sets."""
  found = [claim for claim in claims if claim.pooled is not None]
  if not found:
    return 'Not enough data sets have run yet.'
  sentences = []
  for claim in found:
    cost = times([one.cost for one in claim.effects])
    sentences.append(
      f'{title(claim.regime)}: {claim.ours} ranks {_how(claim)} '
      f'({len({e.dataset for e in claim.effects})} data sets), at {cost} times '
      'the operations.'
    )
  return ' '.join(sentences)


def _how(claim: analysis.Claim) -> str:
  """Such as "better, 1.071 [1.020, 1.124] times"."""
  word = {
    'better': 'better',
    'worse': 'worse',
    'level': 'as well',
    'open': 'not clearly better or worse',
  }[claim.word]
  return f'{word}, {interval(claim.pooled)} times'


def _named(rivals: Sequence[analysis.Claim]) -> str:
  found = [claim for claim in rivals if claim.pooled is not None]
  if not found:
    return 'Not enough data sets have run yet.'
  return ' '.join(f'{claim.other}: {_how(claim)}.' for claim in found)
