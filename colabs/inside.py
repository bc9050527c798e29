# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. Inside the hypernetwork
#
# HyperEASE generates a *prior* of the weights between items it has never seen,
# from their text alone. Here are its parts, what they say of one film, and the
# general hypernetwork of the library, which generates any Flax module.

# %%
import importlib.util
import os
import subprocess
import sys

REPOSITORY = ''  # @param {type: "string"}
if importlib.util.find_spec('hyperrec') is None:
  if not REPOSITORY:
    raise SystemExit(
      'Fill in REPOSITORY: the address of the repository that this notebook is '
      'from, https://github.com/...'
    )
  package = f'hyperrec[demo,text,colab] @ git+{REPOSITORY}'
  command = [sys.executable, '-m', 'pip', 'install', '--quiet', package]
  subprocess.run(command, check=True)

# %%
import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import treescope

from experiments.adaptation import grids
from hyperrec import features as features_lib
from hyperrec.data import sources
from hyperrec.regimes import new_catalogue
from hyperrec.systems.hyperease import hyperease, prior_generator
from hyperrec.systems.hypernetwork import (
  conditioning,
  hypernetwork,
  output_forms,
)

FAST = bool(os.environ.get('HYPERREC_FAST'))

# %%
data = sources.load(
  'movielens_small',
  min_rating=4,
  min_user_interactions=5,
  min_item_interactions=40 if FAST else 10,
)
features = features_lib.read(
  [data], 'tfidf', cache_folder=None, num_features=32 if FAST else 128
)
task = new_catalogue.make_task(data, 0, seed=0, num_heldout=100)
new = task.test.evidence
print(f'known: {task.source}\nnew:   {new}')

# %% [markdown]
# B0 = D^-k (trust C + relation F M F' + transfer T B T') D^k. Each part alone,
# as a matrix of the new films:

# %%
trial = grids.HYPEREASE[1]
parts = {
  'C, from likeness of text': {'relation': 0.0, 'transfer': 0.0},
  "F M F', a learned map": {'trust': 0.0, 'transfer': 0.0, 'relation': 1.0},
  "T B T', carried weights": {'trust': 0.0, 'relation': 0.0, 'transfer': 1.0},
  'all of them': {},
}
source = task.source
generator = prior_generator.learn(
  [prior_generator.Domain(source.csr(), features.own(source))], carries=True
)


def prior(**changes):
  strengths = {k: v for k, v in {**trial, **changes}.items() if k != 'l2'}
  made = prior_generator.generate(
    generator,
    features.units(new),
    features.own(new),
    new.csr(),
    prior_generator.Strengths(**strengths),
  ).prior
  if isinstance(made, np.ndarray):
    return made
  dense = made.left @ made.right
  np.fill_diagonal(dense, 0)
  return dense


matrices = {name: prior(**changes) for name, changes in parts.items()}
order = np.argsort([text.split()[-1] for text in new.item_text])
figure, all_axes = plt.subplots(1, 4, figsize=(15, 4), layout='constrained')
for axes, (name, matrix) in zip(all_axes, matrices.items()):
  shown = matrix[np.ix_(order, order)]
  limit = np.quantile(np.abs(shown), 0.995)
  axes.imshow(shown, cmap='RdBu', vmin=-limit, vmax=limit)
  axes.set_title(name)
  axes.set_xticks([])
  axes.set_yticks([])
plt.show()

# %% [markdown]
# What does the prior expect of someone who liked this film, before anybody has
# touched any of the new ones?

# %%
film = int(
  np.flatnonzero(
    [
      'Toy Story' in t or 'Star Wars' in t or 'Batman' in t
      for t in new.item_text
    ]
  )[0]
)
print('who liked:', new.item_text[film])
for name, matrix in matrices.items():
  best = np.argsort(-matrix[film])[:4]
  print(f'\n{name}')
  for item in best:
    print(f'  {matrix[film, item]:+.3f}  {new.item_text[item]}')

# %% [markdown]
# The solve then moves these weights with evidence: the more users, the less the
# prior counts.

# %%
model = hyperease.hyperease(features.units, features.own, **trial)
learned = model.fit(task.source, jax.random.key(0)).state
moved = {}
for budget in (0, 5, 20) if FAST else (0, 5, 20, 50, 200):
  evidence = new_catalogue.make_task(data, budget, 0, 100).test.evidence
  weights = model.generate(learned, evidence, jax.random.key(0)).state
  weights = weights if isinstance(weights, np.ndarray) else weights.dense()
  moved[budget] = np.linalg.norm(weights - matrices['all of them'])
figure, axes = plt.subplots(figsize=(5, 3.4), layout='constrained')
axes.plot([str(b) for b in moved], moved.values(), marker='o')
axes.set_xlabel('users of evidence')
axes.set_ylabel('distance of the weights from the prior')
plt.show()

# %% [markdown]
# ## Any Flax module
#
# The library's general form. The target is a small network; two tasks, each told
# by a vector, get parameters of their own in one `vmap`. Training starts exactly
# at the base: the last layer of the hypernetwork is zero.

# %%
target = nn.Dense(4)
x = jnp.ones((1, 3))
base = target.init(jax.random.key(0), x)['params']
network = hypernetwork.Hypernetwork(
  conditioning.VectorEncoder(5, z_dim=6, hidden_dim=8), output_forms.Full()
)
tasks = jax.random.normal(jax.random.key(1), (2, 5))
theta = hypernetwork.init(network, jax.random.key(2), tasks[0], base)


def generate(theta, task):
  return hypernetwork.generate(network, theta, task, base)


generated = jax.vmap(generate, (None, 0))(theta, tasks)
print(
  'at the start both are the base:',
  all(
    bool((leaf == other).all())
    for leaf, other in zip(jax.tree.leaves(generated), jax.tree.leaves(base))
  ),
)

# %% [markdown]
# After some training steps (here: noise) the tasks get different parameters. The tree has the
# structure of the template, with one axis more.

# %%
trained = jax.tree.map(
  lambda leaf: leaf + 0.3 * jax.random.normal(jax.random.key(3), leaf.shape),
  theta,
)
generated = jax.vmap(generate, (None, 0))(trained, tasks)
print(treescope.render_to_text(generated))
outputs = jax.vmap(lambda params: target.apply({'params': params}, x))(
  generated
)
print('the same input, two generated networks:', np.round(outputs[:, 0], 2))
