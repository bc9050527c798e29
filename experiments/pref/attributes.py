"""Experiment (b): a reconstruction of the paper's "Attributes" setting.

python -m experiments.pref.attributes

7 attributes in 2 directions; a user wants two of them: C(7, 2) * 4 = 84 users
(arXiv 2503.06358 and its code). There a language model writes and judges
texts; here an item is its 7 attribute scores, of which the model sees a noisy
random rotation, and a share of the answers is wrong. AUC over pairs of items
that were never asked about.
"""

import collections
import itertools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments import script
from experiments.pref import conversation, recommendation, run
from hyperrec.data import interactions as interactions_lib
from hyperrec.evaluation import results
from hyperrec.methods import pref
from hyperrec.models import question_rules

_FILE = 'experiments/pref/results/attributes.json'
_OUTPUT = flags.DEFINE_string('attributes_output', _FILE, 'The JSON file.')
_NOISE = flags.DEFINE_float(
  'attributes_noise', 0.1, 'Probability of a wrong answer.', 0.0, 1.0
)
_SEEDS = flags.DEFINE_integer('attributes_seeds', 5, 'Draws.', lower_bound=1)
_J = flags.DEFINE_integer('attributes_rank', 7, 'J.', lower_bound=1)

NUM_ATTRIBUTES = 7
NUM_FEATURES = 32
NUM_ITEMS = 100
QUESTIONS = (0, 1, 2, 5, 10, 20, 40)


def main(argv):
  """Writes the curves of every rule."""
  del argv
  values = collections.defaultdict(lambda: collections.defaultdict(list))
  shares = collections.defaultdict(list)
  for seed in range(_SEEDS.value):
    for rule, of_users in curves(seed, _J.value, _NOISE.value).items():
      for place, q in enumerate(QUESTIONS):
        values[(rule, 'attributes'), q]['auc'].append(of_users[:, place])
        shares[(rule, 'attributes'), q].append(1.0)
  document = {
    'dataset': 'attributes',
    'curves': [run.point(values, shares, arm, q) for arm, q in values],
    'flags': {
      'seeds': _SEEDS.value, 'rank': _J.value, 'noise': _NOISE.value
    },
    **script.provenance(),
  }  # fmt: skip
  results.write_whole(
    conversation.as_json(document), pathlib.Path(_OUTPUT.value)
  )
  return 0


def users() -> np.ndarray:
  """Every user: weights [84, 7], two of them 1 or -1."""
  rows = []
  for a, b in itertools.combinations(range(NUM_ATTRIBUTES), 2):
    for signs in itertools.product((1.0, -1.0), repeat=2):
      rows.append(np.zeros(NUM_ATTRIBUTES))
      rows[-1][[a, b]] = signs
  return np.array(rows)


def curves(seed: int, rank: int, noise: float) -> dict[str, np.ndarray]:
  """AUC [B, questions] of 24 test users, by rule."""
  rng = np.random.default_rng(seed)
  people = rng.permutation(users())
  train, test = people[:60], people[60:]
  scores = rng.normal(size=(2 * NUM_ITEMS, NUM_ATTRIBUTES))
  mix = rng.normal(size=(NUM_ATTRIBUTES, NUM_FEATURES)) / np.sqrt(NUM_FEATURES)
  features = scores @ mix + 0.05 * rng.normal(size=(len(scores), NUM_FEATURES))
  shared = learn(
    train @ scores.T, features, rank=rank, noise=noise, rng=rng, seed=seed
  )
  features_NxJ = shared.features[:NUM_ITEMS]
  pool = question_rules.Pool(
    features_NxJ,
    jnp.ones(NUM_ITEMS),
    jnp.ones(NUM_ITEMS),
    features_NxJ.T @ features_NxJ / NUM_ITEMS,
  )
  rewards = test @ scores.T
  found = {}
  for name, rule in recommendation.RULES.items():
    record = recommendation.interviews(
      rule,
      shared.prior,
      pool,
      jnp.asarray(rewards[:, :NUM_ITEMS], jnp.float32),
      jax.random.key(seed),
      num_questions=max(QUESTIONS),
      noise=noise,
      is_known=True,
    )
    predicted = record.coefficients @ shared.features[NUM_ITEMS:].T
    found[name] = aucs(
      np.asarray(predicted)[:, QUESTIONS], rewards[:, NUM_ITEMS:]
    )
  return found


def learn(rewards, features, *, rank, noise, rng, seed) -> pref.Shared:
  """Base functions of the training users' noisy pairwise answers."""
  noisy = rewards + noise * rng.normal(size=rewards.shape)
  user, item = np.nonzero(np.ones((len(rewards), NUM_ITEMS)))
  data = interactions_lib.Interactions(
    users=user,
    items=item,
    num_users=len(rewards),
    num_items=len(features),
    ratings=noisy[user, item] + 100,
    name='attributes',
  )
  config = pref.Config(
    base='text', rank=rank, unseen_share=0.0, start_items=40, per_user=400
  )
  return pref.fit(config, data, jax.random.key(seed), features)


def aucs(predicted, rewards, num_pairs: int = 100) -> np.ndarray:
  """ROC-AUC [B, Q] over pairs of new items, each pair in random order."""
  pairs = np.random.default_rng(0).permutation(NUM_ITEMS)[:, None]
  pairs = np.concatenate([pairs, np.roll(pairs, 1, axis=0)], 1)[:num_pairs]
  first, second = pairs.T
  label = rewards[:, first] > rewards[:, second]
  margin = predicted[..., first] - predicted[..., second]
  found = np.empty(predicted.shape[:2])
  for user, q in np.ndindex(*found.shape):
    gap = margin[user, q, label[user]][:, None] - margin[user, q, ~label[user]]
    found[user, q] = ((gap > 0) + 0.5 * (gap == 0)).mean()
  return found


if __name__ == '__main__':
  script.run(main)
