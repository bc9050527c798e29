"""Sets whose lines are a user and the user's items, in the order of time.

`amazon_2014` (the form of S3-Rec), `scientific` (UniSRec), `gowalla`
(LightGCN) and `diginetica` (sessions as arrays).
"""

import json
import os
import pathlib

import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data.sources import files

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions
DataDir = str | os.PathLike | None

AMAZON = files.About(
  'amazon-2014',
  'https://github.com/RUCAIBox/CIKM2020-S3Rec (from jmcauley.ucsd.edu)',
  'McAuley et al. 2014, research',
)
SCIENTIFIC = files.About(
  'scientific',
  'https://github.com/RUCAIBox/UniSRec',
  'Amazon 2018 (Ni et al. 2019), research',
)
GOWALLA = files.About(
  'gowalla',
  'https://github.com/gusye1234/LightGCN-PyTorch (from SNAP)',
  'SNAP: cite Cho, Myers & Leskovec, KDD 2011',
)
DIGINETICA = files.About(
  'diginetica',
  'https://competitions.codalab.org/competitions/11161',
  'CIKM Cup 2016, research',
)

DOMAINS = {
  'Beauty': (22_363, 12_101, 198_502),
  'Sports_and_Outdoors': (35_598, 18_357, 296_337),
  'Toys_and_Games': (19_412, 11_924, 167_597),
}


def amazon_2014(
  data_dir: DataDir = None, *, domain: str = 'Beauty'
) -> Interactions:
  """A 5-core category of Amazon 2014; the time is the order of a user's items.

  The text of an item is its title where the files have one, and its
  attributes' ids.

  Args:
    data_dir: see `files.find`.
    domain: Beauty, Sports_and_Outdoors or Toys_and_Games.
  """
  if domain not in DOMAINS:
    raise DataError(f'domain={domain!r} is unknown; use one of {list(DOMAINS)}')
  path = files.find(AMAZON, f'{domain}.txt', data_dir)
  attributes = _json(
    files.find(AMAZON, f'{domain}_item2attributes.json', data_dir)
  )
  titles = {}
  if domain == 'Beauty':
    titles = _json(files.find(AMAZON, 'beauty_id2title.json', data_dir))
  text = {
    int(item): ' '.join([titles.get(item, ''), *(f'a{i}' for i in ids)]).strip()
    for item, ids in attributes.items()
  }
  text |= {int(i): title for i, title in titles.items() if int(i) not in text}
  data = _from_lines([path], f'amazon_2014/{domain}', text)
  return files.check_counts(data, *DOMAINS[domain])


def scientific(data_dir: DataDir = None) -> Interactions:
  """Amazon 2018 Industrial and Scientific, from the test prefixes + targets.

  59,384 interactions, not the published 59,427: the files cut histories at 50.
  """
  path = files.find(SCIENTIFIC, 'Scientific.test.inter', data_dir)
  users, sequences = [], []
  for number, line in enumerate(_lines(path)[1:], 2):
    parts = line.split('\t')
    if len(parts) != 3:
      raise DataError(f'{path}, line {number}: {len(parts)} fields, expected 3')
    users.append(parts[0])
    sequences.append(f'{parts[1]} {parts[2]}')
  names = _lines(files.find(SCIENTIFIC, 'Scientific.text', data_dir))[1:]
  texts = dict(enumerate(line.partition('\t')[2] for line in names))
  user, item, time = _explode(users, sequences, path)
  data = interactions_lib.from_columns(
    user,
    item,
    timestamp=time,
    item_text=texts,
    duplicates='keep',
    name='scientific',
  )
  return files.check_counts(data, 8_442, 4_385, 59_384)


def gowalla(data_dir: DataDir = None) -> Interactions:
  """Check-ins, all parts of LightGCN's split together."""
  train, test = gowalla_train_test(data_dir)
  data = interactions_lib.Interactions(
    np.concatenate([train.users, test.users]),
    np.concatenate([train.items, test.items]),
    train.num_users,
    train.num_items,
    name='gowalla',
  )
  return files.check_counts(data, 29_858, 40_981, 1_027_370)


def gowalla_train_test(
  data_dir: DataDir = None,
) -> tuple[Interactions, Interactions]:
  """LightGCN's split: train (train + valid of the files) and test."""
  parts = []
  for names in (('train.txt', 'valid.txt'), ('test.txt',)):
    paths = [files.find(GOWALLA, name, data_dir) for name in names]
    lines = [line.split(' ', 1) for p in paths for line in _lines(p)]
    lines = [line for line in lines if len(line) == 2 and line[1].strip()]
    parts.append(_explode(*zip(*lines, strict=True), paths[0])[:2])
  num_users = 1 + max(int(user.max()) for user, _ in parts)
  num_items = 1 + max(int(item.max()) for _, item in parts)
  train, test = (
    interactions_lib.Interactions(u, i, num_users, num_items, name='gowalla')
    for u, i in parts
  )
  files.check_counts(train, 29_858, 40_981, 810_128)
  files.check_counts(test, 29_858, 40_981, 217_242)
  return train, test


def diginetica(data_dir: DataDir = None) -> Interactions:
  """Sessions of CIKM Cup 2016, training part; a session is a user."""
  path = files.find(DIGINETICA, 'train_sessions.npz', data_dir)
  with np.load(path, allow_pickle=False) as arrays:
    indptr, item = arrays['indptr'], arrays['items']
  length = np.diff(indptr)
  data = interactions_lib.from_columns(
    np.repeat(np.arange(len(length)), length),
    item,
    timestamp=np.arange(len(item)) - np.repeat(indptr[:-1], length),
    duplicates='keep',
    name='diginetica',
  )
  return files.check_counts(data, 186_670, 43_097, 906_140)


def _from_lines(paths, name: str, text: dict[int, str]) -> Interactions:
  lines = [line.split(' ', 1) for path in paths for line in _lines(path)]
  user, item, time = _explode(*zip(*lines, strict=True), paths[0])
  return interactions_lib.from_columns(
    user, item, timestamp=time, item_text=text, duplicates='keep', name=name
  )


def _explode(users, sequences, path):
  """Users and their "1 2 3" -> columns user, item, place in the sequence."""
  try:
    items = [np.array(s.split(), np.int64) for s in sequences]
    user = np.array(users, np.int64)
  except ValueError as error:
    raise DataError(f'{path}: {error}; ids are whole numbers') from error
  length = np.array([len(i) for i in items])
  place = np.arange(length.sum()) - np.repeat(
    np.cumsum(length) - length, length
  )
  return np.repeat(user, length), np.concatenate(items), place


def _lines(path: pathlib.Path) -> list[str]:
  try:
    return path.read_text(encoding='utf-8').splitlines()
  except UnicodeDecodeError as error:
    raise DataError(f'{path}: not UTF-8 at byte {error.start}') from error


def _json(path: pathlib.Path) -> dict:
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:
    raise DataError(f'{path}: not JSON: {error}') from error
