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
# Read a table, let trials say which recommender suits it, fit that one, ask it and
# save it. Then adapt HyperEASE to new products, and write a recommender that needs
# none of this code.

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

import hyperrec as hr
from experiments.adaptation import grids
from experiments.recommend import page, stored
from hyperrec import adapting, export, laboratory
from hyperrec import features as features_lib
from hyperrec.data import description, sources
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
# What the table holds, and which rows were left out:

# %%
for name, value in page.facts(description.describe(data)):
  print(f'{name:40s}{value}')
print(*data.notes, sep='\n')

# %% [markdown]
# Which recommender suits it? `advise` tries methods on customers and products that
# it holds out. It tries two cases here, for at most `--minutes`; without `--cases`
# it tries all that the data allow. It writes a page with all numbers.

# %%
command = [
  *[sys.executable, '-m', 'experiments.recommend.advise'],
  *['--source=table', '--path=log.csv', '--item_path=products.csv'],
  *['--user_column=customer', '--item_column=product'],
  *['--timestamp_column=day', '--text_columns=name'],
  *['--cases=returning_users,new_items', '--minutes=3', '--workdir=advice'],
]
if FAST:
  command += ['--methods=popularity,itemknn,ease,content_knn', '--trials=1']
done = subprocess.run(
  command, cwd=folder, capture_output=True, text=True, check=False
)
print(done.stdout, done.stderr)
done.check_returncode()

# %% [markdown]
# What it recommends for customers who come back is fitted on all of the data. Each
# recommended product comes with the purchases that speak most for it.

# %%
choice, _ = stored.advised(folder / 'advice', 'returning_users')
recommender = hr.Recommender.fit(choice.build, data)
names = dict(zip(data.item_ids, data.item_text))
bought = recommender.history('c0')
print(
  f'{choice.system}; customer c0 has bought', [names[one] for one in bought]
)
(best,) = recommender.recommend(users=['c0'], k=5)
for product, score in best:
  reasons = recommender.why(bought, product)
  told = [f'{names[one]} ({share:.0%})' for one, share in reasons]
  print(f'{score:8.3f}  {names[product]}, because of', ', '.join(told))

# %% [markdown]
# It is saved with its data, and loaded where the same package is installed. New
# orders are taken in by `updated`; see [New items on demand](new_items.ipynb).

# %%
recommender.save(folder / 'mine')
loaded = hr.Recommender.load(folder / 'mine', choice.build)
print('the same list:', loaded.recommend(users=['c0'], k=5) == [best])

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
