"""The flags that choose and filter a data source, shared by the scripts."""

from typing import NamedTuple

from absl import flags

from hyperrec.data import interactions, sources, splits
from hyperrec.data.sources import sequences


class Domain(NamedTuple):
  """A data set with item text under a short name, and how it is read.

  Attributes:
    source: a key of `sources.SOURCES`.
    domain: which one, of a source that has several.
    min_rating: what counts as liked; None where there are no such ratings.
    min_interactions: of a user and of an item.
  """

  source: str
  domain: str | None = None
  min_rating: float | None = None
  min_interactions: int = 5


DOMAINS = {
  'movielens_small': Domain('movielens_small', min_rating=4.0),
  'online_retail': Domain('online_retail'),
  'beauty': Domain('amazon_2014', 'Beauty'),
  'scientific': Domain('scientific'),
  'anime': Domain('text_domain', 'anime'),
  'steam': Domain('text_domain', 'steam'),
  'lastfm': Domain('text_domain', 'lastfm'),
  'office': Domain('text_domain', 'office'),
  'synthetic': Domain('synthetic'),
}

_SOURCE = flags.DEFINE_string(
  'source',
  'movielens_small',
  f'The data source, or one of {", ".join(DOMAINS)}.',
)
_DATA_DIR = flags.DEFINE_string('data_dir', None, "The source's files.")
_MIN_RATING = flags.DEFINE_float(
  'min_rating', None, 'Ratings below are dropped; none drops nothing.'
)
_MIN_USER = flags.DEFINE_integer(
  'min_user_interactions', 5, 'Users with fewer are dropped.'
)
_MIN_ITEM = flags.DEFINE_integer(
  'min_item_interactions', 1, 'Items with fewer are dropped.'
)
_DUPLICATES = flags.DEFINE_enum(
  'duplicates',
  'first',
  list(interactions.DUPLICATE_POLICIES),
  'What to do with repeated (user, item) pairs.',
)
_DOMAIN = flags.DEFINE_string(
  'domain', None, 'Of amazon_2014 and text_domain: which.'
)
_PATH = flags.DEFINE_string('path', None, 'Of table: the file.')
_USER_COLUMN = flags.DEFINE_string('user_column', 'user', 'Of table.')
_ITEM_COLUMN = flags.DEFINE_string('item_column', 'item', 'Of table.')
_RATING_COLUMN = flags.DEFINE_string('rating_column', None, 'Of table.')
_TIMESTAMP_COLUMN = flags.DEFINE_string('timestamp_column', None, 'Of table.')
_TIMESTAMP_FORMAT = flags.DEFINE_string(
  'timestamp_format',
  None,
  'Of table: how dates are written that are not like 2024-12-31; %d.%m.%Y.',
)
_ITEM_PATH = flags.DEFINE_string(
  'item_path', None, 'Of table: a second file with a row for each item.'
)
_TEXT_COLUMNS = flags.DEFINE_list(
  'text_columns',
  [],
  'Of table: columns that are item text, of item_path or else of path.',
)
_DROP_INCOMPLETE = flags.DEFINE_bool(
  'drop_incomplete',
  None,
  'Of table: leave out rows that lack a user, an item or another value in use.',
)


def load() -> interactions.Interactions:
  """The interactions that the flags name, filtered as they say."""
  return sources.load(
    _source(),
    data_dir=_DATA_DIR.value,
    min_rating=_MIN_RATING.value,
    min_user_interactions=_MIN_USER.value,
    min_item_interactions=_MIN_ITEM.value,
    duplicates=_DUPLICATES.value,
    **_own_options(),
  )


def load_domains(names: list[str]) -> tuple[interactions.Interactions, ...]:
  """Data sets of `DOMAINS`, each read by its own rules.

  Raises:
    DataError: an unknown name, or a set without item text.
  """
  domains = []
  for name in names:
    if name not in DOMAINS:
      raise interactions.DataError(
        f'--domains={name} is unknown; use some of {list(DOMAINS)}'
      )
    rule = DOMAINS[name]
    data = sources.load(
      rule.source,
      data_dir=_DATA_DIR.value,
      min_rating=rule.min_rating,
      min_user_interactions=rule.min_interactions,
      min_item_interactions=rule.min_interactions,
      **({'domain': rule.domain} if rule.domain else {}),
    )
    if data.item_text is None:
      raise interactions.DataError(
        f'--domains={name}: {data.name} has no item text, by which alone one '
        'domain can teach another; leave it out'
      )
    domains.append(data)
  return tuple(domains)


def _source() -> str:
  """The source of the flag, which may be the short name of a domain."""
  if _SOURCE.value in sources.SOURCES or _SOURCE.value not in DOMAINS:
    return _SOURCE.value
  return DOMAINS[_SOURCE.value].source


def _own_options() -> dict[str, object]:
  """The options of the chosen source's own function that were given."""
  options = {} if _DOMAIN.value is None else {'domain': _DOMAIN.value}
  if _SOURCE.value not in sources.SOURCES and _SOURCE.value in DOMAINS:
    if options:
      raise interactions.DataError(
        f'--source={_SOURCE.value} says which domain: leave out '
        f'--domain={_DOMAIN.value}'
      )
    return {'domain': DOMAINS[_SOURCE.value].domain}
  if _SOURCE.value != 'table':
    return options
  return {
    **options,
    'path': _PATH.value,
    'user_column': _USER_COLUMN.value,
    'item_column': _ITEM_COLUMN.value,
    'rating_column': _RATING_COLUMN.value,
    'timestamp_column': _TIMESTAMP_COLUMN.value,
    'timestamp_format': _TIMESTAMP_FORMAT.value,
    'item_path': _ITEM_PATH.value,
    'text_columns': tuple(_TEXT_COLUMNS.value),
    'drop_incomplete': bool(_DROP_INCOMPLETE.value),
  }


def load_train_test() -> tuple[
  interactions.Interactions, interactions.Interactions
]:
  """The published train and test part of a source that has them."""
  return sources.load_train_test(_SOURCE.value, data_dir=_DATA_DIR.value)


def load_prefixes(data: interactions.Interactions) -> splits.HeldOut:
  """The published test prefixes of a source of sessions, and what followed.

  Raises:
    DataError: the source has none.
  """
  if _SOURCE.value != 'diginetica':
    raise interactions.DataError(
      f'--source={_SOURCE.value} has no test prefixes; use diginetica'
    )
  return sequences.diginetica_prefixes(data, _DATA_DIR.value)
