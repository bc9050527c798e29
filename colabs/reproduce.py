# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. Reproduce a paper's row
#
# EASE (Steck, WWW 2019) on Gowalla, with the split of LightGCN: published
# Recall@20 0.1765 and NDCG@20 0.1467. The files are not ours to hand on; put them
# where `sources.describe('gowalla')` says. Without them the same code runs on the
# default set, where there is nothing published to compare with.

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
  package = f'hyperrec[demo] @ git+{REPOSITORY}'
  command = [sys.executable, '-m', 'pip', 'install', '--quiet', package]
  subprocess.run(command, check=True)

# %%
import json
import pathlib

import jax
import matplotlib.pyplot as plt

import experiments.ease
from hyperrec import method as method_lib
from hyperrec.data import sources, splits
from hyperrec.evaluation import ranking
from hyperrec.systems.linear import ease

FAST = bool(os.environ.get('HYPERREC_FAST'))

# %% [markdown]
# The row as the repository has it: a flag file, and the result it made.

# %%
folder = pathlib.Path(experiments.ease.__file__).parent
print((folder / 'gowalla.flags').read_text())
committed = folder / 'results' / 'gowalla.json'
if committed.exists():
  row = json.loads(committed.read_text())
  print({k: row[k] for k in ('expected', 'metrics') if k in row})

# %% [markdown]
# The same protocol on the default set: users held out, a fifth of each one's
# films hidden, the whole catalogue ranked, ties against the method.

# %%
data = sources.load(
  'movielens_small',
  min_rating=4,
  min_user_interactions=5,
  min_item_interactions=40 if FAST else 1,
)
split = splits.strong_generalization(data, 100)


def recall(l2, held):
  model = ease.ease(l2=l2)
  weights = model.fit(split.train, jax.random.key(0)).state
  histories = held.histories.by_user_and_time()
  judged = ranking.evaluate(
    lambda users: model.score(
      weights, method_lib.Histories.of(histories, users)
    ),
    held.histories.csr(),
    held.targets.csr(),
    metrics=('recall@20', 'ndcg@20'),
  )
  return judged.mean('recall@20'), judged.mean('ndcg@20')


# %% [markdown]
# Lambda is chosen on validation users, and reported once on test users.

# %%
grid = (10.0, 100.0) if FAST else (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
validation = {l2: recall(l2, split.validation)[0] for l2 in grid}
best = max(validation, key=validation.get)
figure, axes = plt.subplots(figsize=(5, 3.4), layout='constrained')
axes.plot(list(validation), list(validation.values()), marker='o')
axes.axvline(best, color='0.7', lw=1)
axes.set_xscale('log')
axes.set_xlabel('lambda')
axes.set_ylabel('Recall@20 of validation users')
plt.show()
print(
  'test: recall@20 {:.4f}, ndcg@20 {:.4f}'.format(*recall(best, split.test))
)

# %% [markdown]
# With the files of Gowalla, from a terminal (it needs 7 GB of memory):
#
# ```
# python -m experiments.ease.run --flagfile=experiments/ease/gowalla.flags --data_dir=DIR
# ```
