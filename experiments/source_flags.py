"""The flags that choose and filter a data source, shared by the scripts."""

import inspect
import os
import pathlib
import sys
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

from absl import flags

from experiments import script
from hyperrec.data import interactions, sources, splits
from hyperrec.data.sources import sequences
from hyperrec.data.sources import table as table_lib


class Domain(NamedTuple):
  """How a data set with a short name is read.

  Attributes:
    source: a key of `sources.SOURCES`.
    options: keyword arguments of the function that reads the source.
    min_rating: lowest rating that is kept; None keeps all rows.
    min_interactions: fewest interactions of a user and of an item.
  """

  source: str
  options: Mapping[str, Any] = {}
  min_rating: float | None = None
  min_interactions: int = 5


DOMAINS = {
  'movielens_small': Domain('movielens_small', min_rating=4.0),
  'online_retail': Domain('online_retail'),
  'beauty': Domain('amazon_2014', {'domain': 'Beauty'}),
  'scientific': Domain('scientific'),
  'anime': Domain('text_domain', {'domain': 'anime'}),
  'steam': Domain('text_domain', {'domain': 'steam'}),
  'lastfm': Domain('text_domain', {'domain': 'lastfm'}),
  'office': Domain('text_domain', {'domain': 'office'}),
  'sports': Domain('amazon_2014', {'domain': 'Sports_and_Outdoors'}),
  'toys': Domain('amazon_2014', {'domain': 'Toys_and_Games'}),
  'games': Domain('text_domain', {'domain': 'games'}),
  'citeulike_a': Domain('text_domain', {'domain': 'citeulike_a'}),
  'recipes': Domain('text_domain', {'domain': 'recipes'}),
  'restaurants': Domain('text_domain', {'domain': 'restaurants'}),
  'msweb': Domain('text_domain', {'domain': 'msweb'}),
  'synthetic': Domain('synthetic'),
}

_SOURCE = flags.DEFINE_string(
  'source',
  'movielens_small',
  f'Data source: one of {", ".join(sources.SOURCES)}, or a data set by its '
  f'short name: {", ".join(DOMAINS)}. "table" is your own file.',
)
_DATA_DIR = flags.DEFINE_string(
  'data_dir',
  None,
  'Folder that holds the files of the built-in sources; by default the '
  "environment's HYPERREC_DATA_DIR.",
)
_TFDS_DIR = flags.DEFINE_string(
  'tfds_dir',
  None,
  'Folder in which data sets are stored as TFDS ArrayRecord files: a run reads '
  'from there what an earlier run stored, and stores what is missing. Without '
  'it, every run reads the published files.',
)
_MIN_RATING = flags.DEFINE_float(
  'min_rating',
  None,
  'Leaves out rows with a lower rating, such as 4; by default none.',
)
_MIN_USER = flags.DEFINE_integer(
  'min_user_interactions',
  5,
  'Leaves out users with fewer interactions.',
  lower_bound=0,
)
_MIN_ITEM = flags.DEFINE_integer(
  'min_item_interactions',
  1,
  'Leaves out items with fewer interactions.',
  lower_bound=0,
)
_DUPLICATES = flags.DEFINE_enum(
  'duplicates',
  'first',
  list(interactions.DUPLICATE_POLICIES),
  'Which row to keep where a user and an item occur together more than once.',
)
_DOMAIN = flags.DEFINE_string(
  'domain',
  None,
  'Domain of the sources amazon_2014 and text_domain, such as Beauty.',
)
_PATH = flags.DEFINE_multi_string(
  'path',
  None,
  'Your own file (with --source=table): CSV, TSV, text, Parquet, JSON lines or '
  'a RecBole file, also as .gz. Give it several times to read several files '
  'with the same columns.',
)
_USER_COLUMN = flags.DEFINE_string(
  'user_column', 'user', 'Column that holds user ids (with --source=table).'
)
_ITEM_COLUMN = flags.DEFINE_string(
  'item_column', 'item', 'Column that holds item ids (with --source=table).'
)
_RATING_COLUMN = flags.DEFINE_string(
  'rating_column', None, 'Column that holds ratings (with --source=table).'
)
_TIMESTAMP_COLUMN = flags.DEFINE_string(
  'timestamp_column',
  None,
  'Column that holds the times of interactions, as numbers or dates (with '
  '--source=table).',
)
_TIMESTAMP_FORMAT = flags.DEFINE_string(
  'timestamp_format',
  None,
  'Format of dates that are not written like 2024-12-31, such as %d.%m.%Y '
  '(with --source=table).',
)
_ITEM_PATH = flags.DEFINE_string(
  'item_path',
  None,
  'A second file with a row for each item, its id and its text (with '
  '--source=table).',
)
_ITEM_ID_COLUMN = flags.DEFINE_string(
  'item_id_column',
  None,
  'Column of --item_path that holds item ids; by default --item_column.',
)
_ITEM_COLUMN_NAMES = flags.DEFINE_list(
  'item_column_names',
  [],
  'Names of the columns of --item_path, if it has no header, such as '
  'item,title.',
)
_TEXT_COLUMNS = flags.DEFINE_list(
  'text_columns',
  [],
  'Columns that hold item text, such as title,category; they are looked up in '
  '--item_path, or in --path where there is no such file.',
)
_DROP_INCOMPLETE = flags.DEFINE_bool(
  'drop_incomplete',
  None,
  'Leaves out rows that lack a user, an item, a rating or a time, which are an '
  'error otherwise (with --source=table).',
)
_DECIMAL_COMMA = flags.DEFINE_bool(
  'decimal_comma',
  None,
  'Reads ratings written like 3,5 (with --source=table).',
)
_SEPARATOR = flags.DEFINE_string(
  'separator',
  None,
  'What separates the columns of --path: a character, "tab", "space" or ::; by '
  'default it is detected.',
)
_COLUMN_NAMES = flags.DEFINE_list(
  'column_names',
  [],
  'Names of the columns of --path, if it has no header, such as '
  'user,item,rating.',
)
_ENCODING = flags.DEFINE_string(
  'encoding',
  None,
  'Encoding of those of your text files that are not UTF-8, such as '
  'windows-1252; UTF-16 is detected.',
)
_FILL_DOWN = flags.DEFINE_list(
  'fill_down',
  [],
  'Columns of --path whose empty cells repeat the value of the row above, '
  'such as order_id in an export of orders.',
)
_FILL_WITHIN = flags.DEFINE_string(
  'fill_within',
  None,
  'Column that must be equal in both rows for --fill_down, such as the number '
  'of an order.',
)
_WHERE = flags.DEFINE_string(
  'where',
  None,
  'Condition in SQL that rows of --path must meet, such as '
  '"event = \'purchase\'".',
)
_SEQUENCES = flags.DEFINE_bool(
  'sequences',
  None,
  "Reads each line of --path as a user id and the ids of the user's items, "
  'oldest first, with blanks between them.',
)


def load() -> interactions.Interactions:
  """Returns the interactions that the flags choose and filter.

  Notes on rows that were left out are printed to the terminal.
  """
  source, options = _source()
  data = _read(source, **_rules(), **options)
  _tell(data)
  return data


def item_texts(path: str) -> dict[str, str]:
  """Returns the text of all items of a file, read as --item_path is."""
  return table_lib.item_texts(
    path,
    _ITEM_ID_COLUMN.value or _ITEM_COLUMN.value,
    tuple(_TEXT_COLUMNS.value),
    column_names=tuple(_ITEM_COLUMN_NAMES.value),
    encoding=_ENCODING.value,
  )


def load_whole() -> interactions.Interactions:
  """Returns all interactions that the flags choose, with repeats."""
  source, options = _source()
  return _read(source, duplicates='keep', **options)


def cleaned(data: interactions.Interactions) -> interactions.Interactions:
  """Filters what `load_whole` returned; the result is that of `load`."""
  data = sources.cleaned(data, **_rules())
  _tell(data)
  return data


def _rules() -> dict[str, Any]:
  """The rules by which rows are left out."""
  return {
    'min_rating': _MIN_RATING.value,
    'min_user_interactions': _MIN_USER.value,
    'min_item_interactions': _MIN_ITEM.value,
    'duplicates': _DUPLICATES.value,
  }


def _read(source: str, **options: Any) -> interactions.Interactions:
  """Reads a source, or what an earlier run stored of it in --tfds_dir."""
  options['data_dir'] = _DATA_DIR.value
  if not _TFDS_DIR.value:
    return sources.load(source, **options)
  # TensorFlow Datasets takes a second to import, and few runs need it.
  from hyperrec.data.sources import builder

  folder = os.path.expanduser(_TFDS_DIR.value)
  script.check_place('tfds_dir', folder, is_folder=True)
  builder.prepare(source, folder, **options)
  return builder.load_prepared(source, folder, **options)


def _tell(data: interactions.Interactions) -> None:
  """Prints the notes of a data set."""
  for note in data.notes:
    print(f'note: {note}', file=sys.stderr)


def load_domains(names: list[str]) -> tuple[interactions.Interactions, ...]:
  """Reads data sets of `DOMAINS` or of TOML files, each by its own rules.

  Args:
    names: keys of `DOMAINS`, or paths of files such as

        path = "orders.csv"          # relative to this file
        user_column = "customer"     # and all other options of `table`
        text_columns = ["title"]
        min_rating = 4.0             # and min_interactions

  Raises:
    DataError: a name is unknown, a file is invalid, or a data set has no item
      text.
  """
  domains = []
  for name in names:
    rule = _own_domain(name) if name.endswith('.toml') else DOMAINS.get(name)
    if rule is None:
      raise interactions.DataError(
        f'--domains={name} is unknown; use some of {list(DOMAINS)}, or the '
        'path of a .toml file that describes your own'
      )
    data = _read(
      rule.source,
      min_rating=rule.min_rating,
      min_user_interactions=rule.min_interactions,
      min_item_interactions=rule.min_interactions,
      **rule.options,
    )
    if data.item_text is None:
      raise interactions.DataError(
        f'--domains={name}: {data.name} has no item text, and '
        'transfer between domains needs it; leave it out'
      )
    _tell(data)
    domains.append(data)
  return tuple(domains)


def _own_domain(name: str) -> Domain:
  """Returns the domain that a TOML file describes."""
  file = pathlib.Path(os.path.expanduser(name))
  try:
    found = tomllib.loads(file.read_text(encoding='utf-8'))
  except OSError as error:
    raise interactions.DataError(
      f'--domains={name}: {error.strerror}; give the path of a TOML file'
    ) from error
  except ValueError as error:
    raise interactions.DataError(
      f'--domains={name} is not TOML: {error}; write lines such as '
      'path = "orders.csv"'
    ) from error
  known = inspect.signature(table_lib.table).parameters
  allowed = {*known, 'min_rating', 'min_interactions'} - {'data_dir'}
  unknown = sorted(set(found) - allowed)
  if unknown or 'path' not in found:
    what = f'{unknown[0]!r} is unknown' if unknown else 'path is missing'
    raise interactions.DataError(
      f'--domains={name}: {what}; it may hold {sorted(allowed)}'
    )
  kinds = {'min_rating': float | int, 'min_interactions': int}
  for key, value in found.items():
    kind = kinds.get(key) or _toml_kind(key, known[key].default)
    if not isinstance(value, kind) or (
      isinstance(value, list) and not all(isinstance(v, str) for v in value)
    ):
      raise interactions.DataError(
        f'--domains={name}: {key} = {value!r} is not {_KIND_NAMES[kind]}'
      )
  min_rating = found.pop('min_rating', None)
  min_interactions = found.pop('min_interactions', 5)
  paths = found['path']
  paths = [paths] if isinstance(paths, str) else paths
  found['path'] = [file.parent / os.path.expanduser(p) for p in paths]
  if 'item_path' in found:
    found['item_path'] = file.parent / os.path.expanduser(found['item_path'])
  found.setdefault('name', file.stem)
  return Domain('table', found, min_rating, min_interactions)


_KIND_NAMES = {
  bool: 'true or false',
  list: 'a list of texts',
  str: 'a text',
  str | list: 'a text or a list of texts',
  int: 'a whole number',
  float | int: 'a number',
}


def _toml_kind(key: str, default: Any):
  """Returns the type of an option of `table`, which its default tells."""
  if key == 'path':
    return str | list
  if isinstance(default, bool):
    return bool
  return list if isinstance(default, tuple) else str


def _source() -> tuple[str, dict[str, Any]]:
  """Returns the source that the flags name, and its options."""
  name = _SOURCE.value
  if name not in sources.SOURCES and name in DOMAINS:
    if _DOMAIN.value is not None:
      raise interactions.DataError(
        f'--source={name} has a domain: leave out --domain={_DOMAIN.value}'
      )
    _refuse_table_options(name)
    return DOMAINS[name].source, dict(DOMAINS[name].options)
  options = {} if _DOMAIN.value is None else {'domain': _DOMAIN.value}
  if name == 'table':
    return name, {**options, **_table_options()}
  _refuse_table_options(name)
  return name, options


def _refuse_table_options(source: str) -> None:
  """Raises DataError if a flag is given that this source does not use."""
  for option in _table_options():
    flag = flags.FLAGS[option]
    if flag.value != flag.default:
      raise interactions.DataError(
        f'--{option} is for --source=table only, not for --source={source}; '
        'leave it out, or give --source=table'
      )


def _table_options() -> dict[str, Any]:
  """Returns the options of `table` that the flags give."""
  return {
    'path': _PATH.value,
    'user_column': _USER_COLUMN.value,
    'item_column': _ITEM_COLUMN.value,
    'rating_column': _RATING_COLUMN.value,
    'timestamp_column': _TIMESTAMP_COLUMN.value,
    'timestamp_format': _TIMESTAMP_FORMAT.value,
    'item_path': _ITEM_PATH.value,
    'item_id_column': _ITEM_ID_COLUMN.value,
    'item_column_names': tuple(_ITEM_COLUMN_NAMES.value),
    'text_columns': tuple(_TEXT_COLUMNS.value),
    'drop_incomplete': bool(_DROP_INCOMPLETE.value),
    'decimal_comma': bool(_DECIMAL_COMMA.value),
    'separator': _SEPARATOR.value,
    'column_names': tuple(_COLUMN_NAMES.value),
    'encoding': _ENCODING.value,
    'fill_down': tuple(_FILL_DOWN.value),
    'fill_within': _FILL_WITHIN.value,
    'where': _WHERE.value,
    'sequences': bool(_SEQUENCES.value),
  }


def data_dir() -> str | None:
  """The folder of the built-in sources that --data_dir names, if it does."""
  return _DATA_DIR.value


def load_train_test() -> tuple[
  interactions.Interactions, interactions.Interactions
]:
  """Returns the published training and test data of a source."""
  return sources.load_train_test(_SOURCE.value, data_dir=_DATA_DIR.value)


def load_prefixes(data: interactions.Interactions) -> splits.HeldOut:
  """Returns the published test prefixes of sessions, and the items after them.

  Raises:
    DataError: the source has no test prefixes.
  """
  if _SOURCE.value != 'diginetica':
    raise interactions.DataError(
      f'--source={_SOURCE.value} has no test prefixes; give --source=diginetica'
    )
  return sequences.diginetica_prefixes(data, _DATA_DIR.value)
