"""Tables of interactions that are joined with, or compared to, one another."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError
Interactions = interactions_lib.Interactions


def join_users(first: Interactions, second: Interactions) -> Interactions:
  """Joins the rows of two data sets; users with the same id are merged.

  The users of `first` keep their numbers; the other users of `second` follow.

  Raises:
    DataError: the two catalogues are not the same.
  """
  if not np.array_equal(first.item_ids, second.item_ids):
    raise DataError(
      f'cannot join users of {first!r} and {second!r}: their catalogues '
      'differ; select the same items of both first (take_items)'
    )
  new, ids = _numbered(first.user_ids, second.user_ids)
  both = lambda a, b: (  # noqa: E731
    None if a is None or b is None else np.concatenate([a, b])
  )
  return dataclasses.replace(
    first,
    users=np.concatenate([first.users, new[second.users]]),
    items=np.concatenate([first.items, second.items]),
    ratings=both(first.ratings, second.ratings),
    timestamps=both(first.timestamps, second.timestamps),
    num_users=len(ids),
    user_ids=ids,
  )


def over_catalogue(
  data: Interactions, larger: Interactions
) -> Interactions | None:
  """The rows of `data` in the numbers of a catalogue that has all its items.

  Args:
    data: the rows.
    larger: interactions over the other catalogue.

  Returns:
    The rows with the items of `larger`; None if it lacks an item of `data`.
  """
  number = {name: i for i, name in enumerate(larger.item_ids.tolist())}
  new = np.array([number.get(i, -1) for i in data.item_ids.tolist()], np.int32)
  if (new < 0).any():
    return None
  return dataclasses.replace(
    data,
    items=new[data.items],
    num_items=larger.num_items,
    item_ids=larger.item_ids,
    item_text=larger.item_text,
  )


def with_items(data: Interactions, text: Mapping[str, str]) -> Interactions:
  """The same rows over a catalogue that also has items that nobody touched.

  Args:
    data: interactions with item text.
    text: id as text -> text. Items that the catalogue has are left as they are.

  Raises:
    DataError: the catalogue has no item text.
  """
  if data.item_text is None:
    raise DataError(
      f'{data.name}: its items have no text, so items without interactions '
      'cannot join them; name columns of text'
    )
  known = set(map(str, data.item_ids.tolist()))
  more = {name: one for name, one in text.items() if name not in known}
  ids = np.empty(data.num_items + len(more), object)
  ids[:] = [*data.item_ids.tolist(), *more]
  texts = np.empty(len(ids), object)
  texts[:] = [*data.item_text.tolist(), *more.values()]
  return dataclasses.replace(
    data, num_items=len(ids), item_ids=ids, item_text=texts
  )


def grown_users(first: Interactions, second: Interactions) -> Interactions:
  """The users who have rows in `second`, with their rows of both data sets.

  Raises:
    DataError: the two catalogues are not the same.
  """
  both = join_users(first, second)
  grown = set(second.user_ids[np.unique(second.users)].tolist())
  chosen = [i for i, name in enumerate(both.user_ids.tolist()) if name in grown]
  return both.take_users(np.array(chosen, np.int64))


def without_pairs(data: Interactions, known: Interactions) -> Interactions:
  """The rows whose (user, item) pair does not occur in `known`.

  Users and items must have the same numbers in both.
  """
  pairs = interactions_lib.pair_codes
  return data.rows(~np.isin(pairs(data), pairs(known)))


def join_catalogues(old: Interactions, new: Interactions) -> Interactions:
  """Both data sets; old users and items keep their numbers.

  Rows of `new` that repeat a pair of a user and an item are left out.
  """
  users, user_ids = _numbered(old.user_ids, new.user_ids)
  items, item_ids = _numbered(old.item_ids, new.item_ids)
  text = old.item_text
  if text is not None:
    given = new.item_text
    given = [''] * new.num_items if given is None else given.tolist()
    by_id = dict(zip(new.item_ids.tolist(), given, strict=True))
    arrived = [by_id[name] for name in item_ids[old.num_items :].tolist()]
    text = np.append(old.item_text, np.array(arrived, object))
  grown = dataclasses.replace(
    old,
    num_users=len(user_ids),
    num_items=len(item_ids),
    user_ids=user_ids,
    item_ids=item_ids,
    item_text=text,
  )
  moved = dataclasses.replace(
    grown,
    users=users[new.users],
    items=items[new.items],
    ratings=new.ratings,
    timestamps=new.timestamps,
  )
  moved = interactions_lib.drop_duplicates(without_pairs(moved, grown), 'first')
  both = {
    field: None
    if getattr(grown, field) is None or getattr(moved, field) is None
    else np.concatenate([getattr(grown, field), getattr(moved, field)])
    for field in ('users', 'items', 'ratings', 'timestamps')
  }
  return dataclasses.replace(grown, **both)


def _numbered(
  old: np.ndarray, new: np.ndarray
) -> tuple[Int[np.ndarray, ' n'], np.ndarray]:
  """The number of each new id, and all ids; old ones keep their numbers."""
  number = {name: i for i, name in enumerate(old.tolist())}
  numbers = [number.setdefault(name, len(number)) for name in new.tolist()]
  ids = np.empty(len(number), object)
  ids[:] = list(number)
  return np.array(numbers, np.int32), ids
