# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6. New items on demand
#
# A film comes out. It has a title and genres, and nobody has rated it yet. A model
# of weights between films has no weights for it, and the usual remedy is to wait
# for ratings and to fit the model again.
#
# HyperEASE for items *generates* the weights of the film from its text and from
# the weights of the films that are known. The film is recommended at once.

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
import re
import time

import matplotlib.pyplot as plt
import numpy as np

import hyperrec as hr
from hyperrec.regimes import new_items

FAST = bool(os.environ.get('HYPERREC_FAST'))

# %% [markdown]
# ## The past, and what arrives
#
# Ratings of 4 stars and more count. Films from `FIRST_NEW` on are new: the
# recommender is fitted without them.

# %%
FIRST_NEW = 2010
data = hr.load(
  'movielens_small',
  min_rating=4,
  min_user_interactions=5,
  min_item_interactions=20 if FAST else 5,
)
years = [int(re.findall(r'\((\d{4})\)', text)[-1]) for text in data.item_text]
is_new = np.array(years) >= FIRST_NEW
old = data.take_items(np.flatnonzero(~is_new))
later = data.take_items(np.flatnonzero(is_new))
print('old:  ', old)
print('later:', later)

# %% [markdown]
# At first only the text of the new films is known: all rows are taken away.

# %%
text_only = later.rows(np.zeros(len(later), bool))
print(text_only)
print(*text_only.item_text[:3], sep='\n')

# %% [markdown]
# ## Fit once, then take the new films in
#
# A recommender is fitted on the old films. `updated` takes the new ones in;
# nothing is fitted again.


# %%
def build(features):
  return hr.generated(hr.item_columns(features.units))


fitted = hr.Recommender.fit(build, old)
arrived = fitted.updated(text_only)
print('films that can be recommended:', fitted.num_served, arrived.num_served)

# %% [markdown]
# ## Where they appear
#
# A new film must appear in the lists of some users, but not push the old films
# aside. So the generated weights are made as large as the ranking of the old films
# allows (`most_lost` in the settings of `item_columns`).

# %%
names = dict(zip(arrived.item_ids, arrived.data.item_text))
new = set(map(str, later.item_ids))
users = arrived.data.user_ids.tolist()


def title(name):
  """The text of a film without its genres."""
  return names[name].split('). ')[0] + ')'


lists = arrived.recommend(users=users, k=10)
counts = [sum(name in new for name, _ in best) for best in lists]
print(f'new films among all films: {is_new.mean():.1%}')
print(f'new films among the recommended: {np.mean(counts) / 10:.1%}')
print(f'lists with a new film: {np.mean(np.array(counts) > 0):.1%}')

# %% [markdown]
# What did users do later? The recommender has not seen these ratings. Of the new
# films in a list, more should be liked later than of new films in general. Users
# who rated no new film at all are left out.

# %%
liked_later = {user: set() for user in users}
for user, item in zip(later.user_ids[later.users], later.item_ids[later.items]):
  liked_later[str(user)].add(str(item))
recommended = [
  (user, name)
  for user, best in zip(users, lists)
  for name, _ in best
  if name in new and liked_later[user]
]
hits = [name in liked_later[user] for user, name in recommended]
# The same users, with new films at random in place of the recommended ones.
chance = [len(liked_later[user]) / len(new) for user, _ in recommended]
print(f'recommended new films, liked later: {np.mean(hits):.1%}')
print(f'random new films, liked later:      {np.mean(chance):.1%}')

# %% [markdown]
# The list of the user who liked the most new films later:

# %%
user = max(users, key=lambda one: len(liked_later[one]))
print(
  f'user {user} has {len(arrived.history(user))} old films, and liked '
  f'{len(liked_later[user])} of {len(new)} new films later'
)
(best,) = arrived.recommend(users=[user], k=15)
for place, (name, _) in enumerate(best, 1):
  mark = 'new' if name in new else ''
  told = 'liked later' if name in liked_later[user] else ''
  print(f'{place:3d}  {mark:3s}  {title(name):55.55s}  {told}')

# %% [markdown]
# Why is a new film in the list? `why` names the films of the history that speak
# most for it, each with its share of all that speaks for it.

# %%
(ranked,) = arrived.recommend(users=[user], k=3, candidates=sorted(new))
for name, _ in ranked:
  print(title(name))
  for film, share in arrived.why(arrived.history(user), name):
    print(f'  {share:5.1%}  {title(film)}')

# %% [markdown]
# ## Generated neighbours
#
# The weight from an old film to a new one says how much the old one speaks for it.
# The old films with the largest weights are the neighbours of the new film. They
# are compared with the neighbours that EASE learns much later, from all ratings.

# %%
L2 = 300.0
in_hindsight = hr.fit(hr.ease(l2=L2), data)


def neighbours(recommender, films, k=5):
  """The k old films that speak most for each of the films."""
  weights = recommender.score([[name] for name in fitted.item_ids])
  place = {name: i for i, name in enumerate(recommender.item_ids)}
  return {
    film: [fitted.item_ids[i] for i in np.argsort(-weights[:, place[film]])[:k]]
    for film in films
  }


generated = neighbours(arrived, new)
learned = neighbours(in_hindsight, new)
most_liked = np.argsort(-later.item_counts())[:4]
for film in map(str, later.item_ids[most_liked]):
  print(title(film))
  for left, right in zip(generated[film], learned[film]):
    print(f'  {title(left):46.46s} | {title(right):.46s}')

# %% [markdown]
# The generated neighbours, on the left, are films with similar text, and films that
# the same users like. TF-IDF compares words and not their meaning, so that a word in
# common can make two films similar. EASE, on the right, knows who liked what.
#
# How many neighbours do both sides share, and how many would random films share?

# %%
shared = [len(set(generated[f]) & set(learned[f])) for f in generated]
print(f'shared by both sides: {np.mean(shared):.2f} of 5')
print(f'shared by chance:     {25 / old.num_items:.2f} of 5')

# %% [markdown]
# ## An item of your own
#
# An item without interactions is an id and a text. Write another text and run this
# cell again.

# %%
MY_FILM = 'Wizards of the Space Station (2030). Comedy Sci-Fi'  # @param {type: "string"}
mine = fitted.updated(
  hr.Interactions(
    users=[],
    items=[],
    num_users=0,
    num_items=1,
    item_ids=['mine'],
    item_text=[MY_FILM],
  )
)
for film in neighbours(mine, ['mine'])['mine']:
  print(title(film))

# %% [markdown]
# ## Ratings arrive
#
# Ratings of the new films move their weights, again without a refit. More of the
# neighbours should now be those that EASE learns.

# %%
rated = arrived.updated(later)
moved = neighbours(rated, new)
shared = [len(set(moved[f]) & set(learned[f])) for f in moved]
print(f'{rated.num_new:,} ratings came since the fit')
print(f'shared by both sides: {np.mean(shared):.2f} of 5')

# %% [markdown]
# ## Is it good?
#
# `evaluate` cuts the catalogue by the day on which a film was first rated: the last
# fifth is new, and `budget` ratings of each new film are known. The new films are
# ranked for users whose ratings were not used. The rivals are EASE, fitted again on
# all that is known; popularity; and films with similar text, which need no model.
#
# NDCG@100 is 1 if all films that a user liked are at the top of the list, and 0 if
# none of them is in its first 100 places.

# %%
BUDGETS = (0, 5) if FAST else (0, 1, 5, 20)
SEEDS = (0,) if FAST else (0, 1, 2)
features = hr.features.read(
  [data], 'tfidf', cache_folder=None, num_features=128
)
ways = {
  'generated weights': hr.generated(hr.item_columns(features.units)),
  'EASE, fitted again': hr.retrained(hr.ease(l2=L2)),
  'popularity': hr.retrained(hr.popularity()),
  'similar text': hr.retrained(hr.content_knn(features.units)),
}


def evaluated(method, budget, seed):
  """Quality and cost; none if the method knows nothing of the new films."""
  try:
    return hr.evaluate(
      method, data, regime='new_items', budget=budget, seed=seed
    )
  except hr.CannotServe:
    return {'ndcg@100': np.nan}


found = {
  (name, budget): [evaluated(method, budget, seed) for seed in SEEDS]
  for name, method in ways.items()
  for budget in BUDGETS
}

# %%
LOOKS = {
  'generated weights': ('#d55e00', 'o'),
  'EASE, fitted again': ('#0072b2', 's'),
  'popularity': ('0.45', 'v'),
  'similar text': ('#009e73', 'D'),
}
figure, axes = plt.subplots(figsize=(7.5, 4), layout='constrained')
for name, (colour, marker) in LOOKS.items():
  values = np.array(
    [[one['ndcg@100'] for one in found[name, b]] for b in BUDGETS]
  )
  axes.plot(values.mean(axis=1), color=colour, marker=marker, label=name)
  axes.vlines(
    range(len(BUDGETS)), values.min(axis=1), values.max(axis=1), color=colour
  )
axes.set_xticks(range(len(BUDGETS)), BUDGETS)
axes.set_xlabel('known ratings of each new film')
axes.set_ylabel('NDCG@100 among new films')
axes.set_ylim(bottom=0)
axes.legend(frameon=False, loc='center left', bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# Points are means over seeds, each of which draws its own test users; vertical lines
# go from the worst seed to the best. Nothing was tuned. Without any rating of the new
# films, EASE and popularity know nothing of them and refuse. Popularity with equally
# many of each gives them all the same score, and ties count against a method.

# %% [markdown]
# ## What does it cost?
#
# An update for a single film and for all of them at once, and two refits, in
# seconds on this machine.


# %%
def seconds(run, repeats=3):
  """The shortest of some runs."""
  taken = []
  for _ in range(repeats):
    start = time.perf_counter()
    run()
    taken.append(time.perf_counter() - start)
  return min(taken)


one_film = text_only.take_items([0])
jobs = {
  'update for one film': lambda: fitted.updated(one_film),
  f'update for {later.num_items} films': lambda: fitted.updated(text_only),
  'refit of EASE': lambda: hr.fit(hr.ease(l2=L2), data),
  'refit of this recommender': arrived.refitted,
}
for name, run in jobs.items():
  print(f'{name:28s}{seconds(run):6.2f} s')

# %% [markdown]
# Seconds on a small catalogue are in part those of text and tables. Counted
# operations are those of the mathematics alone. Here the last fifth of the films
# arrives at once; how many films could be taken in, one by one, before a refit of
# EASE would have been cheaper?

# %%
operations = {
  name: found[name, BUDGETS[1]][0]['adapt_operations'] for name in ways
}
num_arriving = int(new_items.NEW_SHARE * data.num_items)
for name, number in operations.items():
  print(f'{name:28s}{number:14,.0f} operations for {num_arriving} films')
per_film = operations['generated weights'] / num_arriving
print(f'generated weights, per film: {per_film:13,.0f} operations')
worth = operations['EASE, fitted again'] / per_film
print(f'a refit of EASE costs as much as {worth:.0f} films')

# %% [markdown]
# With V old films and U users, an update takes a multiple of V² operations for each
# new film. A refit of EASE takes a multiple of V³, or of U²V where there are fewer
# users than films. So a refit is cheap where there are few users, as here. An update
# pays where a few items at a time come into a large catalogue with many users, and
# where there are too few ratings for a refit to learn from.
#
# The same from a terminal, on your own file. The file of new orders brings in the
# items that have at least one order:
#
# ```
# python -m experiments.recommend.fit --source=table --path=orders.csv \
#   --user_column=customer --item_column=product --text_columns=title \
#   --method=hyperease_item --case=new_items --output=mine
# python -m experiments.recommend.update --model=mine --source=table \
#   --path=new_orders.csv --user_column=customer --item_column=product \
#   --text_columns=title
# ```
