"""The words of the verdict, all of which follow from numbers."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from experiments.adaptation.report import words as report_words
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
    mean = _mean(finite)
    parts.append(f'1/{_two(1 / mean)}' if mean < 0.95 else _two(mean))
  if free:
    parts.append('none needed' if free == len(ratios) else f'none in {free}')
  if endless:
    told = 'the other needs none'
    parts.append(told if endless == len(ratios) else f'{told} in {endless}')
  return ', '.join(parts)


def _mean(ratios: Sequence[float]) -> float:
  """The geometric mean."""
  return math.exp(np.mean(np.log(ratios)))


def interval(found: significance.Pooled | analysis.Effect) -> str:
  """A ratio with its 95% interval, such as "1.071 [1.020, 1.124]"."""
  return f'{found.ratio:.3f} [{found.low:.3f}, {found.high:.3f}]'


def adaptations(number: float) -> str:
  """A number of adaptations, such as "3", "at once" or "never"."""
  if number < 0:
    return f'ahead until {math.ceil(-number):,}'
  if number == 0:
    return 'at once'
  return 'never' if number == math.inf else f'{math.ceil(number):,}'


def _two(value: float) -> str:
  """Two significant digits, without an exponent."""
  return f'{float(f"{value:.2g}"):,g}'


# What a claim says, and how it is told, the best news first.
_VERBS = {
  'better': 'rank better',
  'no worse': 'rank no worse',
  'worse': 'rank worse',
  'undecided': 'are neither clearly better nor clearly worse',
}
# The regimes, within a sentence.
_CASES = {
  'new_items': 'new items',
  'new_users': 'new users',
  'new_catalogue': 'a new catalogue',
  'drift': 'drift',
  'new_domain': 'a new domain',
}


def cases(regimes_: Iterable[str]) -> str:
  """Several regimes within a sentence, such as "new items and drift"."""
  return report_words.listed(_CASES[regime] for regime in regimes_)


def answer(
  claims: Sequence[analysis.Claim],
  rivals: Sequence[analysis.Claim],
  parts: Sequence[analysis.Claim],
) -> str:
  """The answer to the question, one line for each of its parts."""
  retraining = [c for c in claims if c.other == analysis.RETRAINING]
  cheaper = [c for c in claims if c.other == analysis.CHEAPER]
  named = _grouped('The best generators', rivals, 'than')
  lines = (
    (
      'Cheaper than retraining at equal quality?',
      f'{_generated(retraining)} {_single(retraining)}'.strip(),
    ),
    (
      'Better than the cheaper ways of adapting?',
      f'{_generated(cheaper)} {named}',
    ),
    ('What does each part add?', _parts(parts)),
  )
  return '\n'.join(f'- **{question}** {told}' for question, told in lines)


def _generated(claims: Sequence[analysis.Claim]) -> str:
  return _grouped('Generated parameters', claims, 'for')


def _grouped(
  subject: str,
  claims: Sequence[analysis.Claim],
  preposition: str,
) -> str:
  """A sentence that groups claims by what they say, and one on the others.

  Claims that say something are told with all of their figures. Of those that
  stay undecided, the picture and the tables have the intervals.
  """
  judged = [c for c in claims if c.pooled is not None and c.strict is not None]
  groups = []
  for word, verb in _VERBS.items():
    own = [claim for claim in judged if claim.word == word]
    if not own:
      continue
    figures = _brief if word == 'undecided' else _figures
    told = report_words.listed(f'{_about(c)} ({figures(c)})' for c in own)
    groups.append(f'{verb} {preposition} {told}')
  others = dict.fromkeys(
    _CASES[c.regime] if c.regime else c.other for c in claims if c not in judged
  )
  sentences = []
  if groups:
    sentences.append(f'{subject} {"; they ".join(groups)}.')
  if others:
    sentences.append(
      f'Too few data sets have results for {report_words.listed(others)}.'
    )
  return ' '.join(sentences) or 'Too few data sets are complete.'


def _about(claim: analysis.Claim) -> str:
  """Such as "new items in closed form", or the name of a rival."""
  if not claim.regime:
    return claim.other
  kind = 'when trained' if claim.ours == analysis.TRAINED else 'in closed form'
  return f'{_CASES[claim.regime]} {kind}'


def _figures(claim: analysis.Claim) -> str:
  """Such as "+4.0%, +1.1% to +7.0%, 8 data sets, at 1/14 of the operations"."""
  told = f'{gain(claim.pooled)}, {len(claim.sets)} data sets'
  return told + operations(claim) if claim.regime else told


def _brief(claim: analysis.Claim) -> str:
  """Such as "+4.0%, at 1/14 of the operations"."""
  told = f'{100 * (claim.pooled.ratio - 1):+.1f}%'
  return told + operations(claim) if claim.regime else told


def _single(claims: Sequence[analysis.Claim]) -> str:
  """A sentence on the operations where one user or one item arrives alone."""
  told = []
  for claim in claims:
    costs = [one.cost_alone for one in claim.effects]
    finite = [cost for cost in costs if 0 < cost < math.inf]
    if claim.pooled and finite and claim.regime in ('new_items', 'new_users'):
      told.append(f'{times(finite)} for {_about(claim)}')
  if not told:
    return ''
  return (
    'A retraining is shared by all that arrive together; where a single item '
    'or user arrives, the operations of generating, over those of retraining, '
    f'are {report_words.listed(told)}.'
  )


def gain(found: significance.Pooled) -> str:
  """A ratio as a gain with its 95% interval: "+7.1%, +2.0% to +12.4%"."""
  mean, low, high = (
    f'{100 * (x - 1):+.1f}%' for x in (found.ratio, found.low, found.high)
  )
  return f'{mean}, {low} to {high}'


def operations(claim: analysis.Claim) -> str:
  """Such as ", at 1/14 of the operations"; empty if there is nothing to say."""
  if claim.pooled is None:
    return ''
  finite = [one.cost for one in claim.effects if 0 < one.cost < math.inf]
  if not finite:
    return ''
  ratio = times(finite)
  of = 'of' if ratio.startswith('1/') else 'times'
  told = f', at {ratio} {of} the operations'
  free = len([one for one in claim.effects if one.cost == math.inf])
  if free:
    told += (
      f', leaving out {free} of {len(claim.effects)} cells in which the '
      'rival needs none'
    )
  return told


def _parts(parts: Sequence[analysis.Claim]) -> str:
  told = [claim for claim in parts if claim.pooled is not None]
  if not told:
    return 'Not enough data sets are complete yet.'
  sentences = []
  for word, verb in (
    ('better', 'These parts make the ranking better'),
    ('worse', 'These make it worse'),
  ):
    own = [
      f'{claim.other} ({gain(claim.pooled)})'
      for claim in told
      if claim.word == word
    ]
    if own:
      sentences.append(f'{verb}: {"; ".join(own)}.')
  others = sum(claim.word not in ('better', 'worse') for claim in told)
  if others:
    sentences.append(f'For {others} of {len(told)} parts no effect is clear.')
  return ' '.join(sentences)


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
