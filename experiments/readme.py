"""Replaces generated blocks of a README."""

import pathlib

from hyperrec import whole_file
from hyperrec.evaluation import results


def replace_block(path: str | pathlib.Path, name: str, content: str) -> None:
  """Replaces the text between the markers of the block `name`.

  The markers are `<!-- results:begin NAME -->` and the same with `end`.

  Raises:
    ResultError: the file does not have each marker once, in this order.
  """
  path = pathlib.Path(path)
  text = path.read_text(encoding='utf-8')
  begin, end = (f'<!-- results:{w} {name} -->' for w in ('begin', 'end'))
  is_one = text.count(begin) == 1 == text.count(end)
  if not is_one or text.index(begin) > text.index(end):
    raise results.ResultError(
      f'{path} must have one {begin} and, below it, one {end}'
    )
  head, rest = text.split(begin)
  tail = rest.split(end)[1]
  made = f'{head}{begin}\n{content.strip()}\n{end}{tail}'
  whole_file.write_whole(path, made.encode())
