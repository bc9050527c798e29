"""Blocks of a README that are generated."""

import pathlib

from hyperrec import whole_file
from hyperrec.evaluation import results


def replace_block(path: str | pathlib.Path, name: str, content: str) -> None:
  """Puts `content` between the markers `results:begin NAME` and `end`.

  Raises:
    ResultError: the file lacks the markers.
  """
  path = pathlib.Path(path)
  text = path.read_text(encoding='utf-8')
  begin, end = (f'<!-- results:{w} {name} -->' for w in ('begin', 'end'))
  is_one = text.count(begin) == 1 == text.count(end)
  if not is_one or text.index(begin) > text.index(end):
    raise results.ResultError(f'{path}: needs one {begin} and one {end}')
  head, rest = text.split(begin)
  tail = rest.split(end)[1]
  made = f'{head}{begin}\n{content.strip()}\n{end}{tail}'
  whole_file.write_whole(path, made.encode())
