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
