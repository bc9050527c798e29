"""PReF: what ten questions are worth.

python -m experiments.pref.run --flagfile=experiments/pref/movielens_small.flags
python -m experiments.pref.run --source=table --path=my.csv \
  --rating_column=stars --arms=random,pref,likes

Shenfeld et al., arXiv 2503.06358. Prints tables and whether asking is worth it,
and writes one JSON file; `tables` makes the README's tables and plots of it.
`experiments.recommend.interview` asks a person instead.
Of a user's several ratings of one item the last row counts.
"""

from absl import flags, logging

from experiments import config_flags, script, source_flags
from experiments.pref import (
  curves,
  people,
  recommendation,
  summary,
)
from hyperrec import features as features_lib
from hyperrec.data import item_features
from hyperrec.evaluation import metrics, results
from hyperrec.systems.pref import pref

_SEEDS = flags.DEFINE_integer(
  'seeds', 5, 'Number of random splits.', lower_bound=1
)
_BUDGETS = script.define_whole_numbers(
  'questions', ['0', '1', '2', '5', '10', '20', '40'], 'Numbers of questions.'
)
_FIRST_SEED = script.define_seed(
  'first_seed', 'Seed of the first random split; the next ones follow.'
)
_NUM_TEST = flags.DEFINE_integer(
  'num_test',
  130,
  'Number of test users.',
  lower_bound=1,
)
_MIN_ROWS = flags.DEFINE_integer(
  'min_rows',
  5,
  'Items that fewer training users rated are left out.',
  lower_bound=0,
)
_POOL = flags.DEFINE_integer(
  'pool',
  150,
  'Number of the most rated items that may be asked about.',
  lower_bound=2,
)
_NOISE = flags.DEFINE_float(
  'noise', 0.0, 'Probability of a wrong answer.', 0.0, 1.0
)
_METRIC = flags.DEFINE_string(
  'metric', 'ndcg@20', 'Metric of the full ranking, such as ndcg@20.'
)
_ARMS = flags.DEFINE_list(
  'arms',
  list(recommendation.ARMS),
  'Ways to choose questions, or what is done instead.',
)
_TRIALS = flags.DEFINE_integer(
  'trials', 4, 'Settings of each rival of plain likes.', lower_bound=1
)
_ENCODER = flags.DEFINE_enum(
  'text_encoder',
  'both',
  item_features.ENCODERS,
  'Encoder that reads the text of the items.',
)
# By default the data tell which ratings count as liked.
_CONFIG = config_flags.define(pref.PrefConfig(), leave_out=['liked'])
_LIKED = flags.DEFINE_float(
  'liked',
  None,
  'Least rating of an item that counts as liked, such as 4. By default the '
  'upper quarter of the scale counts, from the least to the largest rating.',
)
_TAKEN = flags.DEFINE_bool(
  'taken',
  True,
  'Take it as evidence of taste that the user has chosen both items of a '
  'question; its weight is estimated from the training users.',
)
_OUTPUT = flags.DEFINE_string(
  'output',
  'results/pref/recommendation.json',
  'JSON file that the curves are written to.',
)


def main(argv):
  """Prints and writes every curve, with intervals over users and seeds."""
  del argv
  unknown = set(_ARMS.value) - set(recommendation.ARMS)
  if unknown:
    raise results.ResultError(
      f'--arms: {sorted(unknown)} unknown; use some of {recommendation.ARMS}'
    )
  try:
    metrics.parse(_METRIC.value)
  except ValueError as error:
    raise results.ResultError(f'--metric: {error}') from error
  asked = sorted({int(number) for number in _BUDGETS.value})
  data = source_flags.load()
  liked = _LIKED.value
  if liked is None and data.ratings is not None:
    liked = people.least_liked(data)
  config = _CONFIG.value(liked=liked)
  if data.ratings is not None:
    share = (data.ratings >= liked).mean()
    print(
      f'{data.name}: {data.num_users:,} users, {data.num_items:,} items; '
      f'ratings of at least {liked:g} count as liked, {share:.0%} of all '
      '(--liked)',
      flush=True,
    )
  measured = measure(data, config, asked)
  found = curves.points(measured)
  for metric in found[0]['metrics']:
    print(f'\n{summary.table(found, metric)}')
  print()
  for sentence in summary.advice(measured, _METRIC.value):
    print(f'use: {sentence}')
  curves.write(
    found,
    _OUTPUT.value,
    dataset=data.name,
    flags=script.script_flags(),
  )
  print(f'written: {_OUTPUT.value}')
  return 0


def measure(data, config, asked: list[int]) -> list[curves.Measured]:
  """Every seed's values."""
  features = None
  if 'likes' in _ARMS.value or config.base == 'text':
    features = features_lib.read(
      [data], _ENCODER.value, cache_folder=None, num_features=128
    )
  measured = []
  for seed in range(_FIRST_SEED.value, _FIRST_SEED.value + _SEEDS.value):
    drawn = people.draw(
      data,
      num_test=_NUM_TEST.value,
      min_rows=_MIN_ROWS.value,
      liked=config.liked,
      seed=seed,
    )
    measured += recommendation.measure(
      drawn,
      config,
      budgets=asked,
      num_pool=_POOL.value,
      metric=_METRIC.value,
      seed=seed,
      noise=_NOISE.value,
      arms=list(dict.fromkeys(_ARMS.value)),
      taken=_TAKEN.value,
      features=features,
      num_trials=_TRIALS.value,
    )
    logging.info('seed %d done', seed)
  return measured


if __name__ == '__main__':
  script.run(main)
