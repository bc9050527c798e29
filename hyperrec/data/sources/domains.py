"""Data sets in Parquet and CSV files, and a synthetic data set."""

import dataclasses
from typing import NamedTuple

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
  'games': files.About(
    'text-domains/games',
    'https://nijianmo.github.io/amazon/ (Video Games, as LLMRank ships it)',
    'Amazon 2018 (Ni et al. 2019), research',
    (50_546, 16_859, 440_264),
  ),
  'citeulike_a': files.About(
    'text-domains/citeulike_a',
    'https://github.com/js05212/citeulike-a (the cold split: '
    'https://github.com/zfnWong/ALDI)',
    'Wang, Chen & Li, IJCAI 2013, research',
    (5_551, 16_980, 204_986),
  ),
  'recipes': files.About(
    'text-domains/recipes',
    'https://www.kaggle.com/c/whats-cooking (users are recipes, items are '
    'ingredients)',
    'Kaggle (not confirmed)',
    (39_692, 2_119, 411_441),
  ),
  'restaurants': files.About(
    'text-domains/restaurants',
    'https://sites.google.com/site/yangdingqi/home/foursquare-dataset (New '
    'York)',
    'Yang et al., UbiComp 2013, research',
    (2_060, 2_876, 27_149),
  ),
  'msweb': files.About(
    'text-domains/msweb',
    'https://archive.ics.uci.edu/dataset/4',
    'CC BY 4.0: Breese, Heckerman & Kadie (1998), UCI',
    (32_711, 285, 98_654),
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


class ColdSplit(NamedTuple):
  """A public split of citeulike_a by items, all parts over one catalogue.

  Attributes:
    warm_train: interactions to train on, of the old items.
    warm_validation: other interactions of the old items.
    warm_test: likewise.
    cold_validation: interactions of new items that choose hyperparameters.
    cold_test: interactions of other new items, the result.
  """

  warm_train: Interactions
  warm_validation: Interactions
  warm_test: Interactions
  cold_validation: Interactions
  cold_test: Interactions


def citeulike_cold_split(data_dir: DataDir = None) -> ColdSplit:
  """The split of CiteULike-a that ALDI (SIGIR 2023) and ColdRec use.

  Raises:
    DataError: a file is missing, is another edition, or has an unknown id.
  """
  about = TEXT_DOMAINS['citeulike_a']
  data = text_domain(data_dir, domain='citeulike_a')
  parts = []
  for name in ('warm_train', 'warm_val', 'warm_test', 'cold_val', 'cold_test'):
    path = files.find(about, f'cold_split/{name}.parquet', data_dir)
    part = table_lib.table(path=path, name=name)
    known = [
      np.isin(own, all_ids).all()
      for own, all_ids in (
        (part.user_ids, data.user_ids),
        (part.item_ids, data.item_ids),
      )
    ]
    if not all(known):
      raise DataError(f'{path}: it has ids that {data.name} has not')
    parts.append(
      dataclasses.replace(
        data,
        users=np.searchsorted(data.user_ids, part.user_ids)[part.users],
        items=np.searchsorted(data.item_ids, part.item_ids)[part.items],
        notes=(),
      )
    )
  return ColdSplit(*parts)


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
