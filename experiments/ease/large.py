"""A catalogue too large for comfort: what each way takes, and what it finds.

  python -m experiments.ease.large \
    --flagfile=experiments/ease/diginetica.flags --data_dir=DIR

Sessions of Diginetica: 43,097 items, so that EASE's matrix takes 7 GiB. Each
way says what memory its fit will need, and is refused where that cannot be
had; what it really took is measured. Settings are chosen on sessions held out
of training, by Recall@20 of their last item; the prefixes of the test part
judge. Each way's row goes to --output/diginetica_WAY.json when it is done.
"""

import pathlib

from absl import flags

from experiments import script, source_flags
from experiments.ease import ways
from hyperrec.evaluation import results

_WAYS = flags.DEFINE_list('ways', list(ways.WAYS), 'Which.')
_NUM_VALIDATION = flags.DEFINE_integer(
  'num_validation',
  4000,
  'Sessions held out to choose settings.',
  lower_bound=1,
)
_SEED = script.define_seed(
  'seed', 'Seed of the validation sessions and of ELSA.'
)
_OUTPUT = flags.DEFINE_string(
  'output', 'results/ease', 'Folder that the rows are written to.'
)


def main(argv):
  """Runs each way end to end."""
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
