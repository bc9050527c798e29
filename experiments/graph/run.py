"""A closed form on a fixed split: published settings, and settings chosen here.

  python -m experiments.graph.run \
    --flagfile=experiments/graph/cheby_cf.flags --data_dir=DIR

Each row of the README's table is one flag file, which names its paper and the
published numbers. The published settings come from the authors' programs, and
the split has no validation part, so they may have been chosen on the test part.
Therefore settings are chosen here, too, on a fifth of each user's training
items, and both are judged on the test part. The result is written after each of
the two.
"""

import json

from absl import flags

from experiments import script, source_flags
from experiments.graph import rows
from hyperrec.data import splits

_ROW = flags.DEFINE_enum(
  'row', None, list(rows.ROWS), 'Which closed form.', required=True
)
_CHOOSE = flags.DEFINE_bool(
  'choose', True, 'Also chooses settings on a part of train, and runs them.'
)
_NUM_VALIDATION = flags.DEFINE_integer(
  'num_validation',
  3000,
  'Number of users whose hidden training items choose the settings.',
  lower_bound=1,
)
_SEED = script.define_seed('seed', 'Seed of the validation users and items.')
_EXPECT = flags.DEFINE_list(
  'expect', [], 'Published metrics, such as recall@20=0.1941,ndcg@20=0.1616.'
)
_TOLERANCE = flags.DEFINE_float(
  'tolerance',
  1e-3,
  'Largest absolute difference from --expect that passes, such as 1e-3.',
  lower_bound=0.0,
)
_OUTPUT = flags.DEFINE_string(
  'output',
  None,
  'JSON file that the row is written to; default results/graph/ROW.json.',
)


def main(argv):
  """Runs one row; exits with 1 where it misses the expectation."""
  del argv
  expected = script.parse_expected(_EXPECT.value, rows.METRICS)
  train, test = source_flags.load_train_test()
  held, unseen = splits.fixed(train, test)
  row = rows.ROWS[_ROW.value]
  document = {
    'row': _ROW.value,
    'dataset': train.name,
    'sizes': [train.num_users, train.num_items, len(train)],
    'test_rows_of_unseen_items': unseen,
    'expected': expected,
    'tolerance': _TOLERANCE.value,
    **rows.run(row, row.published, train, held),
    'flags': script.script_flags(),
    **script.provenance(),
  }
  output = _OUTPUT.value or f'results/graph/{_ROW.value}.json'
  script.write_document(document, output)
  print(json.dumps(document['metrics'], indent=2), flush=True)
  if _CHOOSE.value:
    chosen, trials = rows.choose(row, train, _NUM_VALIDATION.value, _SEED.value)
    document['trials'] = trials
    script.write_document(document, output)
    document['chosen'] = rows.run(row, chosen, train, held)
    script.write_document(document, output)
    print(json.dumps(document['chosen']['metrics'], indent=2))
  return script.report_misses(document)


if __name__ == '__main__':
  script.run(main)
