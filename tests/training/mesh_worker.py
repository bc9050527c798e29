"""Trains models a few steps on a mesh; see mesh_test.

python -m tests.training.mesh_worker OUTPUT NUM_ITEMS MODELS \\
  [COORDINATOR PROCESSES ID]

Writes the parameters, flattened, as OUTPUT/params.npz.
"""

import pathlib
import sys
from collections.abc import Sequence

import jax
import numpy as np

from hyperrec.data import sources
from hyperrec.methods import esler, generated_head, mult_vae, sasrec
from hyperrec.training import mesh


def train_all(
  models: Sequence[str], workdir: pathlib.Path | None = None
) -> dict[str, np.ndarray]:
  """Model -> its parameters in one vector."""
  data = sources.load('synthetic', num_users=64, num_items=256, seed=0)
  return {name: _vector(MODELS[name](data, workdir)) for name in models}


def _key():
  return jax.random.key(0)


_VAE = mult_vae.Config(
  hidden_dim=64, latent_dim=16, batch_size=16, epochs=1, dropout=0.0
)


def _sasrec(data, workdir):
  config = sasrec.Config(
    length=8, dim=64, num_layers=1, num_heads=2, epochs=1, batch_size=8,
    dropout=0.0,
  )  # fmt: skip
  return sasrec.fit(config, data, _key(), workdir=workdir).params


MODELS = {
  'mult_vae': lambda data, workdir: (
    mult_vae.fit(_VAE, data, _key(), workdir=workdir).params
  ),
  'elsa': lambda data, _: esler.elsa(rank=64, epochs=1).prepare(data, _key()),
  'generated_head': lambda data, _: generated_head.fit(
    generated_head.Config(_VAE), data, _key()
  ),
  'sasrec': _sasrec,
}


def _vector(tree) -> np.ndarray:
  leaves = [
    np.asarray(leaf, np.float64).ravel()
    for leaf in jax.tree.leaves(tree)
    if hasattr(leaf, 'dtype') and np.issubdtype(leaf.dtype, np.floating)
  ]
  return np.concatenate(leaves)


def main(output: str, num_items: str, models: str, *processes: str) -> None:
  """Trains and writes; of several processes one writes."""
  if processes:
    coordinator, count, number = processes
    mesh.initialize(coordinator, int(count), int(number))
  folder = pathlib.Path(output)
  with mesh.use(int(num_items)):
    workdir = folder / 'run' if processes else None
    found = train_all(models.split(','), workdir)
  if mesh.is_writer():
    np.savez(folder / 'params.npz', **found)


if __name__ == '__main__':
  main(*sys.argv[1:])
