"""Ids in the values of flags: comma-separated lists, quoted as in spreadsheets.

If a value is an id of the catalogue, it means that id. Any other value is a
comma-separated list of ids, in which an id with commas is put in double quotes:
--history='"Band 3, The",Other'. Blanks around an id are ignored. The form
="0000000117", in which spreadsheets write numbers as text, means 0000000117.
"""

import csv
import io
import re
from collections.abc import Iterable

from absl import app

# A quote that opens an id, with the = that spreadsheets put before it.
_FORMULA = re.compile(r'(^|[,\n])\s*="')


def parse(
  flag: str, values: Iterable[str], item_ids: Iterable[str]
) -> list[str]:
  """Returns the ids in the values of a flag; see the top of the module.

  Args:
    flag: name of the flag, for the error message.
    values: values of the flag, one for each time that it was given.
    item_ids: ids of the catalogue. An id in the form ="NUMBER" may also be
      given as NUMBER.

  Raises:
    UsageError: a double quote is not closed.
  """
  known = {_plain(name): name for name in item_ids}
  known |= {name: name for name in known.values()}
  found = []
  for value in values:
    whole = value.strip()
    if whole in known or _plain(whole) in known:
      found.append(known.get(whole) or known[_plain(whole)])
      continue
    text = io.StringIO(_FORMULA.sub(r'\1"', value), newline='')
    try:
      rows = list(csv.reader(text, skipinitialspace=True, strict=True))
    except csv.Error as error:
      raise app.UsageError(
        f'{flag}={value}: a double quote does not end where a comma follows '
        f'({error}); write an id that holds quotes in a {flag} of its own'
      ) from error
    names = [field.strip() for row in rows for field in row]
    found += [known.get(name, name) for name in names if name]
  return found


def _plain(name: str) -> str:
  """The id without the ="..." of spreadsheets."""
  inner = re.fullmatch(r'="(.*)"', name, re.DOTALL)
  return inner[1] if inner else name
