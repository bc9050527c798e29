"""Fields of hyperparameters, each with the values that it may have.

  @dataclasses.dataclass(frozen=True)
  class Config:
    dropout: float = config.field(0.5, least=0, below=1)

    def __post_init__(self):
      config.check(self)

`Config(dropout=1.0)` then raises an error that names the field, its value and
its limits.
"""

import dataclasses
import math
import operator
from typing import Any

from hyperrec.data import interactions

# The limits that a field may have: their words, and when a value keeps to them.
_LIMITS = {
  'least': ('at least', operator.ge),
  'above': ('above', operator.gt),
  'most': ('at most', operator.le),
  'below': ('below', operator.lt),
  'choices': ('one of', lambda value, choices: value in choices),
}


def field(
  default: Any = dataclasses.MISSING,
  *,
  least: float | None = None,
  above: float | None = None,
  most: float | None = None,
  below: float | None = None,
  choices: tuple[str, ...] | None = None,
) -> Any:
  """A field of a dataclass that has limits, which `check` enforces.

  Args:
    default: the value where none is given; without it the field is required.
    least: the smallest value.
    above: a number that every value must exceed.
    most: the largest value.
    below: a number that every value must stay below.
    choices: all values that a text may have.
  """
  limits = {
    'least': least,
    'above': above,
    'most': most,
    'below': below,
    'choices': choices,
  }
  given = {name: limit for name, limit in limits.items() if limit is not None}
  return dataclasses.field(default=default, metadata=given)


def check(config: Any) -> None:
  """Raises DataError where a field of a dataclass has an unusable value."""
  for each in dataclasses.fields(config):
    value = getattr(config, each.name)
    mistake = find_mistake(each, value)
    if mistake:
      shown = repr(value) if isinstance(value, str) else value
      raise interactions.DataError(f'{each.name}={shown} {mistake}')


def find_mistake(of: dataclasses.Field, value: Any) -> str | None:
  """Why a field cannot have a value, such as "must be at least 1".

  Returns:
    None where it can. A value that is None was not given, and has no limits.
  """
  if value is None:
    return None
  if isinstance(value, float) and not math.isfinite(value):
    return 'must be a finite number'
  if all(_LIMITS[name][1](value, limit) for name, limit in of.metadata.items()):
    return None
  return f'must be {describe_limits(of)}'


def describe_limits(of: dataclasses.Field) -> str:
  """The limits of a field, such as "at least 0 and below 1"; "" without any."""
  return ' and '.join(
    f'{_LIMITS[name][0]} {limit}' for name, limit in of.metadata.items()
  )
