"""Experiment (b): a reconstruction of the paper's "Attributes" setting.

python -m experiments.pref.attributes \
  --output=experiments/pref/results/attributes.json

7 attributes in 2 directions; a user wants two of them: C(7, 2) * 4 = 84 users
(arXiv 2503.06358 and its code). There a language model writes and judges
texts; here an item is its 7 attribute scores, of which the model sees a noisy
mixture, and a share of the answers is wrong. AUC over pairs of items that were
never asked about.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments import script
from experiments.pref import curves, recommendation
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.pref import pref, question_rules

_OUTPUT = flags.DEFINE_string(
  'output', 'results/pref/attributes.json', 'JSON file that is written.'
)

SEEDS, RANK, NOISE = 5, 7, 0.1
NUM_ATTRIBUTES, NUM_FEATURES, NUM_ITEMS, NUM_TRAIN = 7, 32, 100, 60
QUESTIONS = (0, 1, 2, 5, 10, 20, 40)


def main(argv):
  """Writes the curves of every rule."""
  del argv
  measured = []
  for seed in range(SEEDS):
    measured += measure(seed)
  curves.write(
    curves.points(measured),
    _OUTPUT.value,
    dataset='attributes',
    rank=RANK,
    noise=NOISE,
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


def measure(seed: int):
  """Yields the AUC of the users who were not learned from, by rule."""
  rng = np.random.default_rng(seed)
  people = rng.permutation(users())
  train, test = people[:NUM_TRAIN], people[NUM_TRAIN:]
  # The first half can be asked about, the second is judged.
  scores = rng.normal(size=(2 * NUM_ITEMS, NUM_ATTRIBUTES))
  mix = rng.normal(size=(NUM_ATTRIBUTES, NUM_FEATURES)) / np.sqrt(NUM_FEATURES)
  features = scores @ mix + 0.05 * rng.normal(size=(len(scores), NUM_FEATURES))
  shared = learn(train @ scores[:NUM_ITEMS].T, features, rng, seed)
  asked = shared.taste[:NUM_ITEMS]
  everyone = jnp.ones(NUM_ITEMS)
  pool = question_rules.Pool(
    asked, everyone, everyone, asked.T @ asked / NUM_ITEMS
  )
  rewards = test @ scores.T
  for name, rule in recommendation.RULES.items():
    record = recommendation.interviews(
      rule,
      shared.prior,
      pool,
      jnp.asarray(rewards[:, :NUM_ITEMS], jnp.float32),
      jax.random.key(seed),
      num_questions=max(QUESTIONS),
      noise=NOISE,
      is_known=True,
    )
    predicted = record.coefficients @ shared.taste[NUM_ITEMS:].T
    found = aucs(np.asarray(predicted)[:, QUESTIONS], rewards[:, NUM_ITEMS:])
    for place, q in enumerate(QUESTIONS):
      metrics = {'auc': found[:, place]}
      yield curves.Measured(name, 'attributes', q, 1.0, metrics)


def learn(rewards, features, rng, seed: int) -> pref.PrefState:
  """Base functions of the training users' pairwise answers, in paper form.

  The users' rewards carry as much noise as turns `NOISE` of all pairs round:
  an angle of pi * NOISE between true and noisy differences.
  """
  spread = rewards.std() * np.tan(np.pi * NOISE)
  noisy = rewards + spread * rng.normal(size=rewards.shape)
  user, item = np.indices(noisy.shape).reshape(2, -1)
  data = interactions_lib.Interactions(
    users=user,
    items=item,
    num_users=len(noisy),
    num_items=len(features),
    ratings=noisy.ravel() - noisy.min() + 1,
    name='attributes',
  )
  model = pref.pref(
    lambda unused: features,
    base='text',
    rank=RANK,
    consensus=False,
    separate=False,
    unseen_share=0.0,
    # Nothing is learned of likes here, but their draws count.
    liked=4.0,
    start_items=40,
    per_user=400,
  )
  return model.fit(data, jax.random.key(seed)).state


def aucs(predicted, rewards) -> np.ndarray:
  """ROC-AUC [B, Q] over pairs of new items, each pair in random order."""
  order = np.random.default_rng(0).permutation(rewards.shape[1])
  first, second = order, np.roll(order, 1)
  label = rewards[:, first] > rewards[:, second]
  margin = predicted[..., first] - predicted[..., second]
  found = np.empty(predicted.shape[:2])
  for user, q in np.ndindex(*found.shape):
    gap = margin[user, q, label[user]][:, None] - margin[user, q, ~label[user]]
    found[user, q] = ((gap > 0) + 0.5 * (gap == 0)).mean()
  return found


if __name__ == '__main__':
  script.run(main)
