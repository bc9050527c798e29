"""Measures how long each method takes in each case, by the size of the data.

  python -m experiments.recommend.measure_times

Writes results/times.json beside it, from which `forecast` says how long a run
of `advise` takes. Times are those of the processor, so that other work on the
machine matters little. It resumes.
"""

import json
import pathlib
import time
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags
from scipy import optimize

from experiments import needs, script
from experiments.adaptation import cells as cells_lib
from experiments.recommend import cases as cases_lib
from experiments.recommend import forecast
from hyperrec import features as features_lib
from hyperrec.data import description as description_lib
from hyperrec.data import sources

_MEASURED = flags.DEFINE_string(
  'measured',
  'results/times.jsonl',
  'File that keeps what has been measured, for a run that goes on.',
)

# Users, items and mean length of histories; the first is nearly free of work.
SIZES = (
  (150, 80, 10),
  (600, 400, 20),
  (2000, 1000, 20),
  (1500, 3000, 30),
  (6000, 1500, 15),
  (4000, 4000, 40),
  (9000, 8000, 40),
)
TRIALS = 3
_NUM_HELDOUT = 100


class Point(NamedTuple):
  """The time of a method in a case on data of one size, in seconds."""

  num_items: int
  num_interactions: int
  seconds: float


def main(argv):
  """Measures what is missing and writes the file."""
  del argv
  script.send_logs_to(None)
  path = pathlib.Path(_MEASURED.value)
  path.parent.mkdir(parents=True, exist_ok=True)
  done = {}
  if path.exists():
    for line in path.read_text(encoding='utf-8').splitlines():
      row = json.loads(line)
      done[row['name'], *row['size']] = row
  for size in SIZES:
    for row in measured(size, done):
      with path.open('a', encoding='utf-8') as file:
        file.write(json.dumps(row) + '\n')
      done[row['name'], *size] = row
      print(f'{size} {row["name"]}: {row["seconds"]:.1f} s', flush=True)
  names = dict.fromkeys(row['name'] for row in done.values())
  times = {
    name: fitted([point(row) for row in done.values() if row['name'] == name])
    for name in names
  }
  script.write_document(
    {
      'flops_per_second': needs.flops_per_second(time.process_time),
      'trials': TRIALS,
      'times': times,
      **script.provenance(),
    },
    forecast.TIMES,
  )


def measured(size, done):
  """Yields a row for each case and method that has not been measured."""
  num_users, num_items, mean_length = size
  # As in a first run of `advise`, methods share what has been compiled.
  jax.config.update('jax_enable_compilation_cache', False)
  jax.clear_caches()
  data = sources.load(
    'synthetic',
    num_users=num_users,
    num_items=num_items,
    mean_length=mean_length,
  )
  features = features_lib.read(
    [data], 'tfidf', cache_folder=None, num_features=128
  )
  settings = cells_lib.Settings(
    min(_NUM_HELDOUT, num_users // 5), trials=TRIALS
  )
  cases, _ = cases_lib.possible(description_lib.describe(data))
  for case in cases:
    for method in case.methods:
      name = forecast.name(case, method)
      if (name, *size) in done:
        continue
      runner = cells_lib.Runner(cells_lib.Data(data), features, settings)
      start = time.process_time()
      for budget in case.budgets:
        runner.run(cells_lib.Cell(case.regime, 0, budget, method), {})
      yield {
        'name': name,
        'size': list(size),
        'num_items': data.num_items,
        'num_interactions': len(data),
        'seconds': time.process_time() - start,
      }


def point(row: dict[str, Any]) -> Point:
  """What is fitted of a row."""
  return Point(*(row[field] for field in Point._fields))


def fitted(points: list[Point]) -> dict[str, float]:
  """The coefficients of the terms of `forecast.terms`, all at least 0.

  They minimise the squares of the relative errors. A cubic term is nearly
  invisible on small data and decides on large ones, so the exponents are those
  of the algebra and only the coefficients are fitted.
  """
  terms = [forecast.terms(p.num_items, p.num_interactions) for p in points]
  table = np.array([list(t.values()) for t in terms])
  seconds = np.array([p.seconds for p in points])
  found, _ = optimize.nnls(table / seconds[:, None], np.ones(len(points)))
  errors = np.log(table @ found / seconds)
  return {
    **dict(zip(terms[0], found.tolist(), strict=True)),
    'error': float(np.exp(np.sqrt(np.square(errors).mean()))),
  }


if __name__ == '__main__':
  script.run(main)
