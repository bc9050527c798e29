"""PReF: what ten questions are worth, and an interview at the terminal.

python -m experiments.pref.run --flagfile=experiments/pref/movielens_small.flags
python -m experiments.pref.run --interactive

Shenfeld et al., arXiv 2503.06358. Writes one JSON file; `tables` makes the
README's tables and plots of it.
"""

import collections
import pathlib

from absl import flags, logging

from experiments import script, source_flags
from experiments.pref import conversation, people, recommendation
from hyperrec.evaluation import results, significance
from hyperrec.methods import pref

_SEEDS = flags.DEFINE_integer('seeds', 5, 'Random splits.', lower_bound=1)
_BUDGETS = flags.DEFINE_list(
  'questions', ['0', '1', '2', '5', '10', '20', '40'], 'Numbers of questions.'
)
_NUM_TEST = flags.DEFINE_integer('num_test', 130, 'Test users.')
_MIN_ROWS = flags.DEFINE_integer(
  'min_rows', 5, 'Items with fewer training rows are left out.'
)
_POOL = flags.DEFINE_integer(
  'pool', 150, 'Most rated items that may be asked about.', lower_bound=2
)
_NOISE = flags.DEFINE_float(
  'noise', 0.0, 'Probability of a wrong answer.', 0.0, 1.0
)
_METRIC = flags.DEFINE_string('metric', 'ndcg@20', 'Of the full ranking.')
_ARMS = flags.DEFINE_list(
  'arms', [*recommendation.RULES, 'tree'], 'Ways to choose questions.'
)
_BASE = flags.DEFINE_enum('base', 'preferences', pref.BASES, 'Makes phi.')
_RANK = flags.DEFINE_integer('rank', 16, 'J; 5 in the paper.', lower_bound=1)
_UNSEEN = flags.DEFINE_float(
  'unseen_share', 0.5, 'Training pairs of a liked and an unseen item.', 0.0, 1.0
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
    base=_BASE.value, rank=_RANK.value, unseen_share=_UNSEEN.value
  )
  data = source_flags.load()
  if _INTERACTIVE.value:
    return conversation.run(data, config, num_pool=_POOL.value)
  unknown = set(_ARMS.value) - {*recommendation.RULES, 'tree'}
  if unknown:
    raise results.ResultError(
      f'--arms: {sorted(unknown)} unknown; use {[*recommendation.RULES]}, tree'
    )
  values, shares = measure(data, config)
  document = {
    'dataset': data.name,
    'curves': [
      point(values, shares, arm_condition, q) for arm_condition, q in values
    ],
    'flags': script.script_flags(),
    **script.provenance(),
  }
  path = pathlib.Path(_OUTPUT.value)
  path.parent.mkdir(parents=True, exist_ok=True)
  results.write_whole(conversation.as_json(document), path)
  return 0


def measure(data, config):
  """Per-user values of each seed: (arm, condition), questions -> metrics."""
  values = collections.defaultdict(lambda: collections.defaultdict(list))
  shares = collections.defaultdict(list)
  for seed in range(_SEEDS.value):
    drawn = people.draw(
      data,
      num_test=_NUM_TEST.value,
      min_rows=_MIN_ROWS.value,
      liked=config.liked,
      seed=seed,
    )
    for arm, condition, q, share, found in recommendation.curves(
      drawn,
      config,
      budgets=budgets(),
      num_pool=_POOL.value,
      metric=_METRIC.value,
      seed=seed,
      noise=_NOISE.value,
      arms=_ARMS.value,
      text=conversation.text_features(drawn.train, config),
    ):
      shares[(arm, condition), q].append(share)
      for metric, of_users in found.items():
        values[(arm, condition), q][metric].append(of_users)
    logging.info('seed %d done', seed)
  return values, shares


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


def point(values, shares, arm_condition, q) -> dict:
  """One point of a curve: means, intervals, and the effect over random."""
  arm, condition = arm_condition
  row = {
    'arm': arm,
    'condition': condition,
    'questions': q,
    'answered': sum(shares[arm_condition, q]) / len(shares[arm_condition, q]),
    'metrics': {},
    'against_random': {},
  }
  rival = values.get((('random', condition), q))
  for metric, by_seed in values[arm_condition, q].items():
    low, high = significance.bootstrap_interval(by_seed, seed=0)
    means = [float(v.mean()) for v in by_seed]
    row['metrics'][metric] = {
      'mean': sum(means) / len(means),
      'low': low,
      'high': high,
      'by_seed': means,
    }
    if rival is not None and arm != 'random':
      row['against_random'][metric] = significance.paired_bootstrap(
        by_seed, rival[metric], seed=0
      )._asdict()
  return row


if __name__ == '__main__':
  script.run(main)
