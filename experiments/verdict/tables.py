"""Adds runs to the results of the verdict, and rewrites what they say.

  python -m experiments.verdict.tables --take=WORKDIRS
  python -m experiments.verdict.tables --take_large=WORKDIR,...
  python -m experiments.verdict.tables
  python -m experiments.verdict.tables --report=report.html   (only the page)

The tables of this folder's README, and the answer in that of the project, are
made from the rows in results/.
"""

import collections
import itertools
import json
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from absl import flags

from experiments import catalogue, pictures, pooled, readme, script, systems
from experiments.adaptation import report, stored_rows
from experiments.adaptation.report import numbers
from experiments.adaptation.report import words as report_words
from experiments.verdict import (
  analysis,
  details,
  figures,
  matrix,
  stored,
  words,
)
from experiments.verdict import cells as cells_lib
from hyperrec.evaluation import results, significance

_TAKE = flags.DEFINE_string(
  'take', None, 'Folder of the workdirs (--workdirs) whose rows are added.'
)
_TAKE_LARGE = flags.DEFINE_list(
  'take_large',
  [],
  'Workdirs of runs with large_items.flags, whose rows are added.',
)
_REPORT = flags.DEFINE_string(
  'report',
  None,
  'HTML file for a page on all committed rows; writes nothing else.',
)

# Folders of the READMEs: of the project, and of the verdict.
_ROOT, _FOLDER = pathlib.Path(), pathlib.Path('experiments/verdict')
_RESULTS = stored.FOLDER
_LARGE = _RESULTS / 'large_items'
# What an operation count is held against.
_REFIT = 'ease:retrain'


def main(argv):
  """Adds the rows of runs, and writes the tables."""
  del argv
  if _TAKE.value is not None:
    for workdir in sorted(pathlib.Path(_TAKE.value).glob('*/*')):
      regime = workdir.parent.name
      pooled.take_in(stored_rows.read(workdir), _RESULTS / regime)
  for workdir in _TAKE_LARGE.value:
    pooled.take_in(stored_rows.read(workdir), _LARGE)
  rows = stored.every_row()
  sets = cells_lib.by_set(rows)
  whole = cells_lib.complete(sets)
  if _REPORT.value is not None:
    report.write_report(cells_lib.rows_of(whole), _REPORT.value)
    return
  file = _FOLDER / 'README.md'
  claims = analysis.family(whole)
  rivals = analysis.named_rivals(whole)
  parts = analysis.parts(whole)
  # One family, since all of them are read together.
  together = iter(analysis.corrected([*claims, *rivals, *parts]))
  claims, rivals, parts = (
    list(itertools.islice(together, len(own)))
    for own in (claims, rivals, parts)
  )
  told = words.answer(claims, rivals, parts)
  readme.replace_block(
    'README.md', 'answer', f'{told}\n\n{answer_picture(claims, _ROOT)}'
  )
  for name, content in {
    'progress': progress_table(cells_lib.progress(sets)),
    'answer': f'{told}\n\n{answer_picture(claims, _FOLDER)}',
    'claims': claims_table(claims),
    'rivals': claims_table(
      rivals, {label: systems.state(label) for label in catalogue.NAMED_RIVALS}
    ),
    'power': power_line(claims, [*claims, *rivals, *parts]),
    'whole': whole_table(details.whole_catalogue(whole)),
    'parts': parts_table(parts),
    'capacity': capacity_picture(whole),
    'large': large_table(pooled.read(_LARGE)),
    'worth': worth_table(details.worth(whole)),
    'guide': guide(whole),
    'oracle': oracle_table(details.oracles(rows)),
    'effects': effects_table(claims),
    'quality': quality_tables(whole),
    'again': again_line(_RESULTS / 'again.json'),
    'left out': '\n'.join(f'- {reason}' for reason in matrix.LEFT_OUT),
  }.items():
    readme.replace_block(file, name, content)


def guide(sets: dict[cells_lib.Key, dict[int, cells_lib.Cells]]) -> str:
  """The cheapest of the methods that are nearly as good as the best."""
  tasks = report_words.in_order(results.by_task(cells_lib.rows_of(sets)))
  return report_words.guide(
    {task: numbers.leaders(cells) for task, cells in tasks.items()}
  )


def again_line(file: pathlib.Path) -> str:
  """How many of the cells that were run again gave the committed row."""
  if not file.exists():
    return 'No cell has been run again yet.'
  document = json.loads(file.read_text(encoding='utf-8'))
  cells = document['cells']
  same = sum(cell['is_same'] for cell in cells)
  within = sum(not c['is_same'] and c['is_within'] for c in cells)
  others = len(cells) - same - within
  text = (
    f'{len(cells)} random cells were run again on a fresh clone '
    f'({document["commit"][:7]}): {same} gave the committed row bit for bit, '
    'but for seconds'
  )
  text += f', {within} a value within its interval' if within else ''
  text += f', and {others} another value' if others else ''
  return f'{text} ([list](results/again.json)).'


def progress_table(
  progress: dict[cells_lib.Key, cells_lib.Progress],
) -> str:
  """The data sets of each regime, and how much of each is there."""
  lines = [
    '| regime | data set | role | rows | seeds that count | test users of a '
    'seed | note |',
    '|---|---|---|---:|---:|---:|---|',
  ]
  for (regime, name), there in progress.items():
    about = matrix.SETS[name]
    told = f'{there.rows:,}'
    if there.rows < there.planned:
      told += f' of {there.planned:,}'
    seeds = len(there.seeds) if there.is_enough else 'too few'
    people = ' to '.join(str(n) for n in dict.fromkeys(there.people) if n)
    lines.append(
      f'| {words.title(regime)} | {name} | {about.role} | {told} | {seeds} | '
      f'{people} | {about.note} |'
    )
  return '\n'.join(lines)


def answer_picture(
  claims: Sequence[analysis.Claim], folder: pathlib.Path
) -> str:
  """The picture of the claims that have enough data sets.

  Args:
    claims: all claims.
    folder: that of the README that shows it.
  """
  told = [claim for claim in claims if claim.pooled is not None]
  if not told:
    return ''
  return pictures.save(
    _RESULTS / 'answer',
    lambda: figures.answer(told),
    'Ranking quality of generated parameters over retraining and over the '
    'cheaper ways of adapting, by regime, with intervals and operations',
    folder,
  )


def capacity_picture(
  sets: dict[cells_lib.Key, dict[int, cells_lib.Cells]],
) -> str:
  """Parameters against quality, with what follows."""
  told = words.capacity(details.capacity_correlation(sets))
  found = details.capacity(sets)
  if not found:
    return told
  picture = pictures.save(
    _RESULTS / 'capacity',
    lambda: figures.capacity(found),
    'Quality over the number of parameters, one point for each method',
    _FOLDER,
  )
  return f'{told}\n\n{picture}'


def claims_table(
  claims: Sequence[analysis.Claim], states: Mapping[str, str] | None = None
) -> str:
  """Each claim: its pooled effect, its cost and what follows.

  Args:
    claims: the rows.
    states: how a rival stands beside its paper, by `Claim.other`; one more
      column, where EASE without texts has a row of its own.
  """
  lines = [
    '| generator | compared with | data sets | ratio of NDCG@100 [95%] | '
    'without one data set | over the best on the test | untouched sets | '
    'result | operations, ratio | with tuning | for a single arrival | never '
    'pays back |',
    '|---|---|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|',
  ]
  if states is not None:
    lines = [f'{lines[0]} number here, of its paper |', f'{lines[1]}---|']
  for claim in claims:
    cases = dict.fromkeys(one.regime for one in claim.effects)
    where = f'{words.title(claim.regime)}: ' if claim.regime else ''
    about = '' if claim.regime else f' ({words.cases(cases)})'
    costs = ' | '.join(
      words.times([getattr(one, name) for one in claim.effects])
      for name in ('cost', 'cost_tuned', 'cost_alone')
    )
    sets, ratio, *others = _ratios(claim)
    never = sum(one.pays_back == math.inf for one in claim.effects)
    state = (
      '' if states is None else f' {states.get(claim.other, "as for EASE")} |'
    )
    lines.append(
      f'| {where}{claim.ours} | {claim.other}{about} | {sets} | {ratio} | '
      f'{_leaving_out(claim)} | {" | ".join(others)} | {costs} | '
      f'{never} of {len(claim.effects)} |{state}'
    )
  return '\n'.join(lines)


def _leaving_out(claim: analysis.Claim) -> str:
  """The least and the greatest pooled ratio where a data set is left out."""
  logs = np.log([*analysis.ratios_of_sets(claim.effects).values()])
  if len(logs) <= pooled.FEWEST_SETS:
    return ''
  means = np.exp((logs.sum() - logs) / (len(logs) - 1))
  return f'{means.min():.3f} to {means.max():.3f}'


def power_line(
  claims: Sequence[analysis.Claim], family: Sequence[analysis.Claim]
) -> str:
  """How many tests are in the family, and what they could have shown.

  Args:
    claims: those whose spread between data sets is taken.
    family: all claims that are corrected together.
  """
  own = [one for one in claims if one.pooled is not None]
  if not own:
    return 'Too few data sets are complete.'
  num_tests = 2 * sum(one.pooled is not None for one in family)
  spread = analysis.typical_spread(own)
  found = [
    f'{100 * (analysis.least_shown(spread, count, num_tests) - 1):.0f}%'
    for count in (3, 5, 8)
  ]
  return (
    f'The family has {num_tests} tests. The results are corrected for that, '
    'and the intervals are not. With a spread between data sets that is '
    f'typical of this table ({100 * spread:.1f}%), the strictest of the tests '
    f'needs a mean gain of {found[0]} on 3 data sets, {found[1]} on 5, and '
    f'{found[2]} on 8 to call a generator better.'
  )


def whole_table(found: Sequence[details.WholeCatalogue]) -> str:
  """New items among all items: ratios to rivals, pooled and by data set."""
  lines = [
    '| generator | rival | data sets | ratio of NDCG@100 [95%] | by data set |',
    '|---|---|---:|---:|---|',
  ]
  for ours in dict.fromkeys(one.ours for one in found):
    own = [one for one in found if one.ours == ours]
    for name, rival in (
      ('ratio', 'chosen as in the claims'),
      ('strict', 'the best in the whole catalogue'),
    ):
      ratios = {one.dataset: getattr(one, name) for one in own}
      told = ', '.join(f'{data} {ratio:.2f}' for data, ratio in ratios.items())
      interval = 'too few data sets'
      if len(ratios) >= pooled.FEWEST_SETS:
        interval = words.interval(significance.pooled(list(ratios.values())))
      lines.append(
        f'| {ours} | {rival} | {len(ratios)} | {interval} | {told} |'
      )
  return '\n'.join(lines)


def parts_table(parts: Sequence[analysis.Claim]) -> str:
  """Each part: the ratio of the method with it to that without it."""
  lines = [
    '| part | | data sets | ratio of NDCG@100 [95%] | without one data set | '
    'untouched sets | result |',
    '|---|---|---:|---:|---:|---:|---|',
  ]
  for claim in parts:
    sets, ratio, _, untouched, result = _ratios(claim)
    lines.append(
      f'| {claim.other} | {claim.ours} | {sets} | {ratio} | '
      f'{_leaving_out(claim)} | {untouched} | {result} |'
    )
  return '\n'.join(lines)


def _ratios(claim: analysis.Claim) -> tuple[str, ...]:
  """Data sets, both pooled ratios, that of untouched sets, and the result."""
  pooled_ratio, strict = (
    'too few data sets' if found is None else words.interval(found)
    for found in (claim.pooled, claim.strict)
  )
  untouched = {
    name: ratio
    for name, ratio in analysis.ratios_of_sets(claim.effects).items()
    if matrix.SETS[name].role == 'untouched'
  }
  told = '; '.join(f'{name} {ratio:.3f}' for name, ratio in untouched.items())
  return str(len(claim.sets)), pooled_ratio, strict, told, claim.word


def effects_table(claims: Sequence[analysis.Claim]) -> str:
  """Every effect behind the claims: against whom, how large, at which cost."""
  lines = [
    '| regime | data set | evidence | generator | rival | chosen as | ratio '
    '[95%] | users | operations, ratio | with tuning | for a single arrival | '
    'pays back after |',
    '|---|---|---:|---|---|---|---:|---:|---:|---:|---:|---:|',
  ]
  roles = collections.defaultdict(list)
  for claim in claims:
    for one in claim.effects:
      # An effect is not equal to itself if its ratio is NaN.
      roles[one[:5]].append((claim.other, one))
  for found in roles.values():
    one = found[0][1]
    ratio = (
      words.interval(one) if math.isfinite(one.ratio) else 'it finds nothing'
    )
    lines.append(
      f'| {words.title(one.regime)} | {one.dataset} | {one.budget} | '
      f'{one.ours} | {one.other} | {", ".join(role for role, _ in found)} | '
      f'{ratio} | {one.people:,} | {words.times([one.cost])} | '
      f'{words.times([one.cost_tuned])} | {words.times([one.cost_alone])} | '
      f'{words.adaptations(one.pays_back)} |'
    )
  return '\n'.join(lines)


def worth_table(found: Sequence[details.Worth]) -> str:
  """The evidence that retraining needs to rank as well as a generator."""
  lines = [
    '| regime | data set | generator, evidence | retraining needs | tried |',
    '|---|---|---|---:|---|',
  ]
  for one in found:
    if one.until is None:
      told = f'> {one.budgets[-1]}'
    else:
      told = 'as much' if one.until == one.budget else one.until
    tried = ', '.join(map(str, one.budgets))
    lines.append(
      f'| {words.title(one.regime)} | {one.dataset} | {one.ours}, {one.budget} '
      f'| {told} | {tried} |'
    )
  return '\n'.join(lines)


def oracle_table(found: Sequence[details.Oracle]) -> str:
  """Oracle arms over the same methods as they stand, on each data set."""
  if not found:
    return 'Not run yet.'
  lines = [
    '| regime | method | data set | evidence | ratio of NDCG@100 |',
    '|---|---|---|---:|---:|',
  ]
  for one in found:
    lines.append(
      f'| {words.title(one.regime)} | {one.method} | {one.dataset} | '
      f'{one.budget} | {one.ratio:.3f} |'
    )
  return '\n'.join(lines)


def large_table(rows: Sequence[results.Row]) -> str:
  """New items of large catalogues: quality by budget, and operations."""
  by_cell = pooled.grouped(rows, 'dataset', 'method', 'budget')
  if not by_cell:
    return 'Not run yet.'
  budgets = sorted({key[2] for key in by_cell})
  lines = [
    f'| data set | method | {" | ".join(f"NDCG@100, {b}" for b in budgets)} | '
    f'all items, {budgets[-1]} | operations for each new item | over a refit |',
    f'|---|---|{"---:|" * (len(budgets) + 3)}',
  ]
  for name, method in dict.fromkeys(key[:2] for key in by_cell):
    cells = [by_cell.get((name, method, budget)) for budget in budgets]
    found = [
      f'{pooled.mean_of(own, results.PRIMARY):.3f}' if own else '-'
      for own in cells
    ]
    last, refit = cells[-1], by_cell.get((name, _REFIT, budgets[-1]))
    if last is None:
      lines.append(f'| {name} | {method} | {" | ".join(found)} | - | - | |')
      continue
    flops = _per_item(last)
    share = words.times([flops / _per_item(refit)]) if refit else ''
    whole = pooled.mean_of(last, results.PRIMARY, 'whole')
    lines.append(
      f'| {name} | {method} | {" | ".join(found)} | {whole:.3f} | '
      f'{flops:.1e} | {share} |'
    )
  return '\n'.join(lines)


def _per_item(rows: Sequence[results.Row]) -> float:
  return float(
    np.mean([row['adapt']['flops'] / row['num_arriving'] for row in rows])
  )


def quality_tables(
  sets: dict[cells_lib.Key, dict[int, cells_lib.Cells]],
) -> str:
  """For each regime: NDCG@100 by method, on each data set at each budget."""
  by_regime = collections.defaultdict(dict)
  for (regime, name), budgets in sets.items():
    by_regime[regime][name] = budgets
  parts = []
  for regime, found in by_regime.items():
    heads = [(name, budget) for name in found for budget in found[name]]
    lines = [
      f'**{words.title(regime)}**',
      '',
      f'| method | {" | ".join(f"{n}, {b}" for n, b in heads)} |',
      f'|---|{"---:|" * len(heads)}',
    ]
    for method in matrix.PARTS[regime].methods:
      cells = [found[name][budget].get(method) for name, budget in heads]
      values = [_quality(rows) if rows else '' for rows in cells]
      lines.append(f'| {method} | {" | ".join(values)} |')
    parts.append('\n'.join(lines))
  return '\n\n'.join(parts)


def _quality(rows: Sequence[results.Row]) -> str:
  """NDCG@100, such as .312; a star marks settings at an edge of their grid."""
  if any('cannot' in row for row in rows):
    return '-'
  at_edge = any(row['at_edge'] for row in rows)
  value = f'{pooled.mean_of(rows, results.PRIMARY):.3f}'
  return f'{value.removeprefix("0")}{"*" if at_edge else ""}'


if __name__ == '__main__':
  script.run(main)
