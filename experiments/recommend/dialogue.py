"""An interview at the terminal."""

import textwrap
from collections.abc import Callable

from experiments.recommend import wording
from hyperrec.systems.pref import session as session_lib

Session = session_lib.Session

_ANSWERS = {'1': 'first', '2': 'second', '0': 'neither'}
_PROMPT = '1, 2, 0 or q: '
_RULES = (
  'Answer 1 or 2. Answer 0 if you do not know both or cannot choose.\n'
  'Type q to stop.'
)


def hold(
  session: Session,
  k: int,
  *,
  read: Callable[[str], str] = input,
  show: Callable[[str], None] = print,
) -> Session:
  """Asks until no question is left or the person stops, then recommends.

  The end of the input and Ctrl-C also stop the questions.

  Args:
    session: Session before the first question.
    k: Number of items to recommend.
    read: Shows a prompt and returns a line; raises EOFError at the end.
    show: Prints a line.

  Returns:
    The session after the last answer.
  """
  show(_RULES)
  while (question := session_lib.ask(session)) is not None:
    number = len(session.answers) + 1
    show(
      f'\nQuestion {number} of {session.num_questions}: which do you like '
      f'better?\n  1  {wording.shorten(question.first, 200)}'
      f'\n  2  {wording.shorten(question.second, 200)}'
    )
    given = _read_answer(read, show)
    if given is None:
      break
    session = session_lib.answer(session, question, given)
  show(closing(session, k))
  return session


def _read_answer(read, show) -> str | None:
  """Returns an answer, or None to stop; asks again after any other input."""
  while True:
    try:
      line = read(_PROMPT).strip().lower()
    except (EOFError, KeyboardInterrupt):
      show('')
      return None
    if line == 'q':
      return None
    if line in _ANSWERS:
      return _ANSWERS[line]
    show(
      f'{wording.shorten(line, 20)!r} is not an answer. Type 1, 2, 0 or q, '
      'then Enter.'
    )


def closing(session: Session, k: int) -> str:
  """Returns what the answers mean, and the recommendations so far."""
  lines = ['', 'Compared with the average person:']
  leanings = wording.leanings(session)
  for heading, towards, away in leanings:
    lines.append(f'\n  {heading}')
    lines += _listed('towards', towards) + _listed('away from', away)
  if leanings:
    lines += ['', textwrap.indent(textwrap.fill(wording.UNITS, 78), '  ')]
  else:
    lines.append('  You have not chosen yet, so nothing is known.')
  lines += ['', 'Recommended to you:']
  for place, found in enumerate(session_lib.recommend(session, k), start=1):
    lines.append(f'{place:4d}  {wording.shorten(found.text, 200)}')
  return '\n'.join(lines)


def _listed(words: str, texts: tuple[str, ...]) -> list[str]:
  """Returns a line for each text; the words stand before the first."""
  return [
    f'    {words if place == 0 else "":9s}  {wording.shorten(text)}'
    for place, text in enumerate(texts)
  ]
