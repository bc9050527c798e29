"""Recommends with a folder that `experiments.export.run` wrote.

  python -m experiments.export.recommend --model=my_recommender \
    --history=260,1196 --k=10
  python -m experiments.export.recommend --model=my_recommender \
    --history='Band 3, The' --history='Band 7, The'

A value of --history that is an id as it stands is that id. Any other is a list
of ids with commas between them, in which double quotes hold an id together:
--history='"Band 3, The",Other'. Blanks around an id do not count, and
="0000000117", as spreadsheets write numbers that are text, is 0000000117.
--exclude and --candidates are read alike.
"""

import csv
import io
import re
from collections.abc import Iterable

from absl import app, flags

from experiments import script
from hyperrec import export

_MODEL = flags.DEFINE_string(
  'model', None, 'Folder that experiments.export.run wrote.', required=True
)
_HISTORY = flags.DEFINE_multi_string(
  'history',
  [],
  'Ids of what the user took up, oldest first: one id, or several with commas '
  'between them. May be given several times, as for ids that hold commas. '
  'Without it the most popular items are recommended.',
)
_K = flags.DEFINE_integer(
  'k', 10, 'Number of items to recommend.', lower_bound=1
)
_EXCLUDE = flags.DEFINE_multi_string(
  'exclude', [], 'Ids that are not to be recommended, written as --history.'
)
_CANDIDATES = flags.DEFINE_multi_string(
  'candidates',
  None,
  'Ids of the only items that may be recommended, written as --history.',
)
_IGNORE_UNKNOWN = flags.DEFINE_bool(
  'ignore_unknown',
  False,
  'Leave out ids that are not in the catalogue, where they are an error '
  'otherwise.',
)
# A quote that opens an id, with the = that spreadsheets put before it.
_FORMULA = re.compile(r'(^|[,\n])\s*="')


def main(argv):
  """Prints the history, what is to be known, then one item a line."""
  del argv
  model = export.load(_MODEL.value)
  title = {name: name for name in model.item_ids}
  if model.titles:
    pairs = zip(model.item_ids, model.titles, strict=True)
    title = {name: f'{name}\t{text}' for name, text in pairs}
  history, exclude = (
    parse_ids(f'--{flag.name}', flag.value, model.item_ids)
    for flag in (_HISTORY, _EXCLUDE)
  )
  candidates = _CANDIDATES.value
  if candidates is not None:
    candidates = parse_ids('--candidates', candidates, model.item_ids)
  (found,) = model.recommend(
    [history],
    _K.value,
    exclude=exclude,
    candidates=candidates,
    ignore_unknown=_IGNORE_UNKNOWN.value,
  )
  for name in history:
    if name in title:
      print(f'has  {title[name]}')
  for note in found.notes:
    print(f'note: {note}')
  for name, score in found:
    print(f'{score:.4f}  {title[name]}')


def parse_ids(
  flag: str, values: Iterable[str], item_ids: Iterable[str]
) -> list[str]:
  """The ids that the values of a flag name, as the module's docstring says.

  Args:
    flag: for the message.
    values: of the flag, one for each time that it was given.
    item_ids: of the catalogue. Those that look as spreadsheets write numbers
      that are text may be named by the number alone.

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
  """Without the ="..." of spreadsheets."""
  inner = re.fullmatch(r'="(.*)"', name, re.DOTALL)
  return inner[1] if inner else name


if __name__ == '__main__':
  script.run(main)
