"""Maps the original ids of users and items to numbers from 0."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

# Characters; arrays with longer ids hold Python strings, since NumPy's own text
# type needs memory for the longest id in every row.
LONGEST_SHORT = 64


class IdError(ValueError):
  """Ids cannot be numbered; the message says which one, and why."""


@dataclasses.dataclass(frozen=True, eq=False)
class Coded:
  """Ids of n rows, in less memory than n ids need.

  Attributes:
    ids: [D], every id that occurs, once or more often.
    codes: integers [n], the index of each row's id in `ids`.
  """

  ids: np.ndarray
  codes: np.ndarray

  def __len__(self) -> int:
    return len(self.codes)


def number(
  ids: Sequence[Any] | Coded, what: str
) -> tuple[np.ndarray, np.ndarray]:
  """The distinct ids in sorted order, and the index of each id among them.

  Args:
    ids: [n], of any type that can be sorted; whole floats become integers.
    what: 'user' or 'item', for messages.

  Returns:
    The distinct ids, and the indices, int64 [n] or, of `Coded`, int32 [n].

  Raises:
    IdError: an id is missing (None, NaN, blank text) or is a list, or the ids
      cannot be sorted.
  """
  codes = None
  if isinstance(ids, Coded):
    ids, codes = ids.ids, ids.codes
  ids = _as_ids(ids, what)
  missing = np.zeros(len(ids), bool)
  if ids.dtype == object:
    missing = np.array([_is_missing(i) for i in ids], bool)
  elif np.issubdtype(ids.dtype, np.floating):
    missing = np.isnan(ids)
  elif ids.dtype.kind in 'Mm':
    missing = np.isnat(ids)
  elif ids.dtype.kind == 'U':
    missing = np.char.strip(ids) == ''
  if missing.any():
    if codes is not None:
      missing, ids = missing[codes], ids[codes]
    row = int(np.flatnonzero(missing)[0])
    raise IdError(
      f'the {what} id of interaction {row + 1} is missing ({ids[row]!r}); '
      'leave that row out'
    )
  try:
    distinct, indices = np.unique(_whole(ids), return_inverse=True)
  except TypeError as error:
    raise IdError(
      f'{what} ids mix kinds that cannot be sorted ({error}); make all text'
    ) from error
  return distinct, indices if codes is None else indices.astype(np.int32)[codes]


def _as_ids(ids: Sequence[Any], what: str) -> np.ndarray:
  """The ids as a one-dimensional array; mixed types are kept as objects."""
  given = np.asarray(ids, None if hasattr(ids, 'dtype') else object)
  if given.ndim != 1:
    raise IdError(f'{what} ids have the shape {given.shape}; give one a row')
  if given.dtype == object and len(given):
    kinds = {type(i) for i in given.tolist()}
    if kinds <= {int, bool}:
      return np.asarray(given.tolist())
    if kinds == {str} and max(map(len, given)) <= LONGEST_SHORT:
      return np.asarray(given.tolist())
    if any(hasattr(i, '__len__') and not isinstance(i, str | bytes | tuple)
           for i in given.tolist()):  # fmt: skip
      raise IdError(f'{what} ids hold lists; give one id a row')
  return given


def _is_missing(one: Any) -> bool:
  """Whether an id is None, NaN, NaT, pandas' NA, or blank text."""
  if one is None or (isinstance(one, str) and not one.strip()):
    return True
  try:
    equal = one == one  # noqa: PLR0124  NaN is not equal to itself
  except ArithmeticError:  # a signalling NaN
    return True
  return not isinstance(equal, bool | np.bool_) or not equal


def _whole(ids: np.ndarray) -> np.ndarray:
  """Converts floats to integers if all are whole numbers: 7.0 becomes 7."""
  is_number = np.issubdtype(ids.dtype, np.floating) or (
    ids.dtype == object
    and all(isinstance(i, int | float | np.number) for i in ids.tolist())
  )
  if not is_number or not len(ids):
    return ids
  numbers = ids.astype(np.float64)
  if (numbers != np.floor(numbers)).any() or np.abs(numbers).max() > 2**53:
    return ids
  return ids.astype(np.int64)
