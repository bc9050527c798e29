"""Takes new interactions, users and items into a fitted recommender.

  python -m experiments.recommend.update --model=my_recommender \
    --source=table --path=new_orders.csv --user_column=customer \
    --item_column=product --text_columns=title --output=my_recommender_2

--new_items=items.csv adds items that nobody has touched yet, with their text.
Nothing is fitted again: the method takes them in as its policy says, and
histories grow. --compare then fits the same method on all data, says how far
the two differ, and whether a refit is due.
"""

import time

import numpy as np
from absl import flags

from experiments import script, source_flags
from experiments.recommend import stored
from hyperrec import recommender as recommender_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import joining

_MODEL = flags.DEFINE_string(
  'model', None, 'Folder of a fitted recommender.', required=True
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Folder to write the updated recommender to; by default it '
  'replaces the one in --model.'
)  # fmt: skip
_OVERWRITE = flags.DEFINE_bool(
  'overwrite', False, 'Replaces a recommender in --output.'
)
_NEW_ITEMS = flags.DEFINE_string(
  'new_items', None, 'File with ids and text of items, which are added '
  'although they have no interactions; read as --item_path is.'
)  # fmt: skip
_COMPARE = flags.DEFINE_bool(
  'compare', True, 'Also fits the method on all data, to say how far the two '
  'differ.'
)  # fmt: skip
_CACHE_DIR = flags.DEFINE_string(
  'cache_dir', None, 'Folder that keeps embeddings of item text for later runs.'
)

# Users whose lists are compared, and the length of a list.
_USERS, _TOP = 500, 10
# A refit is due where a list shares fewer items with that of a refit.
_SHARED = 8.0


def main(argv):
  """Updates, saves, and compares with a refit."""
  del argv
  script.send_logs_to(None)
  output = _OUTPUT.value or _MODEL.value
  overwrite = _OVERWRITE.value or _OUTPUT.value is None
  recommender_lib.check_folder(output, overwrite=overwrite)
  old = stored.load(_MODEL.value)
  start = time.perf_counter()
  new = old.updated(load(), cache_folder=_CACHE_DIR.value)
  seconds = time.perf_counter() - start
  new.save(output, overwrite=overwrite)
  added = len(new.data) - len(old.data)
  print(
    f'took in {added:,} interactions, {_grown(old, new, "num_users")} new '
    f'users and {_grown(old, new, "num_items")} new items in {seconds:.1f} s; '
    f'{new.num_new:,} interactions came since the fit: {output}'
  )
  if new.num_served < len(new.item_ids):
    print(
      f'note: {len(new.item_ids) - new.num_served:,} new items are not '
      'recommended, since the method knows only those that it was fitted on; '
      'fit again, or fit with --case=new_items'
    )
  if _COMPARE.value:
    compare(new)


def load() -> interactions_lib.Interactions:
  """The new interactions, over a catalogue with all new items."""
  data = source_flags.load()
  if _NEW_ITEMS.value is None:
    return data
  texts = source_flags.item_texts(_NEW_ITEMS.value)
  return joining.with_items(data, texts)


def _grown(old, new, what: str) -> str:
  return f'{getattr(new.data, what) - getattr(old.data, what):,}'


def compare(new: recommender_lib.Recommender) -> None:
  """Prints how far a recommender is from a refit."""
  start = time.perf_counter()
  fresh = new.refitted(cache_folder=_CACHE_DIR.value)
  seconds = time.perf_counter() - start
  shared = round(shared_places(new, fresh), 1)
  verdict = 'a refit is due' if shared < _SHARED else 'no refit is due'
  print(
    f'a refit takes {seconds:.1f} s; of {_TOP} items that it recommends to a '
    f'user, {shared:.1f} are the same in the mean: {verdict}'
  )


def shared_places(one, other) -> float:
  """Mean number of items that the lists of the same users have in common."""
  number = one.data.num_users
  chosen = np.random.default_rng(0).permutation(number)[:_USERS]
  users = one.data.user_ids[np.sort(chosen)].tolist()
  lists = [
    [{name for name, _ in own} for own in which.recommend(users=users, k=_TOP)]
    for which in (one, other)
  ]
  return float(np.mean([len(a & b) for a, b in zip(*lists, strict=True)]))


if __name__ == '__main__':
  flags.FLAGS.set_default('min_user_interactions', 1)
  script.run(main, output_is_folder=True)
