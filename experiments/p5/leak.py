"""Measures how much item numbers leak, by a rule that learns nothing.

  python -m experiments.p5.leak --data_dir=DIR \
    --output=experiments/p5/results/leak.json

The rule ranks first the item whose number follows the largest number of the
history, then the one whose number follows that of the last item, and so on (see
`item_ids.next_number_scores`). If numbers were assigned along full sequences,
they reveal the test items. Numbers that depend only on the training
interactions do not.
"""

from absl import app, flags, logging

from experiments import script
from hyperrec.data import sources, splits
from hyperrec.evaluation import held_out
from hyperrec.systems.p5 import item_ids

SETS = {
  'beauty': ('amazon_2014', {'domain': 'Beauty'}),
  'sports': ('amazon_2014', {'domain': 'Sports_and_Outdoors'}),
  'toys': ('amazon_2014', {'domain': 'Toys_and_Games'}),
}
METRICS = ('hr@5', 'ndcg@5', 'hr@10', 'ndcg@10')

_SETS = flags.DEFINE_list(
  'sets', list(SETS), f'Data sets that are used, from {", ".join(SETS)}.'
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir', None, 'Folder of the files of the data sets.'
)
_SEED = script.define_seed('seed', 'Seed of the random item numbers.')
_OUTPUT = flags.DEFINE_string(
  'output', 'results/p5/leak.json', 'JSON file that is written.'
)


def main(argv):
  """Evaluates the rule on every kind of item numbers of every data set."""
  del argv
  unknown = set(_SETS.value) - set(SETS)
  if unknown:
    raise app.UsageError(f'--sets={sorted(unknown)} is unknown; use {[*SETS]}')
  rows = [
    {'set': name, 'users': users, 'numbers': kind, 'metrics': metrics}
    for name in _SETS.value
    for users, kind, metrics in judged(name, _DATA_DIR.value, _SEED.value)
  ]
  found = {'seed': _SEED.value, 'rows': rows, **script.provenance()}
  script.write_document(found, _OUTPUT.value)


def judged(name: str, data_dir: str | None, seed: int):
  """Evaluates the rule on one data set.

  Args:
    name: one of `SETS`.
    data_dir: folder of the files of the data sets; None uses the default.
    seed: seed of the random item numbers.

  Yields:
    Number of test users, kind of numbers, and metrics of the rule.
  """
  source, options = SETS[name]
  data = sources.load(source, data_dir, duplicates='keep', **options)
  split = splits.leave_one_out(data)
  for kind in reversed(item_ids.INDEXINGS):
    numbers = item_ids.number_items(split.train, kind, seed)

    def score(shown, numbers=numbers):
      return item_ids.next_number_scores(numbers, shown.items, shown.mask)

    found = held_out.evaluate(score, *split.test, metrics=METRICS)
    metrics = {metric: found.mean(metric) for metric in METRICS}
    logging.info('%s, %s numbers: %s', name, kind, metrics)
    yield len(found.users), kind, metrics


if __name__ == '__main__':
  script.run(main)
