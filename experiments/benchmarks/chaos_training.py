"""The small training run that `chaos` kills."""

import hashlib

import jax
import numpy as np

from hyperrec.data import interactions, sources
from hyperrec.systems.mult_vae import mult_vae
from hyperrec.training import loop

_USERS, _BATCH = 200, 20


def load() -> interactions.Interactions:
  """Returns the training data."""
  return sources.load('synthetic', num_users=_USERS, num_items=300, seed=0)


def train(data: interactions.Interactions, workdir: str, num_steps: int) -> str:
  """Trains or resumes in `workdir`; returns the SHA-256 of the parameters."""
  model = mult_vae.mult_vae(
    hidden_dim=200,
    latent_dim=64,
    batch_size=_BATCH,
    epochs=num_steps * _BATCH // _USERS,
  )
  run = loop.Run(workdir=workdir, checkpoint_every=1)
  params = model.fit(data, jax.random.key(0), run=run).state
  digest = hashlib.sha256()
  for leaf in jax.tree.leaves(params):
    digest.update(np.asarray(leaf).tobytes())
  return digest.hexdigest()
