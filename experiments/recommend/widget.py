"""An interview in a notebook."""

import html

from experiments.recommend import wording
from hyperrec.systems.pref import session as session_lib

Session = session_lib.Session


def show(session: Session, k: int = 10):
  """Returns a widget that asks, and recommends after every answer.

  Args:
    session: Session before the first question.
    k: Number of items to recommend.

  Returns:
    An `ipywidgets.VBox`. It shows itself as the last value of a cell.

  Raises:
    ImportError: ipywidgets is not installed.
  """
  try:
    import ipywidgets
  except ImportError as error:
    raise ImportError(
      'the interview in a notebook needs ipywidgets: pip install ".[colab]"'
    ) from error
  wide = ipywidgets.Layout(width='auto')
  buttons = {
    given: ipywidgets.Button(layout=wide) for given in session_lib.ANSWERS
  }
  buttons['neither'].description = 'I do not know both, or cannot choose'
  again = ipywidgets.Button(description='Start again', layout=wide)
  heading, told = ipywidgets.HTML(), ipywidgets.HTML()
  now = session

  def draw(new: Session) -> None:
    nonlocal now
    now = new
    question = session_lib.ask(now)
    heading.value = f'<b>{_heading(now, question)}</b>'
    for button in buttons.values():
      button.disabled = question is None
    if question is not None:
      buttons['first'].description = wording.shorten(question.first, 100)
      buttons['second'].description = wording.shorten(question.second, 100)
    told.value = _told(now, k)

  def take(given: str) -> None:
    question = session_lib.ask(now)
    if question is not None:
      draw(session_lib.answer(now, question, given))

  for given, button in buttons.items():
    button.on_click(lambda _, given=given: take(given))
  again.on_click(lambda _: draw(session))
  draw(session)
  return ipywidgets.VBox([heading, *buttons.values(), again, told])


def _heading(session: Session, question: session_lib.Question | None) -> str:
  if question is None:
    return 'That was the last question.'
  number = len(session.answers) + 1
  return (
    f'Question {number} of {session.num_questions}: which do you like better?'
  )


def _told(session: Session, k: int) -> str:
  """Returns recommendations and what the answers mean, as HTML."""
  best = [found.text for found in session_lib.recommend(session, k)]
  parts = ['<h4>Recommended to you so far</h4>', _listed('ol', best)]
  leanings = wording.leanings(session)
  if leanings:
    parts.append('<h4>Compared with the average person</h4>')
  for heading, towards, away in leanings:
    parts += [
      f'<p>{html.escape(heading)} towards</p>{_listed("ul", towards)}',
      f'<p>and away from</p>{_listed("ul", away)}',
    ]
  if leanings:
    parts.append(f'<p><i>{html.escape(wording.UNITS)}</i></p>')
  return ''.join(parts)


def _listed(tag: str, texts) -> str:
  rows = ''.join(f'<li>{html.escape(text)}</li>' for text in texts)
  return f'<{tag}>{rows}</{tag}>'
