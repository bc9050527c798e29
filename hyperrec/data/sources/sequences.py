"""Data sets whose files hold each user's items in the order of time.

The sources are `amazon_2014` (in the format of S3-Rec), `scientific` (UniSRec),
`gowalla` (LightGCN) and `diginetica` (sessions as arrays).
"""

import json
import pathlib
from collections.abc import Sequence

import numpy as np
from absl import logging

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import splits
from hyperrec.data.sources import files

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions
DataDir = files.DataDir

_S3_REC = 'https://github.com/RUCAIBox/CIKM2020-S3Rec (from jmcauley.ucsd.edu)'
_MCAULEY = 'McAuley et al. 2014, research'
AMAZON = {
  'Beauty': files.About(
    'amazon-2014', _S3_REC, _MCAULEY, (22_363, 12_101, 198_502)
  ),
  'Sports_and_Outdoors': files.About(
    'amazon-2014', _S3_REC, _MCAULEY, (35_598, 18_357, 296_337)
  ),
  'Toys_and_Games': files.About(
    'amazon-2014', _S3_REC, _MCAULEY, (19_412, 11_924, 167_597)
  ),
}
SCIENTIFIC = files.About(
  'scientific',
  'https://github.com/RUCAIBox/UniSRec (a copy, with Scientific.item2index: '
  'dataset/Scientific of https://github.com/ysh-1998/CoWPiRec)',
  'Amazon 2018 (Ni et al. 2019), research',
  (8_442, 4_385, 59_384),
)
GOWALLA = files.About(
  'gowalla',
  'https://github.com/gusye1234/LightGCN-PyTorch (from SNAP)',
  'SNAP: cite Cho, Myers & Leskovec, KDD 2011',
  (29_858, 40_981, 1_027_370),
)
DIGINETICA = files.About(
  'diginetica',
  'https://competitions.codalab.org/competitions/11161',
  'CIKM Cup 2016, research',
  (186_670, 43_097, 906_140),
)

_GOWALLA_TRAIN, _GOWALLA_TEST = 810_128, 217_242
_LARGEST_ID = 2**31 - 1


def amazon_2014(
  data_dir: DataDir = None, *, domain: str = 'Beauty'
) -> Interactions:
  """A 5-core category of Amazon 2014; times are places in a user's sequence.

  The text of an item is its title in Beauty. In the other categories it is a
  few words of title and category ({domain}_id2text.json of IDGenRec), or the
  ids of the item's attributes where that file is missing. Items are numbered
  along the users' sequences, so a model must not read the numbers themselves.

  Args:
    data_dir: see `files.find`.
    domain: a key of `AMAZON`.

  Raises:
    DataError: the domain is unknown, or a file is missing or damaged.
  """
  if domain not in AMAZON:
    raise DataError(f'domain={domain!r} is unknown; use one of {list(AMAZON)}')
  about = AMAZON[domain]
  path = files.find(about, f'{domain}.txt', data_dir)
  text = _amazon_text(about, domain, data_dir)
  user, item, place = _explode(path, _lines(path))
  data = interactions_lib.from_columns(
    user,
    item,
    timestamp=place,
    is_order_only=True,
    item_text=text,
    duplicates='keep',
    name=f'amazon_2014/{domain}',
  )
  return files.check_counts(data, about.counts)


def _amazon_text(
  about: files.About, domain: str, data_dir: DataDir
) -> dict[int, str]:
  """Text of each item; ids of attributes where no file has words."""
  words = 'beauty_id2title.json'
  if domain != 'Beauty':
    words = f'{domain}_id2text.json'
    folder = files.find(about, f'{domain}.txt', data_dir).parent
    if not (folder / words).is_file():
      attributes = _json(about, f'{domain}_item2attributes.json', data_dir)
      return {
        int(i): ' '.join(f'a{a}' for a in ids) for i, ids in attributes.items()
      }
  text = _json(about, words, data_dir)
  return {int(i): ' '.join(t.split()) for i, t in text.items()}


def scientific(data_dir: DataDir = None) -> Interactions:
  """Amazon 2018 Industrial and Scientific, from test histories and targets.

  It has 59,384 interactions instead of the published 59,427, since the files
  cut histories at 50 items.

  The interactions number the items by first appearance, but the text file has
  another order. Only `Scientific.item2index` (asin, number) links the two;
  without that file, the items have no text.
  """
  path = files.find(SCIENTIFIC, 'Scientific.test.inter', data_dir)
  lines = [line.replace('\t', ' ') for line in _lines(path)]
  user, item, place = _explode(path, ['', *lines[1:]])
  data = interactions_lib.from_columns(
    user,
    item,
    timestamp=place,
    is_order_only=True,
    item_text=_scientific_text(data_dir),
    duplicates='keep',
    name='scientific',
  )
  return files.check_counts(data, SCIENTIFIC.counts)


def _scientific_text(data_dir: DataDir) -> dict[int, str] | None:
  """Item number -> text; None without `Scientific.item2index`."""
  path = files.find(SCIENTIFIC, 'Scientific.text', data_dir)
  links = path.with_name('Scientific.item2index')
  if not links.is_file():
    logging.warning(
      '%s is not there: without it the lines of %s cannot be told apart, and '
      'the items have no text', links, path.name,
    )  # fmt: skip
    return None
  # Other versions of this category have files of the same name.
  files.find(SCIENTIFIC, links.name, links.parent)
  texts, numbers = _tab_separated(path), _tab_separated(links)
  missing = sorted(set(numbers) - set(texts))
  if missing:
    raise DataError(f'{path}: no text of item {missing[0]} of {links.name}')
  return {int(number): texts[asin].strip() for asin, number in numbers.items()}


def gowalla(data_dir: DataDir = None) -> Interactions:
  """Check-ins; all parts of LightGCN's split are joined."""
  train, test = gowalla_train_test(data_dir)
  data = interactions_lib.Interactions(
    np.concatenate([train.users, test.users]),
    np.concatenate([train.items, test.items]),
    train.num_users,
    train.num_items,
    name='gowalla',
  )
  return files.check_counts(data, GOWALLA.counts)


def gowalla_train_test(
  data_dir: DataDir = None,
) -> tuple[Interactions, Interactions]:
  """LightGCN's split: train and test have the same users and items.

  The training part is LightGCN's own train.txt. If there is also a valid.txt,
  the two files are parts of it, as other benchmarks use them, and are joined.
  """
  test = files.find(GOWALLA, 'test.txt', data_dir)
  valid = test.with_name('valid.txt')
  has_valid = valid.is_file()
  train = [files.find(GOWALLA, 'train.txt', test.parent, check=has_valid)]
  if has_valid:
    train.append(files.find(GOWALLA, 'valid.txt', test.parent))
  num_users, num_items, _ = GOWALLA.counts
  parts = []
  for paths, count in (([test], _GOWALLA_TEST), (train, _GOWALLA_TRAIN)):
    columns = [_explode(path, _lines(path)) for path in paths]
    user, item, _ = (np.concatenate(c) for c in zip(*columns, strict=True))
    part = interactions_lib.Interactions(
      user, item, num_users, num_items, name='gowalla'
    )
    parts.append(files.check_counts(part, (num_users, num_items, count)))
  return parts[1], parts[0]


def diginetica(data_dir: DataDir = None) -> Interactions:
  """Training sessions of CIKM Cup 2016; each session counts as a user."""
  path = files.find(DIGINETICA, 'train_sessions.npz', data_dir)
  with np.load(path, allow_pickle=False) as arrays:
    columns = _sessions(arrays['indptr'], arrays['items'])
  data = interactions_lib.from_columns(
    *columns[:2], timestamp=columns[2], duplicates='keep', name='diginetica'
  )
  return files.check_counts(data, DIGINETICA.counts)


def diginetica_prefixes(
  data: Interactions, data_dir: DataDir = None
) -> splits.HeldOut:
  """Every prefix of the test sessions, and the item that follows it.

  The target may also be in the prefix, since sessions return to earlier items.

  Args:
    data: result of `diginetica`, with the whole catalogue.
    data_dir: see `files.find`.

  Raises:
    DataError: `data` lacks an item.
  """
  path = files.find(DIGINETICA, 'test_prefixes.npz', data_dir)
  with np.load(path, allow_pickle=False) as arrays:
    user, item, place = _sessions(arrays['indptr'], arrays['items'])
    target = arrays['target']
  missing = np.setdiff1d([*item, *target], data.item_ids)
  if len(missing):
    raise DataError(
      f'{path}: item {missing[0]} is not in {data!r}; drop no items of it'
    )
  everybody = np.arange(len(target))
  return splits.HeldOut(
    *(
      interactions_lib.Interactions(
        users,
        np.searchsorted(data.item_ids, items),
        len(target),
        data.num_items,
        timestamps=times,
        item_ids=data.item_ids,
        name='diginetica',
      )
      for users, items, times in (
        (user, item, place),
        (everybody, target, None),
      )
    )
  )


def _sessions(
  indptr: np.ndarray, items: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Columns: session, item, and place in the session."""
  length = np.diff(indptr)
  places = np.arange(len(items)) - np.repeat(indptr[:-1], length)
  return np.repeat(np.arange(len(length)), length), items, places


def _explode(
  path: pathlib.Path, lines: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Turns lines "user item item" into columns: user, item, place in the line.

  Raises:
    DataError: no line has an item, or an id is not a whole number.
  """
  rows = []
  for number, line in enumerate(lines, 1):
    try:
      row = np.array(line.split(), np.int64)
    except (ValueError, OverflowError) as error:
      raise DataError(f'{path}, line {number}: {error}') from error
    if len(row) and (row.min() < 0 or row.max() > _LARGEST_ID):
      raise DataError(
        f'{path}, line {number}: ids go from 0 to {_LARGEST_ID}, found '
        f'{row.min()} to {row.max()}'
      )
    if len(row) > 1:
      rows.append(row)
  if not rows:
    raise DataError(f'{path}: no line has a user and an item')
  length = np.array([len(row) - 1 for row in rows])
  user = np.repeat([row[0] for row in rows], length)
  place = np.arange(len(user)) - np.repeat(np.cumsum(length) - length, length)
  return user, np.concatenate([row[1:] for row in rows]), place


def _lines(path: pathlib.Path) -> list[str]:
  """Splits at line feeds only, since titles hold other line separators."""
  try:
    return path.read_text(encoding='utf-8-sig').split('\n')
  except UnicodeDecodeError as error:
    raise DataError(f'{path}: not UTF-8 at byte {error.start}') from error


def _tab_separated(path: pathlib.Path) -> dict[str, str]:
  """First column -> rest of the line."""
  parts = [line.partition('\t') for line in _lines(path) if line]
  return {name: value for name, _, value in parts}


def _json(about: files.About, name: str, data_dir: DataDir) -> dict:
  """The content of a JSON file of a source."""
  path = files.find(about, name, data_dir)
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:
    raise DataError(f'{path}: not JSON: {error}') from error
