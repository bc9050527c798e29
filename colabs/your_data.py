# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2. Your own data
#
# Read a table, let the laboratory say what suits it, adapt HyperEASE to it, and
# write a recommender that needs none of this code.

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
import pathlib
import tempfile

import jax
import matplotlib.pyplot as plt
import numpy as np

from experiments.adaptation import grids
from hyperrec import adapting, export, laboratory
from hyperrec import features as features_lib
from hyperrec.data import sources
from hyperrec.regimes import new_catalogue
from hyperrec.systems import exports
from hyperrec.systems.baselines import popularity
from hyperrec.systems.hyperease import hyperease
from hyperrec.systems.linear import ease, l3ae

FAST = bool(os.environ.get('HYPERREC_FAST'))
folder = pathlib.Path(tempfile.mkdtemp())

# %% [markdown]
# A shop's log as it comes: a row for each purchase. Put your
# own file in its place. The file of products is optional; without it, methods
# that read item text are left out.

# %%
random = np.random.default_rng(0)
KINDS = ['tea', 'coffee', 'cup', 'kettle', 'biscuit']
NUM_PRODUCTS, NUM_CUSTOMERS = 120, 150 if FAST else 600
kinds = random.integers(len(KINDS), size=NUM_PRODUCTS)
products = ['product,name'] + [
  f'p{i},{KINDS[kinds[i]]} no. {i}' for i in range(NUM_PRODUCTS)
]
log = ['customer,product,day']
for customer in range(NUM_CUSTOMERS):
  liked = random.choice(len(KINDS), 2, replace=False)
  odds = np.where(np.isin(kinds, liked), 8.0, 1.0)
  bought = random.choice(NUM_PRODUCTS, 12, p=odds / odds.sum())
  log += [f'c{customer},p{item},{day}' for day, item in enumerate(bought)]
(folder / 'log.csv').write_text('\n'.join(log))
(folder / 'products.csv').write_text('\n'.join(products))
print(*log[:4], sep='\n')

# %%
data = sources.load(
  'table',
  path=str(folder / 'log.csv'),
  user_column='customer',
  item_column='product',
  timestamp_column='day',
  item_path=str(folder / 'products.csv'),
  text_columns=['name'],
  min_user_interactions=5,
)
data

# %% [markdown]
# Wrong input raises an error that says what to do about it:

# %%
try:
  sources.load('table', path=str(folder / 'log.csv'), user_column='who')
except sources.DataError as error:
  print(error)

# %% [markdown]
# New products come in, and 0, 10 or 40 customers have bought some of them. Who
# ranks them best for other customers?

# %%
features = features_lib.read(
  [data], 'tfidf', cache_folder=None, num_features=16
)
ways = {
  'popularity': adapting.retrained(popularity.popularity()),
  'EASE': adapting.retrained(ease.ease(l2=10.0)),
  'HyperEASE': adapting.generated(
    hyperease.hyperease(features.units, features.own, **grids.HYPEREASE[1])
  ),
}
key = jax.random.key(0)
budgets = (0, 10, 40)
found = {name: [] for name in ways}
for budget in budgets:
  task = new_catalogue.make_task(data, budget, seed=0, num_heldout=40)
  for name, method in ways.items():
    try:
      shared = method.prepare(task.source, key)
      adapted = method.adapt(shared.state, task.test.evidence, key)
      judged = laboratory.judge(method, adapted.state, task.test)
      found[name].append(judged.mean('ndcg@100'))
    except laboratory.method_lib.CannotServe:
      found[name].append(np.nan)

# %%
figure, axes = plt.subplots(figsize=(6, 3.6), layout='constrained')
for name, values in found.items():
  axes.plot(range(len(budgets)), values, marker='o', label=name)
axes.set_xticks(range(len(budgets)), budgets)
axes.set_xlabel('customers who have bought new products')
axes.set_ylabel('NDCG@100 of other customers')
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# The whole catalogue, solved and written. The folder is all that a server needs.

# %%
model = l3ae.l3ae(features.units, **grids.L3AE_KERNEL[1])
state = model.fit(data, key).state
export.save(
  folder / 'recommender',
  exports.of(model, state, data.item_counts()),
  item_ids=data.item_ids,
  titles=data.item_text,
)
model = export.load(folder / 'recommender')
title = dict(zip(model.item_ids, model.titles))
history = ['p0', 'p1']
print('has', [title[name] for name in history])
for name, score in model.recommend([history], k=5)[0]:
  print(f'{score:.3f}', title[name])

# %% [markdown]
# From a terminal, with every method, tuning and a report that says what to use:
#
# ```
# python -m experiments.adaptation.run --source=table --path=log.csv \
#   --user_column=customer --item_column=product --timestamp_column=day \
#   --item_path=products.csv --text_columns=name --num_heldout=40 --workdir=mine
# ```
