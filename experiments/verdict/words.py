"""The words of the verdict, all of which follow from numbers."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from experiments.adaptation.report import words as report_words
from experiments.verdict import analysis, details
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


# What a gain over some of the named rivals does not show.
_UNEQUAL = (
  '(EASE and Dynamic EASE read no text, and VQ-Rec and P5 run in small '
  'settings, below their papers.)'
)


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
      _grouped('Generated parameters', retraining, 'for'),
    ),
    (
      'Better than the cheaper ways of adapting?',
      f'{_grouped("Generated parameters", cheaper, "for")} {named} {_UNEQUAL}',
    ),
    ('What does each part add?', _parts(parts)),
  )
  told = '\n'.join(f'- **{question}** {told}' for question, told in lines)
  return f'{told}\n\n{_answer_table(retraining, cheaper)}'.rstrip()


def _answer_table(
  retraining: Sequence[analysis.Claim], cheaper: Sequence[analysis.Claim]
) -> str:
  """Gains and operations of each case, beside both groups of rivals."""
  lines = [
    '| generated parameters for | data sets | over retraining [95%] | '
    'operations | for a single arrival | over the cheaper ways [95%] | '
    'operations |',
    '|---|---:|---:|---:|---:|---:|---:|',
  ]
  others = {(claim.regime, claim.ours): claim for claim in cheaper}
  for one in retraining:
    other = others.get((one.regime, one.ours))
    if other is None or None in (one.pooled, other.pooled):
      continue
    alone = [effect.cost_alone for effect in one.effects]
    lines.append(
      f'| {_about(one)} | {len(one.sets)} | {percent(one.pooled)} | '
      f'{times(_costs(one))} | {times(alone)} | {percent(other.pooled)} | '
      f'{times(_costs(other))} |'
    )
  return '\n'.join(lines) if len(lines) > 2 else ''


def _costs(claim: analysis.Claim) -> list[float]:
  return [effect.cost for effect in claim.effects]


def _grouped(
  subject: str,
  claims: Sequence[analysis.Claim],
  preposition: str,
) -> str:
  """A sentence that groups claims by what they say, and one on the others."""
  judged = [c for c in claims if c.pooled is not None and c.strict is not None]
  groups = []
  for word, verb in _VERBS.items():
    own = [claim for claim in judged if claim.word == word]
    if not own:
      continue
    told = report_words.listed(
      _about(c) if word == 'undecided' else f'{_about(c)} ({_figures(c)})'
      for c in own
    )
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
  """Such as "+4.0%, +1.1% to +7.0%, 8 data sets"."""
  return f'{gain(claim.pooled)}, {len(claim.sets)} data sets'


def percent(found: significance.Pooled) -> str:
  """A ratio as a gain with its 95% interval: "+7.1% [+2.0, +12.4]"."""
  mean, low, high = (
    f'{100 * (x - 1):+.1f}' for x in (found.ratio, found.low, found.high)
  )
  return f'{mean}% [{low}, {high}]'


def gain(found: significance.Pooled) -> str:
  """A ratio as a gain with its 95% interval: "+7.1%, +2.0% to +12.4%"."""
  mean, low, high = (
    f'{100 * (x - 1):+.1f}%' for x in (found.ratio, found.low, found.high)
  )
  return f'{mean}, {low} to {high}'


def _parts(parts: Sequence[analysis.Claim]) -> str:
  told = [claim for claim in parts if claim.pooled is not None]
  if not told:
    return 'Not enough data sets are complete yet.'
  sentences = []
  for word, verb in (
    ('better', 'These parts make the ranking better'),
    ('no worse', 'These cost less than 1%, and may help'),
    ('worse', 'These make it worse'),
  ):
    own = [
      f'{claim.other} ({gain(claim.pooled)})'
      for claim in told
      if claim.word == word
    ]
    if own:
      sentences.append(f'{verb}: {"; ".join(own)}.')
  others = sum(claim.word == 'undecided' for claim in told)
  if others:
    sentences.append(f'For {others} of {len(told)} parts no effect is clear.')
  return ' '.join(sentences)


def capacity(found: details.Correlation | None) -> str:
  """What the number of parameters says about the quality."""
  if found is None:
    return 'Too few data sets are complete.'
  if found.low <= 0 <= found.high:
    told = 'The number of parameters does not clearly tell how a method ranks'
  else:
    more = 'more' if found.mean > 0 else 'fewer'
    told = f'Methods with {more} parameters rank better'
  return (
    f"{told}: Spearman's correlation within a cell is {found.mean:+.2f} in the "
    f'mean over data sets [{found.low:+.2f}, {found.high:+.2f}], and goes from '
    f'{found.least:+.2f} to {found.greatest:+.2f}.'
  )
