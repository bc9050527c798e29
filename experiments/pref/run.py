"""PReF: what ten questions are worth, and an interview at the terminal.

python -m experiments.pref.run --flagfile=experiments/pref/movielens_small.flags
python -m experiments.pref.run --interactive

Shenfeld et al., arXiv 2503.06358. Writes one JSON file; `tables` makes the
README's tables and plots of it.
"""

from absl import flags, logging

from experiments import script, source_flags
from experiments.adaptation import features as features_lib
from experiments.pref import conversation, curves, people, recommendation
from hyperrec.data import item_features
from hyperrec.evaluation import results
from hyperrec.methods import pref

_SEEDS = flags.DEFINE_integer('seeds', 5, 'Random splits.', lower_bound=1)
_BUDGETS = flags.DEFINE_list(
  'questions', ['0', '1', '2', '5', '10', '20', '40'], 'Numbers of questions.'
)
_FIRST_SEED = flags.DEFINE_integer(
  'first_seed',
  0,
  'Of the splits.',
  lower_bound=0,
  upper_bound=2**32 - 1,
)
_NUM_TEST = flags.DEFINE_integer(
  'num_test',
  130,
  'Test users.',
  lower_bound=1,
)
_MIN_ROWS = flags.DEFINE_integer(
  'min_rows',
  5,
  'Items with fewer training rows are left out.',
  lower_bound=0,
)
_POOL = flags.DEFINE_integer(
  'pool', 150, 'Most rated items that may be asked about.', lower_bound=2
)
_NOISE = flags.DEFINE_float(
  'noise', 0.0, 'Probability of a wrong answer.', 0.0, 1.0
)
_METRIC = flags.DEFINE_string('metric', 'ndcg@20', 'Of the full ranking.')
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
  'Reads the text of the items.',
)
_BASE = flags.DEFINE_enum('base', 'ease', pref.BASES, 'Makes phi.')
_RANK = flags.DEFINE_integer(
  'rank', 16, 'Base functions; 5 in the paper.', lower_bound=1
)
_CONSENSUS = flags.DEFINE_bool(
  'consensus', True, 'Popularity and mean rating are base functions, too.'
)
_SEPARATE = flags.DEFINE_bool(
  'separate', True, 'Taste and choice have coefficients of their own.'
)
_TASTE_VARIANCE = flags.DEFINE_float(
  'taste_variance',
  0.1,
  'Of a coefficient of taste, where the fit of the prior begins.',
  lower_bound=1e-6,
)
_CHOICE_VARIANCE = flags.DEFINE_float(
  'choice_variance', 3.0, 'The same of choice.', lower_bound=1e-6
)
_TAKEN = flags.DEFINE_bool(
  'taken', True, 'An answer also tells that the user took both items up.'
)
_UNSEEN = flags.DEFINE_float(
  'unseen_share',
  0.5,
  'Pairs of a liked and an unseen item in a joint fit.',
  0.0,
  1.0,
)
_INTERACTIVE = flags.DEFINE_bool(
  'interactive', False, 'Ask a person ten questions instead.'
)
_OUTPUT = flags.DEFINE_string(
  'output', 'experiments/pref/results/recommendation.json', 'The JSON file.'
)


def main(argv):
  """Writes every curve, with intervals over users and seeds."""
  del argv
  config = pref.Config(
    base=_BASE.value,
    rank=_RANK.value,
    consensus=_CONSENSUS.value,
    separate=_SEPARATE.value,
    taste_variance=_TASTE_VARIANCE.value,
    choice_variance=_CHOICE_VARIANCE.value,
    unseen_share=_UNSEEN.value,
  )
  if _INTERACTIVE.value:
    data = source_flags.load()
    return conversation.run(data, config, num_pool=_POOL.value)
  unknown = set(_ARMS.value) - set(recommendation.ARMS)
  if unknown:
    raise results.ResultError(
      f'--arms: {sorted(unknown)} unknown; use some of {recommendation.ARMS}'
    )
  asked = budgets()
  data = source_flags.load()
  curves.write(
    measure(data, config, asked),
    _OUTPUT.value,
    dataset=data.name,
    flags=script.script_flags(),
  )
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
      arms=_ARMS.value,
      taken=_TAKEN.value,
      features=features,
      num_trials=_TRIALS.value,
    )
    logging.info('seed %d done', seed)
  return measured


def budgets() -> list[int]:
  """The numbers of questions of the flag."""
  try:
    found = sorted({int(q) for q in _BUDGETS.value})
  except ValueError:
    found = [-1]
  if not found or found[0] < 0:
    raise results.ResultError(
      f'--questions={",".join(_BUDGETS.value)}: write whole numbers, as 0,5,10'
    )
  return found


if __name__ == '__main__':
  script.run(main)
