"""The cases in which a recommender serves, and the methods that can win there.

A case is a regime in the words of someone with a file. Its methods are those
that have won or come close in the experiments of this repository and that a
machine without an accelerator fits in minutes, from the cheapest to the
costliest.
"""

from typing import NamedTuple

from hyperrec.data import description as description_lib

Description = description_lib.Description


class Case(NamedTuple):
  """A situation in which items are recommended.

  Attributes:
    regime: the regime that tries it.
    title: who or what is served.
    unit: what the budgets count.
    budgets: amounts of evidence that are tried.
    methods: names of methods, the cheapest first.
  """

  regime: str
  title: str
  unit: str
  budgets: tuple[int, ...]
  methods: tuple[str, ...]


class Word(NamedTuple):
  """A method in a sentence for people who do not know its name.

  Attributes:
    text: what it does.
    reads_text: whether it needs the items' text.
  """

  text: str
  reads_text: bool = False


WORDS = {
  'popularity': Word('recommends the items with most interactions to everyone'),
  'itemknn': Word('looks for items with the same users as those of the user'),
  'ease': Word(
    'learns in one step, for each item, how much every other item speaks for it'
  ),
  'ease:popularity': Word('EASE, with popularity added to its scores'),
  'ease:retrain': Word('EASE, fitted again on all data'),
  'ease_dynamic': Word('EASE, which takes in new interactions exactly'),
  'cease': Word('EASE that also reads the text of the items', reads_text=True),
  'l3ae:kernel': Word(
    'EASE that starts from how similar the texts of the items are',
    reads_text=True,
  ),
  'mult_vae': Word('a neural network that reads which items a user has'),
  'hyperease_user': Word(
    'EASE, with a correction that a network generates for each user'
  ),
  'hyperease_user:text': Word(
    'EASE that reads text, with a correction that a network generates for each '
    'user',
    reads_text=True,
  ),
  'content_knn': Word(
    'recommends new items with texts like those of the items of a user',
    reads_text=True,
  ),
  'hyperease_item': Word(
    "generates a new item's weights from its text and those of similar items",
    reads_text=True,
  ),
}

ALL = (
  Case(
    'returning_users',
    'Users who come back',
    'interactions besides those in the data',
    (0,),
    (
      'popularity', 'itemknn', 'ease', 'cease', 'l3ae:kernel',
      'hyperease_user', 'hyperease_user:text', 'mult_vae',
    ),
  ),
  Case(
    'new_users',
    'New users',
    'interactions that a new user has shown',
    (0, 1, 5),
    (
      'popularity', 'itemknn', 'ease', 'ease:popularity', 'cease',
      'l3ae:kernel', 'hyperease_user', 'hyperease_user:text', 'mult_vae',
    ),
  ),
  Case(
    'new_items',
    'New items',
    'interactions that each new item has had',
    (0, 5),
    (
      'popularity', 'content_knn', 'hyperease_item', 'ease:retrain', 'cease',
      'l3ae:kernel',
    ),
  ),
  Case(
    'drift',
    'As time goes on',
    'tenths of the time that have passed since the training',
    (1, 3),
    ('popularity', 'itemknn', 'ease', 'ease_dynamic', 'ease:retrain'),
  ),
)  # fmt: skip


def possible(about: Description) -> tuple[list[Case], list[str]]:
  """The cases that a data set can have, with methods that can run on it.

  Args:
    about: what the data hold.

  Returns:
    The cases, and a sentence for each one that is left out.
  """
  has_text = bool(about.with_text)
  kept, left_out = [], []
  for case in ALL:
    if case.regime == 'drift' and about.order != 'times':
      left_out.append(
        f'{case.title}: not tried, since the data have no times that can be '
        'compared between users; name their column by --timestamp_column'
      )
      continue
    if case.regime == 'new_items' and not has_text:
      left_out.append(
        f'{case.title}: not tried, since the items have no text, without which '
        'nothing is known of a new item; name columns by --text_columns'
      )
      continue
    names = [n for n in case.methods if has_text or not WORDS[n].reads_text]
    # Where text is known, the generator on text takes the other one's place.
    if 'hyperease_user:text' in names:
      names.remove('hyperease_user')
    kept.append(case._replace(methods=tuple(names)))
  return kept, left_out
