"""The flags that choose and filter a data source, shared by the scripts."""

from absl import flags

from hyperrec.data import interactions, sources

_SOURCE = flags.DEFINE_string('source', 'movielens_small', 'The data source.')
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


def load() -> interactions.Interactions:
  """The interactions that the flags name, filtered as they say."""
  return sources.load(
    _SOURCE.value,
    data_dir=_DATA_DIR.value,
    min_rating=_MIN_RATING.value,
    min_user_interactions=_MIN_USER.value,
    min_item_interactions=_MIN_ITEM.value,
    duplicates=_DUPLICATES.value,
  )


def load_train_test() -> tuple[
  interactions.Interactions, interactions.Interactions
]:
  """The published train and test part of a source that has them."""
  return sources.load_train_test(_SOURCE.value, data_dir=_DATA_DIR.value)
