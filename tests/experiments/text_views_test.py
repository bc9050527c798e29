"""Views of text: untouched sets choose nothing."""

from experiments.text_views import tables


def document(default, other):
  cell = {'width': 128, 'method': 'hyperease_item'}
  return {
    'values': [
      {'mixture': 'MiniLM, words', 'validation': default, **cell},
      {'mixture': 'words', 'validation': other, **cell},
      {'mixture': 'words', 'validation': 9.0, **cell, 'method': 'l3ae:kernel'},
    ]
  }


def test_the_mean_gain_leaves_untouched_sets_out():
  table = tables.views_table(
    {'recipes': document(0.4, 0.1), 'office': document(0.4, 0.5)},
    'hyperease_item',
  )
  head, _, default, words = table.splitlines()
  assert head == '| views | columns | office | recipes, untouched | mean gain |'
  assert default.endswith('| 0.400 | 0.400 | +0.0% |')
  assert words.endswith('| 0.500 | 0.100 | +25.0% |')
