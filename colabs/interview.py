# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5. An interview
#
# PReF (Shenfeld et al., arXiv 2503.06358) knows a person by a few coefficients of
# base functions that all people share. A few questions, "which of two do you like
# better?", infer the coefficients, and no weights change. Answer them here, and
# read what your answers mean.

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
  package = f'hyperrec[demo,colab] @ git+{REPOSITORY}'
  command = [sys.executable, '-m', 'pip', 'install', '--quiet', package]
  subprocess.run(command, check=True)

# %%
import jax
import matplotlib.pyplot as plt

from experiments.recommend import dialogue, widget
from hyperrec.data import sources
from hyperrec.systems.pref import pref, session

FAST = bool(os.environ.get('HYPERREC_FAST'))

# %% [markdown]
# PReF learns the base functions, and how much people differ in each, from the
# ratings of others. Ratings of 4 stars and more count as liked.

# %%
data = sources.load(
  'movielens_small',
  min_user_interactions=5,
  min_item_interactions=60 if FAST else 5,
)
model = pref.pref(liked=4.0, rank=4 if FAST else 16)
state = model.fit(data, jax.random.key(0)).state
start = session.start(model.config, state, data.item_text, num_questions=10)
data

# %% [markdown]
# Your interview: press the film that you like better. The recommendations change
# after every answer.

# %%
if importlib.util.find_spec('ipywidgets') is None:
  print('The buttons need ipywidgets: pip install ipywidgets')
  yours = None
else:
  yours = widget.show(start)
yours

# %% [markdown]
# The same in code. This person likes comedies, and cannot choose between two
# films if both are comedies or neither is.

# %%
talk = start
while (question := session.ask(talk)) is not None:
  is_comedy = ['Comedy' in text for text in (question.first, question.second)]
  given = 'neither'
  if is_comedy[0] != is_comedy[1]:
    given = 'first' if is_comedy[0] else 'second'
  talk = session.answer(talk, question, given)
  print(f'{given:8s}{question.first}  |  {question.second}')
print(dialogue.closing(talk, k=10))

# %% [markdown]
# All coefficients, with their standard errors, in standard deviations of the
# training users. Ten answers tell little about most of them: an error is 1 before
# the first answer.

# %%
found = session.coefficients(talk, num_examples=1)
figure, axes = plt.subplots(figsize=(9, 6), layout='constrained')
axes.errorbar(
  [c.value for c in found],
  range(len(found)),
  xerr=[c.error for c in found],
  fmt='o',
)
axes.set_yticks(
  range(len(found)),
  [c.name or f'{c.lowered[0][:30]} … {c.raised[0][:30]}' for c in found],
  parse_math=False,
)
axes.axvline(0, color='0.7', lw=1)
axes.set_xlabel('difference from the average person')
plt.show()

# %% [markdown]
# From a terminal, with your own ratings too:
#
# ```
# python -m experiments.recommend.interview
# python -m experiments.recommend.interview --source=table --path=ratings.csv \
#   --rating_column=stars --text_columns=title
# ```
