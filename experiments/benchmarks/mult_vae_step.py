"""A Mult-VAE train step against the same model in PyTorch, on CPU.

  python -m experiments.benchmarks.mult_vae_step

Both sides take the same sparse rows to updated parameters: rows made dense,
norm 1, dropout 0.5, V -> 600 -> 200 -> 600 -> V, multinomial likelihood and
KL, Adam. PyTorch's Adam is its fastest one (fused).
"""

import jax
import numpy as np
from absl import app

from experiments.benchmarks import inputs, measure, peers
from hyperrec.methods import mult_vae
from hyperrec.models import variational_autoencoder
from hyperrec.training import step as step_lib

Comparison = measure.Comparison
BATCH_SIZE = 500
BETA = 0.2


def main(argv):
  """Measures every size and writes the results."""
  if len(argv) > 1:
    raise app.UsageError(f'unknown arguments: {argv[1:]}')
  has_torch = peers.has('torch')
  skipped = [] if has_torch else [measure.skip('torch')]
  comparisons = []
  for num_items in measure.catalogues((3_000, 10_000)):
    data = inputs.skewed(5_000, num_items)
    comparisons += compare(data, has_torch, 4 * measure.repeats())
  measure.finish('mult_vae_step', comparisons, skipped)


def compare(data, has_torch: bool, repeats: int) -> list[Comparison]:
  """Steps on batches that are ready, and steps that make their batch too."""
  x_UxV = data.csr(bool)
  random = np.random.default_rng(0)
  rows = lambda: random.choice(x_UxV.shape[0], BATCH_SIZE, replace=False)  # noqa: E731
  ours, ready = hyperrec_step(data.num_items), x_UxV[rows()].toarray()
  sides = {
    'ours': lambda: ours(ready),
    'ours, batch': lambda: ours(x_UxV[rows()].toarray()),
  }
  if has_torch:
    import torch

    x32_UxV = data.csr(np.float32)
    theirs = peers.torch_mult_vae_step(data.num_items, BETA)
    ready32 = torch.from_numpy(x32_UxV[rows()].toarray())
    make = lambda: torch.from_numpy(x32_UxV[rows()].toarray())  # noqa: E731
    sides['torch'] = lambda: theirs(ready32)
    sides['torch, batch'] = lambda: theirs(make())
  seconds = measure.interleave(sides, repeats)
  case = f'{inputs.describe(data)}, {BATCH_SIZE} users a batch'
  whats = {'': 'train step', ', batch': 'train step and its batch'}
  return [
    Comparison(
      case,
      what,
      'PyTorch',
      's',
      seconds['ours' + suffix],
      seconds.get('torch' + suffix, ()),
      '>= 1',
    )
    for suffix, what in whats.items()
  ]


def hyperrec_step(num_items: int):
  """x [B, V] -> loss; keeps the train state from call to call."""
  model = variational_autoencoder.MultVAE(num_items)
  init_key, noise_key = jax.random.split(jax.random.key(0))
  params = model.init(init_key, np.zeros((1, num_items)), train=False)
  step_fn, tx = mult_vae.train_step(model, 1e-3, 0.0)
  state = step_lib.init_state(params['params'], tx, noise_key)

  def step(x_BxV):
    nonlocal state
    state, metrics = step_fn(state, {'x': x_BxV, 'beta': np.float32(BETA)})
    # Waits for the parameters too, as reading them would.
    return jax.block_until_ready((state.params, metrics))[1]['loss']

  return step


if __name__ == '__main__':
  app.run(main)
