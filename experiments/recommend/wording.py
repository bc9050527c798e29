"""The words that tell a person what her answers mean."""

from typing import NamedTuple

from hyperrec.systems.pref import session as session_lib

Session = session_lib.Session

# Coefficients that are less certain than this are not mentioned.
_LEAST_CERTAINTY = 0.6
_MOST_COEFFICIENTS = 3
# What the base functions that have a name raise and lower.
_ENDS = {
  'popularity': ('what many people rate', 'what few people rate'),
  'mean rating': ('what people rate high', 'what people rate low'),
}
UNITS = (
  'In brackets: the coefficient of a base function and its standard error, in '
  'standard deviations of the training users.'
)


class Leaning(NamedTuple):
  """What a person likes more than others do, and what less.

  Attributes:
    heading: Words that the lists continue.
    towards: Texts of items that the person likes more.
    away: Texts of items that the person likes less.
  """

  heading: str
  towards: tuple[str, ...]
  away: tuple[str, ...]


def shorten(text: str, width: int = 64) -> str:
  """Returns the text, cut if it has more characters than `width`."""
  return text if len(text) <= width else f'{text[: width - 1].rstrip()}…'


def leanings(session: Session) -> list[Leaning]:
  """Returns what all answers mean together, and what they mean in parts.

  The parts are the most certain coefficients, three at most. Before the first
  choice of the person the list is empty.
  """
  if not any(given != 'neither' for _, given in session.answers):
    return []
  found = session_lib.coefficients(session)
  found = [c for c in found if c.certainty >= _LEAST_CERTAINTY]
  found.sort(key=lambda coefficient: -coefficient.certainty)
  together = session_lib.difference(session)
  return [
    Leaning('All your answers together: you lean', *together),
    *map(_leaning, found[:_MOST_COEFFICIENTS]),
  ]


def _leaning(coefficient: session_lib.Coefficient) -> Leaning:
  ends = [coefficient.raised, coefficient.lowered]
  kinds = _ENDS.get(coefficient.name)
  if coefficient.value < 0:
    ends.reverse()
    kinds = kinds and kinds[::-1]
  verb = f'prefer {kinds[0]}' if kinds else 'lean'
  heading = f'{coefficient.certainty:.0%} sure: you {verb}'
  value = f'{abs(coefficient.value):.1f} ± {coefficient.error:.1f}'
  return Leaning(f'{heading} [{value}]', *ends)
