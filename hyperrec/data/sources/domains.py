"""Data sets in Parquet and CSV files, and a synthetic data set."""

import dataclasses

import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data.sources import files, reading
from hyperrec.data.sources import table as table_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions
DataDir = files.DataDir

ONLINE_RETAIL = files.About(
  'online-retail',
  'https://archive.ics.uci.edu/dataset/352 (doi 10.24432/C5BW33), cleaned of '
  'cancellations and lines without a customer',
  'CC BY 4.0: Chen, D. (2015), Online Retail, UCI',
  (4_338, 3_665, 397_884),
)
TEXT_DOMAINS = {
  'anime': files.About(
    'text-domains/anime',
    'https://www.kaggle.com/datasets/CooperUnion/anime-recommendations-database',
    'Kaggle, CC0 on its page (not confirmed)',
    (5_000, 7_390, 520_609),
  ),
  'steam': files.About(
    'text-domains/steam',
    'https://www.kaggle.com/datasets/tamber/steam-video-games',
    'Kaggle (not confirmed)',
    (12_393, 5_155, 128_804),
  ),
  'lastfm': files.About(
    'text-domains/lastfm',
    'https://grouplens.org/datasets/hetrec-2011/',
    'Last.fm, non-commercial',
    (1_892, 17_632, 92_834),
  ),
  'office': files.About(
    'text-domains/office',
    'https://nijianmo.github.io/amazon/',
    'Amazon 2018 (Ni et al. 2019), research',
    (3_231, 3_317, 21_188),
  ),
}
SYNTHETIC = files.About('', 'random numbers', 'none')


def online_retail(data_dir: DataDir = None) -> Interactions:
  """Invoice lines of a shop: 397,884 rows with 266,792 distinct pairs.

  A repeated (user, item) pair is another purchase; `load` keeps the first one
  by default. Times are seconds since the first event.
  """
  data = table_lib.table(
    path=files.find(ONLINE_RETAIL, 'events.parquet', data_dir),
    timestamp_column='timestamp',
    item_path=files.find(ONLINE_RETAIL, 'items.csv', data_dir),
    text_columns=('description',),
    name='online_retail',
  )
  return files.check_counts(data, ONLINE_RETAIL.counts)


def text_domain(
  data_dir: DataDir = None, *, domain: str = 'steam'
) -> Interactions:
  """A small domain with item text; the ratings of lastfm are play counts.

  Args:
    data_dir: see `files.find`.
    domain: a key of `TEXT_DOMAINS`.
  """
  if domain not in TEXT_DOMAINS:
    raise DataError(
      f'domain={domain!r} is unknown; use one of {list(TEXT_DOMAINS)}'
    )
  about = TEXT_DOMAINS[domain]
  path = files.find(about, 'interactions.parquet', data_dir)
  names = reading.open_files(path).names
  data = table_lib.table(
    path=path,
    rating_column='weight' if 'weight' in names else None,
    timestamp_column='order' if 'order' in names else None,
    item_path=files.find(about, 'items.csv', data_dir),
    text_columns=('text',),
    name=domain,
  )
  data = dataclasses.replace(data, is_order_only='order' in names)
  return files.check_counts(data, about.counts)


def synthetic(
  data_dir: DataDir = None,
  *,
  num_users: int = 300,
  num_items: int = 200,
  rank: int = 8,
  mean_length: int = 20,
  seed: int = 0,
) -> Interactions:
  """Random data, made in milliseconds: users choose by taste and popularity.

  The text of an item names its two strongest tastes, so that item features are
  informative.

  Args:
    data_dir: ignored.
    num_users: U.
    num_items: V.
    rank: number of tastes.
    mean_length: mean number of items of a user.
    seed: seed of all random draws.
  """
  del data_dir
  random = np.random.default_rng(seed)
  taste_UxR = random.gamma(0.4, size=(num_users, rank))
  item_VxR = random.gamma(0.3, size=(num_items, rank))
  popular_V = random.gumbel(size=num_items)
  logits_UxV = np.log(taste_UxR @ item_VxR.T + 1e-3) * 1.5 + popular_V
  noisy_UxV = logits_UxV + random.gumbel(size=logits_UxV.shape)
  length = 3 + random.poisson(mean_length - 3, num_users)
  order_UxV = np.argsort(-noisy_UxV, axis=1)
  chosen = np.arange(num_items) < length[:, None]
  strongest = np.argsort(-item_VxR, axis=1)[:, :2]
  text = {
    item: ' '.join(f'taste{factor}' for factor in strongest[item])
    for item in range(num_items)
  }
  user = np.nonzero(chosen)[0]
  return interactions_lib.from_columns(
    user,
    order_UxV[chosen],
    rating=np.full(len(user), 5.0),
    timestamp=random.permutation(len(user)),
    item_text=text,
    name='synthetic',
  )
