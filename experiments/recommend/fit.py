"""Fits a recommender on all of your data and saves it.

  python -m experiments.recommend.fit --source=table --path=orders.csv \
    --user_column=customer --item_column=product \
    --advice=my_advice --output=my_recommender

Takes the method that `experiments.recommend.advise` recommends (--advice), or
the one that --method names. The folder holds recommender.json and
state.safetensors: the method, the interactions, and what was learned.
`experiments.recommend.recommend` and `experiments.recommend.update` read it.
"""

import time

from absl import flags

from experiments import script, source_flags
from experiments.recommend import cases as cases_lib
from experiments.recommend import stored
from hyperrec import recommender as recommender_lib
from hyperrec.data import description as description_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import item_features

_ADVICE = flags.DEFINE_string(
  'advice', None, 'Workdir of experiments.recommend.advise on the same data.'
)
_METHOD = flags.DEFINE_string(
  'method', None, 'Method to fit, such as ease, in place of --advice.'
)
_CASE = flags.DEFINE_enum(
  'case',
  'returning_users',
  [case.regime for case in cases_lib.ALL],
  'Case to serve. It decides the method that is taken from --advice, and how '
  'the recommender is updated: new_items generates weights of items that '
  'arrive later.',
)
_ENCODER = flags.DEFINE_enum(
  'text_encoder', 'tfidf', item_features.ENCODERS, 'Encoder of item text.'
)
_CACHE_DIR = flags.DEFINE_string(
  'cache_dir', None, 'Folder that keeps embeddings of item text for later runs.'
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Folder to write the recommender to.', required=True
)
_OVERWRITE = flags.DEFINE_bool(
  'overwrite', False, 'Replaces a recommender in --output.'
)
_SEED = script.define_seed('seed', 'Seed of all random draws.')


def main(argv):
  """Fits, saves, and prints what was fitted."""
  del argv
  script.send_logs_to(None)
  recommender_lib.check_folder(_OUTPUT.value, overwrite=_OVERWRITE.value)
  if (_ADVICE.value is None) == (_METHOD.value is None):
    raise interactions_lib.DataError(
      'give either --advice, the workdir of experiments.recommend.advise, or '
      '--method'
    )
  if _METHOD.value is None:
    choice = stored.advised(_ADVICE.value, _CASE.value)
  else:
    choice = stored.named(_METHOD.value, _CASE.value)
  data = source_flags.load()
  about = {
    'choice': choice._asdict(),
    'data': description_lib.describe(data)._asdict(),
    'flags': script.script_flags(),
    **script.provenance(),
  }
  start = time.perf_counter()
  made = recommender_lib.Recommender.fit(
    choice.build,
    data,
    seed=_SEED.value,
    text_encoder=_ENCODER.value,
    cache_folder=_CACHE_DIR.value,
    about=about,
  )
  seconds = time.perf_counter() - start
  made.save(_OUTPUT.value, overwrite=_OVERWRITE.value)
  print(
    f'{choice.system} with {choice.hyperparameters}, fitted on '
    f'{data.num_users:,} users, {data.num_items:,} items and {len(data):,} '
    f'interactions in {seconds:.1f} s: {_OUTPUT.value}'
  )


if __name__ == '__main__':
  # All users and items can be recommended to, or be recommended.
  flags.FLAGS.set_default('min_user_interactions', 1)
  script.run(main, output_is_folder=True)
