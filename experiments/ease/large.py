"""Compares linear methods on a large catalogue: quality, time and memory.

  python -m experiments.ease.large \
    --flagfile=experiments/ease/diginetica.flags --data_dir=DIR

The data are the sessions of Diginetica with 43,097 items; the matrix of EASE
takes 7 GiB. For each method, the memory is predicted and measured, and a fit
that needs more memory than is free is refused. Settings are chosen by Recall@20
of the last item of held-out training sessions. The evaluation uses the prefixes
of the test part. The row of a method is written to
--output/diginetica_WAY.json when it is done.
"""

import pathlib

from absl import flags

from experiments import script, source_flags
from experiments.ease import ways
from hyperrec.evaluation import results

_WAYS = flags.DEFINE_list(
  'ways', list(ways.WAYS), 'Methods to run, such as itemknn,ease.'
)
_NUM_VALIDATION = flags.DEFINE_integer(
  'num_validation',
  4000,
  'Number of sessions held out to choose settings.',
  lower_bound=1,
)
_SEED = script.define_seed(
  'seed', 'Seed of the validation sessions and of ELSA.'
)
_OUTPUT = flags.DEFINE_string(
  'output', 'results/ease', 'Folder that the rows are written to.'
)


def main(argv):
  """Runs each method and writes its row."""
  del argv
  names = dict.fromkeys(_WAYS.value)
  if unknown := set(names) - set(ways.WAYS):
    raise results.ResultError(
      f'--ways: {sorted(unknown)} unknown; use some of {list(ways.WAYS)}'
    )
  data = source_flags.load().by_user_and_time()
  prefixes = source_flags.load_prefixes(data)
  for name in names:
    document = {
      'way': name,
      'dataset': data.name,
      'sizes': [data.num_users, data.num_items, len(data)],
      **ways.run(
        ways.WAYS[name], data, prefixes, _NUM_VALIDATION.value, _SEED.value
      ),
      'flags': script.script_flags(),
      **script.provenance(),
    }
    print(name, document['options'], document['metrics'], flush=True)
    path = pathlib.Path(_OUTPUT.value) / f'{data.name}_{name}.json'
    script.write_document(document, path)


if __name__ == '__main__':
  script.run(main, output_is_folder=True)
