"""Made-up result rows for the tests of results and report."""

import numpy as np

USERS = 60


def row(method, quality, budget=5, seed=0, seconds=1e-3, **more):
  """A made-up result; users differ, methods by a constant."""
  random = np.random.default_rng(seed)
  per_user = quality + random.normal(0, 0.01, USERS)
  costs = {'flops': seconds * 1e9, 'seconds': seconds, 'peak_bytes': 10.0}
  return {
    'dataset': 'made',
    'regime': 'new_users',
    'budget': budget,
    'method': method,
    'seed': seed,
    'metrics': {'ndcg@100': float(per_user.mean()), 'recall@20': 0.1},
    'per_user': per_user.tolist(),
    'prepare': {**costs, 'flops': 1e9, 'seconds': 1.0},
    'adapt': {**costs, 'stored_bytes': 2048.0},
    **more,
  }


def refusal(method, budget=5, seed=0, why='it has <no> weights'):
  plain = row(method, 0.1, budget, seed)
  kept = ('dataset', 'regime', 'budget', 'method', 'seed')
  return {**{k: plain[k] for k in kept}, 'cannot': why}


def retrained(method, quality, budget=5, seed=0, seconds=0.5):
  """An arm that learns nothing beforehand and everything at adaptation."""
  plain = row(method, quality, budget, seed, seconds)
  return {**plain, 'prepare': {**plain['prepare'], 'flops': 0.0}}


def rows():
  """Three seeds; l3ae leads at budget 5, everybody is level at budget 0."""
  out = []
  for seed in range(3):
    for budget in (0, 5):
      out.append(row('popularity', 0.20, budget, seed, 0.0))
      out.append(retrained('ease:retrain', 0.30, budget, seed))
      out.append(row('ease', 0.30, budget, seed, 0.001))
      out.append(row('l3ae', 0.36 if budget else 0.30, budget, seed, 0.01))
      out.append(row('l3ae:oracle', 0.9, budget, seed, 0.01))
  return [*out, refusal('slim', 0)]


def generated_rows():
  """A hypernetwork that wins at budget 0, and loses at 20."""
  out = rows()
  for seed in range(3):
    for budget, quality in ((0, 0.40), (5, 0.36), (20, 0.25)):
      out.append(row('hyperease', quality, budget, seed, 0.1))
      out.append(row('hyperease:shuffled', 0.95, budget, seed, 0.1))
    out.append(retrained('ease:retrain', 0.38, 20, seed))
    out.append(row('l3ae', 0.39, 20, seed, 0.01))
  return out
