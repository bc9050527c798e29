"""The small training run that `chaos` kills."""

import hashlib

import jax
import numpy as np

from hyperrec.data import interactions, sources
from hyperrec.methods import mult_vae

_USERS, _BATCH = 200, 20


def load() -> interactions.Interactions:
  """What it learns from."""
  return sources.load('synthetic', num_users=_USERS, num_items=300, seed=0)


def train(data: interactions.Interactions, workdir: str, num_steps: int) -> str:
  """Trains in `workdir`, or goes on there; the parameters' SHA-256."""
  config = mult_vae.Config(
    hidden_dim=200,
    latent_dim=64,
    batch_size=_BATCH,
    epochs=num_steps * _BATCH // _USERS,
  )
  fitted = mult_vae.fit(
    config,
    data,
    jax.random.key(0),
    workdir=workdir,
    loop={'checkpoint_every': 1},
  )
  digest = hashlib.sha256()
  for leaf in jax.tree.leaves(fitted.params):
    digest.update(np.asarray(leaf).tobytes())
  return digest.hexdigest()
