# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. The question in ten minutes
#
# *Can a hypernetwork generate a recommender's parameters more efficiently than
# retraining the whole model, and does it beat the cheaper ways of adapting?*
#
# A catalogue of films is cut in two halves. One half is known; the other is new,
# and only K users have touched it. Each way of adapting gets the same K users
# and is judged on other users. Budget K = 0 means: nobody has touched the new
# films, and only their titles and genres are known.

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
  package = f'hyperrec[demo,text] @ git+{REPOSITORY}'
  command = [sys.executable, '-m', 'pip', 'install', '--quiet', package]
  subprocess.run(command, check=True)

# %%

import jax
import matplotlib.pyplot as plt

from experiments.adaptation import grids
from hyperrec import adapting, laboratory
from hyperrec import features as features_lib
from hyperrec.data import sources
from hyperrec.regimes import new_catalogue
from hyperrec.systems.hyperease import hyperease
from hyperrec.systems.linear import ease, l3ae
from hyperrec.systems.mult_vae import mult_vae

FAST = bool(os.environ.get('HYPERREC_FAST'))
BUDGETS = (0, 20) if FAST else (0, 5, 20, 50, 200)

# %% [markdown]
# The default data set comes with a package. Features of a film are its title and
# genres, read by TF-IDF.

# %%
data = sources.load(
  'movielens_small',
  min_rating=4,
  min_user_interactions=5,
  min_item_interactions=40 if FAST else 5,
)
features = features_lib.read(
  [data], 'tfidf', cache_folder=None, num_features=32 if FAST else 128
)
data

# %% [markdown]
# Four ways of adapting: models under policies. `retrained` fits on the evidence
# alone; HyperEASE has
# learned on the known half how features become weights, generates a prior for
# the new half, and solves exactly around it.

# %%
ways = {
  'EASE, retrained': adapting.retrained(ease.ease(l2=100.0)),
  'L3AE, retrained': adapting.retrained(
    l3ae.l3ae(features.own, **grids.L3AE[1])
  ),
  'HyperEASE': adapting.generated(
    hyperease.hyperease(features.units, features.own, **grids.HYPEREASE[1])
  ),
  'Mult-VAE, retrained': adapting.retrained(
    mult_vae.mult_vae(**{**grids.MULT_VAE[0], 'epochs': 3 if FAST else 60})
  ),
}

# %%
key = jax.random.key(0)
quality, flops = {}, {}
prepared = {}
for budget in BUDGETS:
  task = new_catalogue.make_task(data, budget, seed=0, num_heldout=100)
  for name, method in ways.items():
    if name not in prepared:
      prepared[name] = laboratory.prepare(method, task.source, key)
    try:
      row = laboratory.run_cell(
        method, prepared[name], task.test, key, repeats=1, max_seconds=0.0
      )
    except laboratory.method_lib.CannotServe as refusal:
      print(f'{name} at {budget}: {refusal}')
      continue
    quality[name, budget] = row['metrics'][laboratory.PRIMARY]
    flops[name, budget] = row['adapt']['flops']

# %% [markdown]
# Quality over the budget. At 0 only what knows the features can rank at all.

# %%
figure, (left, right) = plt.subplots(
  1, 2, figsize=(11, 4), layout='constrained'
)
place = {budget: i for i, budget in enumerate(BUDGETS)}
for name in ways:
  own = [b for b in BUDGETS if (name, b) in quality]
  left.plot(
    [place[b] for b in own],
    [quality[name, b] for b in own],
    marker='o',
    label=name,
  )
left.set_xticks(range(len(BUDGETS)), BUDGETS)
left.set_xlabel('users of evidence')
left.set_ylabel('NDCG@100 of other users')
left.legend(frameon=False)
middle = BUDGETS[len(BUDGETS) // 2]
for name in ways:
  if (name, middle) in quality:
    right.scatter(flops[name, middle], quality[name, middle], s=60)
    right.annotate(
      name,
      (flops[name, middle], quality[name, middle]),
      xytext=(6, 6),
      textcoords='offset points',
    )
right.set_xscale('log')
right.margins(x=0.9, y=0.15)
right.set_xlabel(f'operations of an adaptation to {middle} users (FLOP)')
right.set_ylabel('NDCG@100')
plt.show()

# %% [markdown]
# One seed and no tuning: an illustration, not a result. The laboratory does this
# with five seeds, equal tuning, intervals and all methods:
# `python -m experiments.verdict.run --workdirs=WORK --data_dir=DIR`.
