"""Collects the runs of all settings, and rewrites the README's tables.

  python -m experiments.hypernetwork.tables --runs=DIR   (DIR/*/cells.jsonl)
  python -m experiments.hypernetwork.tables --runs=DIR --add
  python -m experiments.hypernetwork.tables --folds=DIR  (runs whose evidence
                                                          chose trials too)
  python -m experiments.hypernetwork.tables              (from the summaries)

A ratio is one method's NDCG@100 over another's, of the same users and seeds;
its interval a paired bootstrap over seeds and users. Means over settings are
geometric.
"""

import collections
import json
import math
import pathlib

import matplotlib.figure
import numpy as np
from absl import flags

from experiments import readme as readme_lib
from experiments import script
from experiments.adaptation import stored_rows
from experiments.adaptation.report import figures, labels, words
from hyperrec import whole_file
from hyperrec.evaluation import significance
from hyperrec.regimes import new_catalogue, new_domain

_RUNS = flags.DEFINE_string(
  'runs', None, 'A folder of workdirs to collect; none reads the summary.'
)
_FOLDS = flags.DEFINE_string(
  'folds', None, 'The same, of runs with --trials=5 --evidence_folds=3.'
)
_ADD = flags.DEFINE_bool(
  'add',
  False,
  'Keep what the summaries have and the runs lack, or have fewer seeds of.',
)

_FOLDER = pathlib.Path('experiments/hypernetwork')
_SUMMARY = _FOLDER / 'results' / 'summary.json'
_FOLDS_SUMMARY = _FOLDER / 'results' / 'folds.json'
_COST = _FOLDER / 'results' / 'cost.json'
_PICTURE = str(_FOLDER / 'results' / 'ratios-{}.svg')
_INKS = {'light': '#1b1f24', 'dark': '#e4e8ec'}

_RIVALS = ('ease', 'l3ae', 'l3ae:oracle', 'ridge_map')
_METHOD = 'hyperease'
_REGIMES = {
  regime.name: regime.title
  for regime in (new_catalogue.REGIME, new_domain.REGIME)
}
# (rival, budgets, least mean ratio): the goals, stated before the runs.
_GOALS = (
  ('ease', (5,), 1.8),
  ('ease', (20,), 1.4),
  ('l3ae', (0, 5, 10, 20, 50), 1.05),
  ('l3ae', (100, 200), 0.99),
  ('l3ae:oracle', (0, 5, 10, 20, 50, 100, 200), 0.99),
)


def main(argv):
  """Writes the summaries where runs are given, then the README's blocks."""
  del argv
  entries = _collected(_RUNS.value, _SUMMARY)
  of_folds = _collected(_FOLDS.value, _FOLDS_SUMMARY)
  for scheme, ink in _INKS.items():
    pathlib.Path(_PICTURE.format(scheme)).write_text(
      figures.svg(figure(entries), ink)
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
  """The entries of a summary, made anew first where runs are given."""
  if runs:
    files = sorted(pathlib.Path(runs).glob('*/cells.jsonl'))
    rows = stored_rows.read_all(file.parent for file in files)
    is_kept = _ADD.value and path.exists()
    old = json.loads(path.read_text()) if is_kept else []
    found = merged(old, summary(rows))
    whole_file.write_whole(path, json.dumps(found, indent=0).encode())
  return json.loads(path.read_text())


def summary(rows: list[dict]) -> list[dict]:
  """One entry for each setting, budget and method: means, ratios, costs.

  A ratio is taken over the seeds that both methods have.
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
  """Of each place and method the entry with more seeds, then more rivals."""

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
  """A ratio of means, and the ends of its 95% interval."""
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
  """Ratios by budget: their mean over settings, and the lowest one."""
  budgets = sorted({e['budget'] for e in entries})
  lines = [
    f'| regime | HyperEASE over | | {" | ".join(map(str, budgets))} |',
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
        # Against a rival that ranks nothing right there is no ratio.
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
  """Settings that a mean is without, as a note in its cell."""
  return f' ({missing} without)' if missing else ''


def _judged(found: dict[str, float], rival: str, budget: int) -> str:
  """The mean, and whether it reaches the goal that was set for it."""
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
  """NDCG@100 of HyperEASE, and its ratio to fair L3AE, in every setting."""
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
  """Every arm's mean ratio to fair L3AE over the settings that have it.

  Empty where an arm was not run, or cannot serve.
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
  """What one adaptation costs at a large catalogue, and the goal."""
  lines = [
    '| system | what | users | operations | time | stored |',
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
    f'preparing the generator is paid for by {count} adaptation'
    f'{"s" if count > 1 else ""}.'
  )
  return '\n'.join(lines)


def figure(entries: list[dict]) -> matplotlib.figure.Figure:
  """HyperEASE over L3AE by budget: each setting, and the mean, by regime."""
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
  """One labelled line a setting; the mean stands out."""
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
