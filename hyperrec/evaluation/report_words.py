"""The verdict in words and numbers: all of it is derived from the rows."""

from typing import NamedTuple

from hyperrec.evaluation import cost, results, significance

Cell = results.Cell
Task = results.Task

REGIME_TITLES = {
  'new_users': 'New users',
  'new_catalogue': 'New catalogue',
  'new_domain': 'New domain',
  'drift': 'Drift',
}

BUDGETS = {
  'new_users': 'interactions that each new user has shown',
  'new_catalogue': "users' worth of evidence on items that the source lacks",
  'new_domain': "users' worth of evidence in the new domain",
  'drift': 'slices seen',
}

# What "full retraining" is in a regime, first the one that is there.
_RETRAINED = {
  'ease': ('ease:retrain', 'ease'),
  'mult_vae': ('mult_vae:retrain', 'mult_vae'),
}


class Judged(NamedTuple):
  """A method against a baseline at one budget."""

  method: str
  baseline: str
  budget: int
  comparison: significance.Comparison
  verdict: str


def fair(cells: list[Cell]) -> list[Cell]:
  """The arms that comparisons rest on."""
  return [cell for cell in cells if not results.is_oracle(cell.method)]


def baseline(cells: list[Cell], family: str) -> str | None:
  """The arm that retrains a family fully, None where it did not run."""
  names = {cell.method for cell in cells if cell.quality is not None}
  return next((n for n in _RETRAINED[family] if n in names), None)


def compare(cells: list[Cell], against: str) -> list[Judged]:
  """Every fair method against one, at each budget; p-values by Holm."""
  cells = fair(cells)
  by_key = {(c.method, c.budget): c for c in cells if c.per_user}
  judged = []
  for (method, budget), cell in by_key.items():
    other = by_key.get((against, budget))
    if method == against or other is None:
      continue
    if [len(a) for a in cell.per_user] != [len(b) for b in other.per_user]:
      continue
    found = significance.paired_bootstrap(cell.per_user, other.per_user, seed=0)
    judged.append((method, budget, found))
  adjusted = significance.holm([found.p_value for *_, found in judged])
  return [
    Judged(method, against, budget, found, _verdict(found, p))
    for (method, budget, found), p in zip(judged, adjusted, strict=True)
  ]


def _verdict(found: significance.Comparison, adjusted_p: float) -> str:
  word = significance.verdict(found)
  return word if adjusted_p < 0.05 else 'tie'


def sentences(task: Task, cells: list[Cell]) -> list[str]:
  """What a reader should take from one regime."""
  shown = [c for c in fair(cells) if c.quality is not None]
  if not shown:
    return ['Nothing could run in this regime.']
  out = []
  for budget in sorted({c.budget for c in shown}):
    own = sorted(
      (c for c in shown if c.budget == budget), key=lambda c: -c.quality
    )
    best = own[0]
    text = (
      f'Budget {budget}: {best.method} ranks best '
      f'({results.PRIMARY.upper()} {best.quality:.3f}'
    )
    if best.interval:
      text += f', 95% interval {best.interval[0]:.3f} to {best.interval[1]:.3f}'
    text += f') at {seconds(best.adapt["seconds"])} an adaptation'
    near = _cheapest_tie(best, own)
    if near is not None:
      text += (
        f'; {near.method} is a tie with it and the cheapest such, at '
        f'{seconds(near.adapt["seconds"])}'
      )
    out.append(f'{text}.')
  for family in _RETRAINED:
    against = baseline(cells, family)
    if against:
      out.append(_against(against, compare(cells, against)))
  return [sentence for sentence in out if sentence]


def _cheapest_tie(best: Cell, others: list[Cell]) -> Cell | None:
  """The cheapest method that ties with the best one, if cheaper than it."""
  ties = []
  for cell in others[1:]:
    same = [len(a) for a in cell.per_user] == [len(b) for b in best.per_user]
    if not cell.per_user or not same:
      continue
    found = significance.paired_bootstrap(cell.per_user, best.per_user, seed=0)
    if significance.verdict(found) == 'tie':
      ties.append(cell)
  ties = [c for c in ties if c.adapt['seconds'] < best.adapt['seconds'] / 2]
  return min(ties, key=lambda c: c.adapt['seconds'], default=None)


def _against(against: str, judged: list[Judged]) -> str:
  """Who keeps up with full retraining, who beats it, and who does not."""
  if not judged:
    return ''
  methods = list(dict.fromkeys(j.method for j in judged))

  def where(word):
    found = []
    for method in methods:
      budgets = [
        str(j.budget)
        for j in judged
        if j.method == method and j.verdict == word
      ]
      if budgets:
        found.append(f'{method} (at {", ".join(budgets)})')
    return '; '.join(found)

  losers = {j.method for j in judged if j.verdict == 'loss'}
  keep_up = [method for method in methods if method not in losers]
  parts = [f'Against full retraining of {against.partition(":")[0]}, {against}']
  parts.append(f'better: {where("win") or "nobody"}')
  parts.append(f'never worse: {", ".join(keep_up) or "nobody"}')
  parts.append(f'worse: {where("loss") or "nobody"}')
  return (
    f'{parts[0]}: {". ".join(p[0].upper() + p[1:] for p in parts[1:])}. '
    '(Holm-corrected over all comparisons; less than 1% is a tie.)'
  )


class BreakEven(NamedTuple):
  """How many adaptations pay for a method's preparation."""

  method: str
  baseline: str
  budget: int
  flops: float | None
  seconds: float | None


def break_even(cells: list[Cell]) -> list[BreakEven]:
  """N* of every fair method that prepares something, at the largest budget."""
  shown = [c for c in fair(cells) if c.quality is not None]
  out = []
  for family in _RETRAINED:
    against = baseline(cells, family)
    base = [c for c in shown if c.method == against]
    if not base:
      continue
    base = max(base, key=lambda c: c.budget)
    for cell in shown:
      if cell.budget != base.budget or cell.method == against:
        continue
      if cell.prepare['flops'] > 0:
        out.append(
          BreakEven(
            cell.method,
            against,
            base.budget,
            *(
              cost.break_even(cell.prepare[u], base.adapt[u], cell.adapt[u])
              for u in ('flops', 'seconds')
            ),
          )
        )
  return out


def seconds(value: float) -> str:
  """A time with a fitting unit."""
  for unit, size in (('s', 1.0), ('ms', 1e-3)):
    if value >= size:
      return f'{value / size:.3g} {unit}'
  return f'{value / 1e-6:.3g} µs' if value > 0 else '0'


def operations(value: float) -> str:
  """A number of floating point operations with a fitting unit."""
  for unit, size in (('T', 1e12), ('G', 1e9), ('M', 1e6), ('k', 1e3)):
    if value >= size:
      return f'{value / size:.3g} {unit}FLOP'
  return f'{value:.3g} FLOP' if value else '0'


def size(value: float) -> str:
  """A number of bytes with a fitting unit."""
  for unit, scale in (('GiB', 2**30), ('MiB', 2**20), ('KiB', 2**10)):
    if value >= scale:
      return f'{value / scale:.3g} {unit}'
  return f'{value:.0f} B' if value else '0'
