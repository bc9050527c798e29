"""What an answer costs: the update, the next question, and many users at once.

python -m experiments.pref.latency \
  --output=experiments/pref/results/latency.json

Run it on a quiet machine; the smallest of the times shows what a busy one hid.
"""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments import script
from experiments.pref import curves
from hyperrec import whole_file
from hyperrec.systems.pref import interview, question_rules
from hyperrec.systems.pref import reward_factorization as rf

_OUTPUT = flags.DEFINE_string(
  'output', 'results/pref/latency.json', 'JSON file that is written.'
)

J, POOL, BATCH, NUM_ANSWERS = 32, 300, 1024, 10
RULES = (question_rules.paper, question_rules.d_optimal, question_rules.bald)


def main(argv):
  """Measures, prints and writes."""
  del argv
  rows = [one_answer(rule) for rule in RULES]
  rows.append(many_users())
  for row in rows:
    print(row)
  document = {'rows': rows, **script.provenance()}
  whole_file.write_whole(_OUTPUT.value, curves.as_json(document).encode())
  return 0


def one_answer(rule) -> dict:
  """One answer's update, as interviews make it, and the next question."""
  features = np.random.default_rng(0).normal(size=(POOL, J)) / np.sqrt(J)
  pool = question_rules.Pool(
    jnp.asarray(features, jnp.float32),
    jnp.ones(POOL),
    jnp.ones(POOL),
    jnp.eye(J) / J,
    jnp.asarray(features[:, ::-1], jnp.float32),
  )
  belief = interview.start(rf.Gaussian(jnp.zeros(J), jnp.eye(J)), pool, 20)
  key = jax.random.key(0)

  @jax.jit
  def turn(belief, pair):
    belief = interview.update(pool, belief, pair, 1.0, 1.0)
    return belief, question_rules.ask(rule, pool, belief, key)

  pair = jnp.int32(0), jnp.int32(1)
  seconds = times(lambda: turn(belief, pair), 300)
  micros = 1e6 * np.median(seconds)
  return {
    'what': f'update and next question ({rule.__name__}), J = {J}, pool {POOL}',
    'median': f'{micros:.0f} µs',
    'best': f'{1e6 * min(seconds):.0f} µs',
    'goal': '< 1,000 µs',
    'is_met': bool(micros < 1000),
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
  seconds = times(lambda: infer(answers), 50)
  rate = BATCH / np.median(seconds)
  return {
    'what': f'Newton updates, J = {J}, {NUM_ANSWERS} answers, batch {BATCH}',
    'median': f'{rate:,.0f} users/s',
    'best': f'{BATCH / min(seconds):,.0f} users/s',
    'goal': '> 10,000 users/s',
    'is_met': bool(rate > 10_000),
  }


def times(fn, repeats: int) -> list[float]:
  """Seconds of warm calls of fn(), each waited for."""
  jax.block_until_ready(fn())
  seconds = []
  for _ in range(repeats):
    start = time.perf_counter()
    jax.block_until_ready(fn())
    seconds.append(time.perf_counter() - start)
  return seconds


if __name__ == '__main__':
  script.run(main)
