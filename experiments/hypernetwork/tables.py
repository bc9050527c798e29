"""Collects the runs of all settings, and rewrites the tables of the README.

  python -m experiments.hypernetwork.tables --runs=DIR   (DIR/*/cells.jsonl)
  python -m experiments.hypernetwork.tables --runs=DIR --add
  python -m experiments.hypernetwork.tables --folds=DIR  (runs with
                                                          --evidence_folds)
  python -m experiments.hypernetwork.tables              (from the summaries)

A ratio is the NDCG@100 of one method over that of another, for the same users
and seeds. Its interval comes from a paired bootstrap over seeds and users.
Means over settings are geometric.
"""

import collections
import json
import math
import pathlib

import matplotlib.figure
import numpy as np
from absl import flags

from experiments import pictures, script
from experiments import readme as readme_lib
from experiments.adaptation import stored_rows
from experiments.adaptation.report import figures, labels, words
from hyperrec import whole_file
from hyperrec.evaluation import significance
from hyperrec.regimes import new_catalogue, new_domain

_RUNS = flags.DEFINE_string(
  'runs',
  None,
  'Folder of workdirs to collect; without it the stored summary is read.',
)
_FOLDS = flags.DEFINE_string(
  'folds',
  None,
  'Folder of workdirs of runs with --trials=5 --evidence_folds=3; without it '
  'the stored summary is read.',
)
_ADD = flags.DEFINE_bool(
  'add',
  False,
  'Keep entries of the stored summaries that the runs lack, or for which they '
  'have fewer seeds.',
)

_FOLDER = pathlib.Path('experiments/hypernetwork')
_SUMMARY = _FOLDER / 'results' / 'summary.json'
_FOLDS_SUMMARY = _FOLDER / 'results' / 'folds.json'
_COST = _FOLDER / 'results' / 'cost.json'

_RIVALS = ('ease', 'l3ae', 'l3ae:oracle', 'ridge_map')
_METHOD = 'hyperease'
_REGIMES = {
  regime.name: regime.title
  for regime in (new_catalogue.REGIME, new_domain.REGIME)
}
# Goals that were stated before the runs: (rival, budgets, lowest mean ratio).
_GOALS = (
  ('ease', (5,), 1.8),
  ('ease', (20,), 1.4),
  ('l3ae', (0, 5, 10, 20, 50), 1.05),
  ('l3ae', (100, 200), 0.99),
  ('l3ae:oracle', (0, 5, 10, 20, 50, 100, 200), 0.99),
)


def main(argv):
  """Writes the summaries if runs are given, then the blocks of the README."""
  del argv
  entries = _collected(_RUNS.value, _SUMMARY)
  of_folds = _collected(_FOLDS.value, _FOLDS_SUMMARY)
  pictures.save(
    _FOLDER / 'results' / 'ratios',
    lambda: figure(entries),
    "HyperEASE's NDCG@100 over that of L3AE, by budget and setting",
    _FOLDER,
  )
  readme = _FOLDER / 'README.md'
  readme_lib.replace_block(readme, 'goals', goals_table(entries))
  readme_lib.replace_block(readme, 'settings', settings_table(entries))
  readme_lib.replace_block(readme, 'arms', arms_table(entries))
  readme_lib.replace_block(readme, 'folds_goals', goals_table(of_folds))
  readme_lib.replace_block(readme, 'folds_settings', settings_table(of_folds))
  if _COST.exists():
    costs = cost_table(json.loads(_COST.read_text()))
    readme_lib.replace_block(readme, 'cost', costs)


def _collected(runs: str | None, path: pathlib.Path) -> list[dict]:
  """Returns the entries of a summary; updates it first if runs are given."""
  if runs:
    files = sorted(pathlib.Path(runs).glob('*/cells.jsonl'))
    rows = stored_rows.read_all(file.parent for file in files)
    is_kept = _ADD.value and path.exists()
    old = json.loads(path.read_text()) if is_kept else []
    found = merged(old, summary(rows))
    whole_file.write_whole(path, json.dumps(found, indent=0).encode())
  return json.loads(path.read_text())


def summary(rows: list[dict]) -> list[dict]:
  """Returns an entry for each setting, budget and method.

  Ratios use the seeds that both methods have.
  """
  settings = collections.defaultdict(lambda: collections.defaultdict(dict))
  for row in rows:
    if 'cannot' not in row:
      place = row['regime'], row['dataset'], row['budget']
      settings[place][row['method']][row['seed']] = row
  return [
    _entry(*place, name, methods)
    for place, methods in sorted(settings.items())
    for name in methods
  ]


def merged(old: list[dict], new: list[dict]) -> list[dict]:
  """Keeps the entry with more seeds, then more rivals, of each method."""

  def place(entry):
    return entry['regime'], entry['dataset'], entry['budget'], entry['method']

  def weight(entry):
    return len(entry['seeds']), len(entry['ratios'])

  found = {place(entry): entry for entry in old}
  for entry in new:
    kept = found.get(place(entry))
    if kept is None or weight(entry) >= weight(kept):
      found[place(entry)] = entry
  return sorted(found.values(), key=lambda e: place(e)[:3])


def _entry(regime, dataset, budget, name, methods) -> dict:
  own = dict(sorted(methods[name].items()))
  return {
    'regime': regime,
    'dataset': dataset,
    'budget': budget,
    'method': name,
    'seeds': list(own),
    'ndcg@100': [row['metrics']['ndcg@100'] for row in own.values()],
    'recall@20': [row['metrics']['recall@20'] for row in own.values()],
    'adapt_flops': _average(row['adapt']['flops'] for row in own.values()),
    'prepare_flops': _average(row['prepare']['flops'] for row in own.values()),
    'ratios': {
      rival: ratio(
        *([m[seed] for seed in own if seed in methods[rival]]
          for m in (own, methods[rival]))
      )
      for rival in _RIVALS
      if rival != name and set(own) & set(methods.get(rival, ()))
    },
    'commits': sorted({row['commit'] for row in own.values()}),
  }  # fmt: skip


def _average(values) -> float:
  return float(np.mean(list(values)))


def ratio(rows: list[dict], others: list[dict]) -> list[float]:
  """Returns a ratio of means, and the ends of its 95% interval."""
  found = significance.paired_bootstrap(
    *([np.array(r['per_user']) for r in side] for side in (rows, others)),
    seed=0,
  )
  return [round(1 + v, 4) for v in (found.relative, found.low, found.high)]


def _of(entries, **wanted) -> list[dict]:
  return [
    e for e in entries if all(e[key] == value for key, value in wanted.items())
  ]


def _mean(values) -> float:
  return float(np.exp(np.mean(np.log(values))))


def goals_table(entries: list[dict]) -> str:
  """Returns the ratios by budget: mean over settings, and lowest setting."""
  budgets = sorted({e['budget'] for e in entries})
  lines = [
    f'| regime | rival | ratio | {" | ".join(map(str, budgets))} |',
    f'|---|---|---|{"---|" * len(budgets)}',
  ]
  for regime, title in _REGIMES.items():
    for rival in _RIVALS:
      own = [
        e
        for e in _of(entries, regime=regime, method=_METHOD)
        if rival in e['ratios']
      ]
      if not own:
        continue
      means, lowest = [], []
      for budget in budgets:
        # There is no ratio to a rival of quality zero.
        found = {
          e['dataset']: e['ratios'][rival][0]
          for e in _of(own, budget=budget)
          if np.isfinite(e['ratios'][rival][0])
        }
        missing = len({e['dataset'] for e in own}) - len(found)
        means.append(
          _judged(found, rival, budget) + _without(missing) if found else ''
        )
        lowest.append(
          '{1:.3f} ({0})'.format(*min(found.items(), key=lambda f: f[1]))
          if found
          else ''
        )
      count = len({e['dataset'] for e in own})
      lines.append(
        f'| {title} | {rival} | mean of {count} | {" | ".join(means)} |'
      )
      lines.append(f'| | | lowest | {" | ".join(lowest)} |')
  return '\n'.join(lines)


def _without(missing: int) -> str:
  """A note on the number of settings that a mean leaves out."""
  return f' ({missing} left out)' if missing else ''


def _judged(found: dict[str, float], rival: str, budget: int) -> str:
  """The mean, and whether it reaches its goal."""
  if not found:
    return ''
  mean = _mean(list(found.values()))
  for other, budgets, goal in _GOALS:
    if other == rival and budget in budgets:
      word = 'met' if mean >= goal else 'missed'
      return f'**{mean:.3f}** (goal {goal:g} {word})'
  return f'{mean:.3f}'


def _interval(found: list[float]) -> str:
  return '{:.3f} [{:.3f}, {:.3f}]'.format(*found)


def settings_table(entries: list[dict]) -> str:
  """Returns NDCG@100 of HyperEASE and its ratio to fair L3AE, by setting."""
  budgets = sorted({e['budget'] for e in entries})
  lines = [
    f'| regime | target | seeds | {" | ".join(map(str, budgets))} |',
    f'|---|---|---:|{"---|" * len(budgets)}',
  ]
  places = dict.fromkeys((e['regime'], e['dataset']) for e in entries)
  for regime, dataset in places:
    own = _of(entries, regime=regime, dataset=dataset, method=_METHOD)
    cells = {e['budget']: e for e in own if 'l3ae' in e['ratios']}
    if not cells:
      continue
    seeds = min(len(e['seeds']) for e in own)
    shown = [_setting_cell(cells.get(budget)) for budget in budgets]
    lines.append(
      f'| {_REGIMES[regime]} | {dataset} | {seeds} | {" | ".join(shown)} |'
    )
  return '\n'.join(lines)


def _setting_cell(entry: dict | None) -> str:
  if entry is None:
    return ''
  ndcg = np.mean(entry['ndcg@100'])
  return f'{ndcg:.3f}: {_interval(entry["ratios"]["l3ae"])}'


def arms_table(entries: list[dict]) -> str:
  """Returns the mean ratio of every arm to fair L3AE over its settings.

  A cell is empty if the arm was not run or cannot serve.
  """
  budgets = sorted({e['budget'] for e in entries})
  lines = [
    f'| regime | arm | settings | {" | ".join(map(str, budgets))} | '
    'FLOPs to adapt |',
    f'|---|---|---:|{"---:|" * len(budgets)}---:|',
  ]
  for regime, title in _REGIMES.items():
    of_regime = _of(entries, regime=regime)
    for method in dict.fromkeys(e['method'] for e in of_regime):
      own = _of(of_regime, method=method)
      if method == 'l3ae':
        continue
      count = len({e['dataset'] for e in own})
      shown = []
      for budget in budgets:
        found = [
          e['ratios']['l3ae'][0]
          for e in _of(own, budget=budget)
          if e['ratios'].get('l3ae', [0])[0] > 0
        ]
        shown.append(
          f'{_mean(found):.3f}{_without(count - len(found))}' if found else ''
        )
      flops = _mean([max(1.0, e['adapt_flops']) for e in own])
      lines.append(
        f'| {title} | {method} | {count} | {" | ".join(shown)} | {flops:.1e} |'
      )
  return '\n'.join(lines)


def cost_table(document: dict) -> str:
  """Returns the costs of an adaptation in a large catalogue, and the goal."""
  lines = [
    '| method | phase | users | operations | time | stored |',
    '|---|---|---:|---:|---:|---:|',
  ]
  for row in document['rows']:
    stored = row['stored_bytes']
    lines.append(
      f'| {row["system"]} | {row["what"]} | {row["batch"] or ""} | '
      f'{words.operations(row["flops"])} | '
      f'{words.seconds(row["seconds"])} | '
      f'{"" if stored is None else words.size(stored)} |'
    )
  found = document['summary']
  word = 'met' if found['is_met'] else 'missed'
  count = max(1, math.ceil(found['break_even_flops']))
  lines.append(
    f'\nA refit takes {found["flops_ratio"]:.0f} times the operations of '
    f'generating (goal {found["goal"]} {word}), {found["seconds_ratio"]:.0f} '
    f'times the seconds and {found["bytes_ratio"]:.1f} times the bytes; '
    f'preparing the generator pays for itself after {count} adaptation'
    f'{"s" if count > 1 else ""}.'
  )
  return '\n'.join(lines)


def figure(entries: list[dict]) -> matplotlib.figure.Figure:
  """Draws HyperEASE over L3AE by budget: each setting and the mean."""
  drawn = matplotlib.figure.Figure(figsize=(9.4, 3.6), dpi=72)
  boxes = ((0.06, 0.14, 0.33, 0.76), (0.56, 0.14, 0.33, 0.76))
  for (regime, title), box in zip(_REGIMES.items(), boxes, strict=True):
    axes = figures.make_axes(drawn, box)
    own = _of(entries, regime=regime, method=_METHOD)
    own = [e for e in own if 'l3ae' in e['ratios']]
    if not own:
      continue
    budgets = sorted({e['budget'] for e in own})
    place = {budget: i for i, budget in enumerate(budgets)}
    axes.axhline(1, lw=0.8, color='#888888')
    lines = {
      name: {
        e['budget']: e['ratios']['l3ae'][0] for e in _of(own, dataset=name)
      }
      for name in dict.fromkeys(e['dataset'] for e in own)
    }
    lines['mean'] = {
      b: _mean([e['ratios']['l3ae'][0] for e in _of(own, budget=b)])
      for b in budgets
    }
    _draw_lines(axes, lines, place)
    axes.set_xticks(range(len(budgets)), [f'{b:,}' for b in budgets])
    axes.set_xlabel('users of evidence')
    axes.set_ylabel('NDCG@100 over that of L3AE')
    axes.set_title(title, size=10, color=figures.INK, loc='left')
  return drawn


def _draw_lines(axes, lines, place) -> None:
  """Draws a labelled line for each setting, and a thick one for the mean."""
  for name, line in lines.items():
    is_mean = name == 'mean'
    axes.plot(
      [place[budget] for budget in line],
      list(line.values()),
      lw=2.4 if is_mean else 1.0,
      color='#d55e00' if is_mean else '#2a7fc0',
      marker='*' if is_mean else '',
      ms=8,
    )
  low, high = axes.get_ylim()
  ends = sorted((list(line.values())[-1], name) for name, line in lines.items())
  heights = labels.spread(
    [value for value, _ in ends], (high - low) / 16, low, high
  )
  for (value, name), height in zip(ends, heights, strict=True):
    axes.plot(
      [len(place) - 0.95, len(place) - 0.65],
      [value, height],
      lw=0.6,
      color='#888888',
      clip_on=False,
    )
    axes.text(
      len(place) - 0.6, height, name.split('/')[-1], size=figures.SMALL,
      color='#d55e00' if name == 'mean' else figures.INK, va='center',
      parse_math=False,
    )  # fmt: skip
  axes.set_ylim(low, high)
  axes.set_xlim(right=len(place) - 0.8)


if __name__ == '__main__':
  script.run(main)
