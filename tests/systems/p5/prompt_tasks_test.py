"""What fills a prompt: of the row alone, and of what came before it."""

import dataclasses
import itertools

import numpy as np
import pytest

from hyperrec.data import interactions
from hyperrec.systems.p5 import prompt_tasks, prompts, tokenizer
from tests.makers import make_data

pytest.importorskip('sentencepiece')


def made(**changes):
  data = make_data()
  ratings = np.random.default_rng(0).integers(1, 11, size=len(data)) / 2
  text = np.array(
    [f'Mr. Item no {i}. Kind{i % 3} Sort{i % 2}' for i in range(30)], object
  )
  return dataclasses.replace(
    data, **{'ratings': ratings, 'item_text': text, **changes}
  )


@pytest.fixture(scope='module')
def pieces():
  return tokenizer.train(prompt_tasks.corpus(made()), 400)


def tasks_of(data, pieces, *, user_seed=0, **config):
  numbers = np.arange(data.num_items)
  names = [pieces.encode(n) for n in prompt_tasks.item_names(numbers)]
  config = prompt_tasks.PromptConfig(**config)
  return prompt_tasks.Tasks(data, names, pieces, config, user_seed=user_seed)


def numbers(pieces, tokens):
  return [int(n) for n in pieces.decode(list(itertools.chain(*tokens))).split()]


@pytest.mark.parametrize(
  ('text', 'parts'),
  [
    ('Toy Story (1995). Comedy Drama', ('Toy Story (1995)', 'Comedy Drama')),
    ('Dr. No (1962). Action', ('Dr. No (1962)', 'Action')),
    ('Fallout 4', ('Fallout 4', '')),
    ('', ('', '')),
  ],
)
def test_titles_and_attributes(text, parts):
  assert prompt_tasks.split_text(text) == parts


def test_every_template_is_filled_in(pieces):
  tasks = tasks_of(made(), pieces)
  chosen, skipped = prompts.usable(prompts.FAMILIES, tasks.fields)
  assert len(chosen) == len(prompts.TEMPLATES)
  assert not skipped
  writer = prompts.Writer(pieces, 80, 12)
  values = tasks.draw(np.random.default_rng(0))
  for template in chosen:
    tokens = writer.source(template, values) + writer.target(template, values)
    assert tokenizer.UNKNOWN not in tokens


@pytest.mark.parametrize(
  ('lacking', 'fields'),
  [
    ('ratings', {'rating', 'liked'}),
    ('item_text', {'title', 'attributes', 'feature'}),
  ],
)
def test_what_the_data_lacks_is_no_field(pieces, lacking, fields):
  everything = tasks_of(made(), pieces).fields
  found = tasks_of(made(**{lacking: None}), pieces).fields
  assert everything - found == fields
  assert 'user' not in tasks_of(made(), pieces, user_seed=None).fields


def test_a_history_is_what_came_before_the_item(pieces):
  """Never the item itself, and nothing later."""
  data = made()
  tasks = tasks_of(data, pieces, max_history=5, empty_share=0.0)
  ordered = data.by_user_and_time()
  sequences = [
    ordered.items[ordered.users == user].tolist() for user in range(40)
  ]
  random = np.random.default_rng(0)
  order = np.random.default_rng(0).permutation(data.num_users)
  for _ in range(200):
    values = tasks.draw(random)
    user = int(np.flatnonzero(order == int(pieces.decode(values['user'])))[0])
    item = int(pieces.decode(values['item']))
    place = sequences[user].index(item)
    expected = sequences[user][max(0, place - 5) : place]
    shown = values['history']
    found = numbers(pieces, shown) if place else []
    assert found == expected


def test_a_shuffled_history_is_of_the_users_other_items(pieces):
  data = made()
  tasks = tasks_of(data, pieces, shuffled=True, empty_share=0.0)
  names = {tuple(name): item for item, name in enumerate(tasks.names)}
  owners = data.csr().tolil().rows
  is_known = []
  for seed in range(60):
    values = tasks.draw(np.random.default_rng(seed))
    shown = [names.get(tuple(name)) for name in values['history']]
    if shown == [None]:
      continue
    item = names[tuple(values['item'])]
    assert item not in shown
    assert any({item, *shown} <= set(items) for items in owners)
    later = data.timestamps[data.items == item].min()
    is_known.append(any(data.timestamps[data.items == s].max() > later
                        for s in shown))  # fmt: skip
  assert any(is_known)


def test_some_histories_are_shown_as_empty(pieces):
  tasks = tasks_of(made(), pieces, empty_share=1.0)
  values = tasks.draw(np.random.default_rng(0))
  assert pieces.decode(values['history'][0]) == 'nothing'
  assert tasks.history([]) == values['history']


def test_answers_are_true(pieces):
  data = made()
  tasks = tasks_of(data, pieces, num_candidates=4)
  rows = tasks.data
  answers = set()
  for seed in range(40):
    values = tasks.values(seed, [], np.random.default_rng(seed))
    item = tasks.names[rows.items[seed]]
    assert item in values['candidates']
    assert len(values['candidates']) == 4
    taken = pieces.decode(values['taken'])
    answers.add(taken)
    if taken == 'yes':
      assert values['other'] == item
    rating = float(rows.ratings[seed])
    assert float(pieces.decode(values['rating'])) == rating
    assert pieces.decode(values['liked']) == ('yes' if rating >= 4 else 'no')
    attributes = pieces.decode(values['attributes']).split()
    assert pieces.decode(values['feature']) in attributes
  assert answers == {'yes', 'no'}


def test_prompts_are_a_function_of_its_seed_and_leaves_out_unseen(pieces):
  tasks = tasks_of(made(), pieces)
  writer = prompts.Writer(pieces, 64, 16)
  draw = lambda templates, seed: prompt_tasks.draw_prompts(  # noqa: E731
    tasks, writer, templates, 32, np.random.default_rng(seed)
  )
  first, again, other = (draw(prompts.TEMPLATES, s) for s in (0, 0, 1))
  assert len(first) == 32
  assert first == again != other
  seen = tuple(t for t in prompts.TEMPLATES if t.seen)
  assert first == draw(seen, 0)


@pytest.mark.parametrize('user', [-1, 40])
def test_an_unknown_user_is_named(pieces, user):
  with pytest.raises(interactions.DataError, match=f'user={user} is none of'):
    tasks_of(made(), pieces).user(user)


def test_users_without_numbers(pieces):
  with pytest.raises(interactions.DataError, match='none of the 0 users'):
    tasks_of(made(), pieces, user_seed=None).user(0)


def test_data_that_cannot_be_asked_about(pieces):
  with pytest.raises(interactions.DataError, match='no interaction'):
    tasks_of(made().rows([]), pieces)
  with pytest.raises(interactions.DataError, match='1 names for 30 items'):
    prompt_tasks.Tasks(made(), [[5]], pieces, prompt_tasks.PromptConfig())
