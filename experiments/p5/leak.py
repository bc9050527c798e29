"""What item numbers alone give away: a rule that learns nothing, ranked.

  python -m experiments.p5.leak --data_dir=DIR \
    --output=experiments/p5/results/leak.json

The rule answers with the number after the largest of the history, then the one
after the last item's, and so on (`item_ids.next_number_scores`). Numbers that
were handed out along full sequences hold the answer; those of a function of
the training interactions do not.
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

_SETS = flags.DEFINE_list('sets', list(SETS), f'Some of {", ".join(SETS)}.')
_DATA_DIR = flags.DEFINE_string('data_dir', None, "The sources' files.")
_SEED = script.define_seed('seed', 'Seed of the random numbers of items.')
_OUTPUT = flags.DEFINE_string(
  'output', 'results/p5/leak.json', 'JSON file that is written.'
)


def main(argv):
  """Judges the rule on every kind of number of every set."""
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
  """Yields (test users, kind of numbers, metrics of the rule)."""
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
