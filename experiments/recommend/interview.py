"""Asks a person which of two items she prefers, and recommends.

  python -m experiments.recommend.interview
  python -m experiments.recommend.interview --source=table --path=my.csv \
    --rating_column=stars --text_columns=title --questions=10 --k=10

PReF learns from the ratings of others (`hyperrec/systems/pref`). The answers
may also come from a file or a pipe, one on each line.
"""

import sys

from absl import flags, logging

from experiments import config_flags, script, source_flags
from experiments.pref import people
from experiments.recommend import dialogue, learning
from hyperrec.systems.pref import pref

_QUESTIONS = flags.DEFINE_integer(
  'questions',
  10,
  'Largest number of questions.',
  lower_bound=1,
  upper_bound=1000,
)
_K = flags.DEFINE_integer(
  'k', 10, 'Number of items to recommend.', lower_bound=1
)
_POOL = flags.DEFINE_integer(
  'pool',
  150,
  'Number of the most rated items that may be asked about.',
  lower_bound=2,
  upper_bound=2000,
)
_MIN_ROWS = flags.DEFINE_integer(
  'min_rows',
  5,
  'Items that fewer users rated are left out.',
  lower_bound=0,
)
# By default the data tell which ratings count as liked.
_CONFIG = config_flags.define(pref.PrefConfig(), leave_out=['liked'])
_LIKED = flags.DEFINE_float(
  'liked',
  None,
  'Least rating of an item that counts as liked, such as 4. By default the '
  'upper quarter of the scale counts, from the least to the largest rating.',
)


def main(argv):
  """Learns from the data, holds the interview, and prints its result."""
  del argv
  if logging.get_verbosity() == logging.INFO:
    logging.set_verbosity(logging.WARNING)  # a person reads the terminal
  try:
    data = source_flags.load()
    learning.titles(data)  # fails before anything is learned
    liked = _LIKED.value
    if liked is None and data.ratings is not None:
      liked = people.least_liked(data)
    kept = learning.rated_items(data, _MIN_ROWS.value)
    if kept.num_items < data.num_items:
      print(
        f'{data.num_items - kept.num_items} of {data.num_items} items are left '
        f'out, since fewer than {_MIN_ROWS.value} users rated them '
        '(--min_rows).'
      )
    print('Learning what people like ...', flush=True)
    session = learning.learn(
      kept,
      _CONFIG.value(liked=liked),
      num_questions=_QUESTIONS.value,
      num_pool=_POOL.value,
    )
    if sys.stdin is not None:
      sys.stdin.reconfigure(errors='replace')
    dialogue.hold(session, _K.value, read=_read_line)
  except KeyboardInterrupt:
    print('\nStopped.')
    return 130
  return 0


def _read_line(prompt: str) -> str:
  """Reads a line, and prints it if it does not come from a terminal."""
  if sys.stdin is None:
    raise EOFError
  if sys.stdin.isatty():
    return input(prompt)
  line = input(prompt)
  print(line)
  return line


if __name__ == '__main__':
  script.run(main)
