"""What a run prints: the curves as tables, and whether asking is worth it."""

import collections

from experiments.pref import curves
from hyperrec.evaluation import significance

_TITLES = {
  'nothing': 'no question, nothing known',
  'known': 'asked only about items that the user has rated',
  'all': 'asked about popular items; "I don\'t know" costs a question',
  'likes': 'as many likes, no question',
}


def table(points: list[dict], metric: str) -> str:
  """Mean of each way by questions, and half the width of its 95% interval.

  Args:
    points: of `curves.points`.
    metric: one of theirs.
  """
  budgets = sorted({point['questions'] for point in points})
  width = 2 + max(len(point['arm']) for point in points)
  head = ''.join(f'{budget:>14}' for budget in budgets)
  lines = [f'{metric} by number of questions', f'{"":{width}}{head}']
  for condition in dict.fromkeys(point['condition'] for point in points):
    lines.append(_TITLES[condition])
    rows = collections.defaultdict(dict)
    for point in points:
      if point['condition'] == condition:
        rows[point['arm']][point['questions']] = point['metrics'][metric]
    for arm, found in rows.items():
      cells = ''.join(f'{_cell(found.get(q)):>14}' for q in budgets)
      lines.append(f'  {arm:{width - 2}}{cells}'.rstrip())
  return '\n'.join(lines)


def _cell(found: dict | None) -> str:
  if found is None:
    return ''
  return f'{found["mean"]:.3f} ±{(found["high"] - found["low"]) / 2:.3f}'


def advice(measured: list[curves.Measured], metric: str) -> list[str]:
  """Whether asking is worth it, and how many questions: a sentence a condition.

  Of each condition the way that is best after the most questions is compared
  with itself before the first, or with counting where no run was without
  questions. Names the smallest number of questions that reaches 99% of the
  best mean.

  Args:
    measured: every seed's values.
    metric: of the ranking.
  """
  values = collections.defaultdict(list)
  for row in measured:
    values[row.arm, row.condition, row.questions].append(row.metrics[metric])
  nothing = next(v for key, v in values.items() if key[1] == 'nothing')
  sentences = []
  for condition in ('known', 'all'):
    arms = dict.fromkeys(arm for arm, kind, _ in values if kind == condition)
    counts = sorted({q for _, kind, q in values if kind == condition and q})
    if not arms or not counts:
      continue
    best = max(arms, key=lambda arm: _mean(values[arm, condition, counts[-1]]))
    means = {q: _mean(values[best, condition, q]) for q in counts}
    least = (1 - significance.MIN_EFFECT) * max(means.values())
    enough = next(q for q in counts if means[q] >= least)
    start = values.get((best, condition, 0), nothing)
    asked = values[best, condition, enough]
    found = significance.paired_bootstrap(asked, start, seed=0)
    worth = {
      'win': 'is worth it',
      'loss': 'makes the ranking worse',
      'tie': 'changes nothing',
      'unclear': 'shows no certain gain',
    }[significance.verdict(found)]
    number = f'{enough} question{"s" * (enough > 1)}'
    sentences.append(
      f'{_TITLES[condition].split(";")[0]}, "{best}": asking {worth}. With '
      f'{number} {metric} is {means[enough]:.3f} instead of '
      f'{_mean(start):.3f} ({found.relative:+.1%}, {found.low:+.1%} to '
      f'{found.high:+.1%}){_more(counts, enough)}.'
    )
  return sentences or ['no question was asked, so nothing is known of asking']


def _more(counts: list[int], enough: int) -> str:
  if enough == counts[-1]:
    return '; more were not tried'
  return f'; up to {counts[-1]} add less than 1%'


def _mean(by_seed) -> float:
  return float(sum(of.mean() for of in by_seed) / len(by_seed))
