"""Trains models for a few steps on a mesh; see mesh_test.

python -m tests.training.mesh_worker OUTPUT NUM_ITEMS MODELS \\
  [COORDINATOR PROCESSES ID]

It writes the result of `train_all` to OUTPUT/trained.npz.
"""

import contextlib
import pathlib
import sys
from collections.abc import Iterator, Sequence
from unittest import mock

import jax
import numpy as np
import optax

from hyperrec.data import sources
from hyperrec.systems.baselines import two_tower
from hyperrec.systems.hyperease import hyperease_user
from hyperrec.systems.hypernetwork import generated_head
from hyperrec.systems.linear import esler
from hyperrec.systems.mult_vae import mult_vae
from hyperrec.systems.p5 import p5
from hyperrec.systems.sequential import sasrec
from hyperrec.systems.vqrec import vqrec
from hyperrec.training import loop, mesh
from hyperrec.training import step as step_lib


def key() -> jax.Array:
  """A key, made only after the processes are joined, which JAX requires."""
  return jax.random.key(0)


def train_all(
  models: Sequence[str], workdir: pathlib.Path | None = None
) -> dict[str, np.ndarray]:
  """Trains each model for a few steps.

  Returns:
    'MODEL parameters' -> all parameters in one vector. For models that Adam
    trains also 'MODEL gradients ...' -> Adam's first moment (the mean of the
    gradients so far) of one leaf of the parameters; and 'MODEL moved' -> the
    largest change of any parameter.
  """
  data = sources.load('synthetic', num_users=64, num_items=256, seed=0)
  found = {}
  for name in models:
    with _runs() as runs:
      found[f'{name} parameters'] = _vector(MODELS[name](data, workdir))
    if runs:
      found[f'{name} moved'] = max(
        np.abs(_vector(last.params) - _vector(first.params)).max()
        for first, last in runs
      )
    for run, (_, state) in enumerate(runs):
      moments = optax.tree_utils.tree_get(state.opt_state, 'mu')
      leaves, _ = jax.tree_util.tree_flatten_with_path(moments)
      for path, leaf in leaves:
        leaf_name = f'{run}{jax.tree_util.keystr(path)}'
        found[f'{name} gradients {leaf_name}'] = np.asarray(leaf)
  return found


@contextlib.contextmanager
def _runs() -> Iterator[list[tuple[step_lib.TrainState, step_lib.TrainState]]]:
  """Records the first and the last state of each `loop.train`."""
  runs = []
  train = loop.train

  def recorded(step_fn, state, *args, **options):
    result = train(step_fn, state, *args, **options)
    runs.append((state, result.state))
    return result

  with mock.patch.object(loop, 'train', recorded):
    yield runs


_VAE = {
  'hidden_dim': 64,
  'latent_dim': 16,
  'batch_size': 16,
  'epochs': 1,
  'dropout': 0.0,
}


def _mult_vae(data, workdir):
  model = mult_vae.mult_vae(**_VAE)
  return model.fit(data, key(), run=loop.Run(workdir=workdir)).state


def _generated_head(data, _):
  model = generated_head.generated_head(base=_VAE, epochs=1)
  return model.fit(data, key()).state


def _hyperease_user(data, _):
  model = hyperease_user.hyperease_user(
    rank=64, z_dim=8, hidden_dim=16, dropout=0.0, steps=3, batch_size=16,
    members=1,
  )  # fmt: skip
  return model.fit(data, key()).state.generators.members


def _sasrec(data, _):
  model = sasrec.sasrec(
    length=8, dim=64, num_layers=1, num_heads=2, epochs=1, batch_size=8,
    dropout=0.0,
  )  # fmt: skip
  return model.fit(data, key()).state.params


def _vqrec(data, _):
  model = vqrec.vqrec(
    _features,
    num_groups=4, num_codes=64, length=8, dim=64, num_layers=1, num_heads=2,
    hidden_dim=32, epochs=1, batch_size=8, dropout=0.0,
  )  # fmt: skip
  return model.fit(data, key()).state.params


def _features(data):
  table = np.random.default_rng(0).normal(size=(data.num_items, 8))
  return table.astype(np.float32)


def _p5(data, _):
  model = p5.p5(
    names='random', dim=64, num_layers=1, vocab_size=400, num_whole_words=16,
    source_length=24, batch_size=8, num_steps=3, dropout=0.0,
  )  # fmt: skip
  return model.fit(data, key()).state.params


MODELS = {
  'mult_vae': _mult_vae,
  'elsa': lambda data, _: esler.elsa(rank=64, epochs=1).fit(data, key()).state,
  'esler': lambda data, _: (
    esler.esler(l2=50.0, max_steps=5).fit(data, key()).state
  ),
  'generated_head': _generated_head,
  'hyperease_user': _hyperease_user,
  'sasrec': _sasrec,
  'two_tower': lambda data, _: (
    two_tower.two_tower(
      _features, hidden_dim=64, dim=64, steps=3, batch_size=16, lr=1e-3
    )
    .fit(data, key())
    .state.params
  ),
  'vqrec': _vqrec,
  'p5': _p5,
}


def _vector(tree) -> np.ndarray:
  leaves = [
    np.asarray(leaf, np.float64).ravel()
    for leaf in jax.tree.leaves(tree)
    if hasattr(leaf, 'dtype') and np.issubdtype(leaf.dtype, np.floating)
  ]
  return np.concatenate(leaves)


def main(output: str, num_items: str, models: str, *processes: str) -> None:
  """Trains, and writes the results in one of the processes."""
  if processes:
    coordinator, count, number = processes
    mesh.initialize(coordinator, int(count), int(number))
  # The test's own process also does so: compiling takes longer than running.
  jax.config.update('jax_disable_most_optimizations', True)
  mesh.MIN_TABLE_SIZE = 2**12  # So every model has a table to shard.
  folder = pathlib.Path(output)
  with mesh.use(int(num_items)):
    workdir = folder / 'run' if processes else None
    found = train_all(models.split(','), workdir)
  if mesh.is_writer():
    np.savez(folder / 'trained.npz', **found)


if __name__ == '__main__':
  main(*sys.argv[1:])
