"""What an answer costs: the update, the next question, and many users at once.

python -m experiments.pref.latency
"""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from experiments import script
from hyperrec.evaluation import cost, results
from hyperrec.models import interview, question_rules
from hyperrec.models import reward_factorization as rf

_OUTPUT = pathlib.Path('experiments/pref/results/latency.json')
J, POOL, BATCH, NUM_ANSWERS = 32, 300, 1024, 10


def main(argv):
  """Measures, prints and writes."""
  del argv
  rows = [one_answer(rule) for rule in (question_rules.paper,
                                        question_rules.d_optimal,
                                        question_rules.bald)]  # fmt: skip
  rows.append(many_users())
  document = {'rows': rows, **script.provenance()}
  results.write_whole(json.dumps(document, indent=1) + '\n', _OUTPUT)
  for row in rows:
    print(row)
  return 0


def one_answer(rule) -> dict:
  """Microseconds of one Newton update and the next question, batch 1."""
  features = np.random.default_rng(0).normal(size=(POOL, J)) / np.sqrt(J)
  pool = question_rules.Pool(
    jnp.asarray(features, jnp.float32),
    jnp.ones(POOL),
    jnp.ones(POOL),
    jnp.eye(J) / J,
  )
  belief = interview.start(rf.Gaussian(jnp.zeros(J), jnp.eye(J)), pool, 20)
  key = jax.random.key(0)

  @jax.jit
  def turn(belief, pair):
    belief = interview.update(pool, belief, pair, 1.0, 1.0, num_steps=1)
    return belief, question_rules.ask(rule, pool, belief, key)

  pair = jnp.int32(0), jnp.int32(1)
  timing = cost.measure(lambda: turn(belief, pair), repeats=200).timing
  micros = 1e6 * timing.median_seconds
  return {
    'what': f'update and next question ({rule.__name__}), J = {J}, pool {POOL}',
    'measured': f'{micros:.0f} µs',
    'goal': '< 1000 µs',
    'is_met': bool(micros < 1000),
    'iqr': 1e6 * timing.iqr_seconds,
  }


def many_users() -> dict:
  """Users a second of one batched Newton update."""
  random = np.random.default_rng(0)
  answers = rf.Answers(
    jnp.asarray(random.normal(size=(BATCH, NUM_ANSWERS, J)), jnp.float32),
    jnp.asarray(random.integers(0, 2, (BATCH, NUM_ANSWERS)), jnp.float32),
    jnp.ones((BATCH, NUM_ANSWERS)),
  )
  prior = rf.Gaussian(jnp.zeros(J), jnp.eye(J))
  step = functools.partial(rf.posterior, num_steps=1)
  infer = jax.jit(jax.vmap(lambda a: step(prior, a).mean))
  timing = cost.measure(lambda: infer(answers), repeats=50).timing
  rate = BATCH / timing.median_seconds
  return {
    'what': f'Newton updates, J = {J}, {NUM_ANSWERS} answers, batch {BATCH}',
    'measured': f'{rate:,.0f} users/s',
    'goal': '> 10,000 users/s',
    'is_met': bool(rate > 10_000),
    'iqr': 1e6 * timing.iqr_seconds,
  }


if __name__ == '__main__':
  script.run(main)
