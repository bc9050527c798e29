"""Recommends items: to users of the data, to histories, or to all users.

  python -m experiments.recommend.recommend --model=my_recommender --users=17 \
    --k=5 --why
  python -m experiments.recommend.recommend --model=my_recommender \
    --history=260,1196
  python -m experiments.recommend.recommend --model=my_recommender --all \
    --k=20 --output=all.parquet

--users, --exclude and --candidates are comma-separated lists; each may be
given several times, for ids that contain commas (see `experiments.ids`).
Without --output, lists are printed. A file has the columns user, rank, item and
score; it is written batch by batch, so that memory does not grow with the
number of users. --model may also be a folder of `experiments.export.run`, which
knows no users: give --history.
"""

import numpy as np
from absl import app, flags

from experiments import ids, script
from experiments.recommend import lists, stored
from hyperrec import ranker
from hyperrec import recommender as recommender_lib

_MODEL = flags.DEFINE_string(
  'model', None, 'Folder of a fitted or an exported recommender.', required=True
)
_USERS = flags.DEFINE_multi_string(
  'users', [], 'Ids of users of the data: one id, or a comma-separated list.'
)
_HISTORY = flags.DEFINE_multi_string(
  'history',
  [],
  'Ids of the items of a new user, oldest first: one id, or a comma-separated '
  'list. May be given several times, for example for ids that contain commas; '
  '--history= means a user without any.',
)
_ALL = flags.DEFINE_bool('all', False, 'Recommends to all users of the data.')
_K = flags.DEFINE_integer(
  'k', 10, 'Number of items to recommend.', lower_bound=1
)
_EXCLUDE = flags.DEFINE_multi_string(
  'exclude', [], 'Ids of items to leave out, in the syntax of --history.'
)
_CANDIDATES = flags.DEFINE_multi_string(
  'candidates',
  None,
  'Ids of the only items that may be recommended, in the syntax of --history.',
)
_IGNORE_UNKNOWN = flags.DEFINE_bool(
  'ignore_unknown',
  False,
  'Ignore ids that are not in the catalogue; without it they are an error.',
)
_SEEN = flags.DEFINE_bool(
  'seen', False, 'Also recommends items that a user has already.'
)
_WHY = flags.DEFINE_bool(
  'why', False, 'Prints the items of the history that speak most for each item.'
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'File to write, ending in .csv or .parquet.'
)


def main(argv):
  """Prints or writes the lists."""
  del argv
  script.send_logs_to(None)
  asked = [bool(_USERS.value), bool(_HISTORY.value), _ALL.value]
  if sum(asked) != 1:
    raise app.UsageError('give one of --users, --history and --all')
  if _ALL.value and _OUTPUT.value is None:
    raise app.UsageError('--all needs --output, such as all.parquet')
  if _OUTPUT.value is not None:
    lists.check_name('output', _OUTPUT.value)
  model = stored.ranker_of(_MODEL.value)
  is_fitted = isinstance(model, recommender_lib.Recommender)
  if not is_fitted and (_WHY.value or not _HISTORY.value):
    raise app.UsageError(
      f'--model={_MODEL.value} is an exported recommender, which knows no '
      'users and gives no reasons: give --history, without --why'
    )
  exclude, candidates = (
    None if value is None else ids.parse(flag, value, model.item_ids)
    for flag, value in (
      ('--exclude', _EXCLUDE.value),
      ('--candidates', _CANDIDATES.value),
    )
  )
  options = {
    'exclude': exclude,
    'candidates': candidates,
    'ignore_unknown': _IGNORE_UNKNOWN.value,
    'exclude_seen': not _SEEN.value,
  }
  if _ALL.value:
    written = lists.write(
      _OUTPUT.value, model.recommend_to_all(_K.value, **options), model.item_ids
    )
    print(f'{written:,} users: {_OUTPUT.value}')
    return
  if _HISTORY.value:
    users = ['']
    histories = [ids.parse('--history', _HISTORY.value, model.item_ids)]
  else:
    users = ids.parse('--users', _USERS.value, model.data.user_ids.tolist())
    histories = [model.history(user) for user in users]
  found = model.recommend(histories, _K.value, **options)
  if _OUTPUT.value is not None:
    one = batch(users, found, model.item_ids)
    lists.write(_OUTPUT.value, [one], model.item_ids)
    print(f'{len(users):,} users: {_OUTPUT.value}')
    return
  for user, history, ranking in zip(users, histories, found, strict=True):
    show(model, user, history, ranking)


def batch(
  users: list[str], found: list[ranker.Ranking], item_ids: list[str]
) -> recommender_lib.Best:
  """The lists as one batch of a file."""
  width = max(map(len, found), default=0)
  items = np.full((len(users), width), -1)
  scores = np.full((len(users), width), -np.inf)
  number = {name: i for i, name in enumerate(item_ids)}
  for row, ranking in enumerate(found):
    items[row, : len(ranking)] = [number[name] for name, _ in ranking]
    scores[row, : len(ranking)] = [score for _, score in ranking]
  return recommender_lib.Best(np.array(users, object), items, scores)


def show(
  model: recommender_lib.Recommender | ranker.Ranker,
  user: str,
  history: list[str],
  ranking: ranker.Ranking,
) -> None:
  """Prints the history, notes, and a list, with reasons if they are asked."""
  title = {name: name for name in model.item_ids}
  if model.titles:
    pairs = zip(model.item_ids, model.titles, strict=True)
    title = {name: f'{name}\t{text}' for name, text in pairs}
  if user:
    print(f'user {user}, who has {len(history)} items:')
  else:
    for name in history:
      if name in title:
        print(f'has  {title[name]}')
  for note in ranking.notes:
    print(f'note: {note}')
  for name, score in ranking:
    print(f'{score:.4f}  {title[name]}')
    if _WHY.value:
      for other, share in model.why(history, name):
        print(f'        {share:.0%} for {title[other]}')


if __name__ == '__main__':
  script.run(main)
