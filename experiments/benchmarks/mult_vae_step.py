"""Compares a train step of Mult-VAE with the same model in PyTorch, on CPU.

  python -m experiments.benchmarks.mult_vae_step

Both sides update the parameters from the same sparse rows: dense rows, norm 1,
dropout 0.5, V -> 600 -> 200 -> 600 -> V, multinomial likelihood and KL, Adam.
PyTorch uses its fastest Adam (fused).
"""

import jax
import numpy as np

from experiments import script
from experiments.benchmarks import inputs, measure, peers
from hyperrec.systems.mult_vae import mult_vae, variational_autoencoder
from hyperrec.training import step as step_lib

Comparison = measure.Comparison
BATCH_SIZE = 500
BETA = 0.2


def main(argv):
  """Measures every size and writes the results."""
  del argv
  measure.record('mult_vae_step', run)


def run(skipped: list[str]) -> list[Comparison]:
  """Returns the comparisons of every size."""
  has_torch = peers.has('torch')
  if not has_torch:
    skipped.append(measure.skip('torch'))
  comparisons = []
  for num_items in measure.catalogues((3_000, 10_000)):
    data = inputs.skewed(5_000, num_items)
    comparisons += compare(data, has_torch, 4 * measure.repeats())
  return comparisons


def compare(data, has_torch: bool, repeats: int) -> list[Comparison]:
  """Compares steps on a ready batch, and steps that make their batch."""
  sides = _sides(hyperrec_step(data.num_items), data.csr(bool), np.asarray)
  if has_torch:
    import torch

    step = peers.torch_mult_vae_step(data.num_items, BETA)
    theirs = _sides(step, data.csr(np.float32), torch.from_numpy)
    sides |= {f'torch: {what}': call for what, call in theirs.items()}
  seconds = measure.interleave(sides, repeats)
  case = f'{inputs.describe(data)}, {BATCH_SIZE} users a batch'
  if not has_torch:
    for what, found in seconds.items():
      print(f'{case} | {what}: {measure.amount(np.median(found), "s")}')
    return []
  return [
    Comparison(
      case, w, 'PyTorch', 's', seconds[w], seconds[f'torch: {w}'], '>= 1'
    )
    for w in ('train step', 'train step and its batch')
  ]


def _sides(step, x_UxV, convert):
  random = np.random.default_rng(0)

  def batch():
    return convert(
      x_UxV[random.permutation(x_UxV.shape[0])[:BATCH_SIZE]].toarray()
    )

  ready = batch()
  return {
    'train step': lambda: step(ready),
    'train step and its batch': lambda: step(batch()),
  }


def hyperrec_step(num_items: int):
  """Returns a function x [B, V] -> loss that keeps its train state."""
  model = variational_autoencoder.MultVAE(num_items)
  init_key, noise_key = jax.random.split(jax.random.key(0))
  init = jax.jit(model.init, static_argnames='train')
  params = init(init_key, np.zeros((1, num_items)), train=False)
  step_fn, tx = mult_vae.train_step(model, 1e-3, 0.0)
  state = step_lib.init_state(params['params'], tx, noise_key)

  def step(x_BxV):
    nonlocal state
    state, metrics = step_fn(state, {'x': x_BxV, 'beta': np.float32(BETA)})
    # Waits for the parameters too, as reading them would.
    return jax.block_until_ready((state.params, metrics))[1]['loss']

  return step


if __name__ == '__main__':
  script.run(main)
