"""Templates, what they take, and the arrays that they become."""

import numpy as np
import pytest

from hyperrec.data import interactions
from hyperrec.systems.p5 import prompts, tokenizer

pytest.importorskip('sentencepiece')
FIELDS = frozenset().union(*(t.fields for t in prompts.TEMPLATES))


@pytest.fixture(scope='module')
def pieces():
  texts = [f'{t.source} {t.target}' for t in prompts.TEMPLATES] * 5
  texts = [text.replace('{', '').replace('}', '') for text in texts]
  return tokenizer.train(texts, 500)


@pytest.fixture(scope='module')
def writer(pieces):
  return prompts.Writer(pieces, 20, 6)


def text_values(pieces, **texts):
  encode = pieces.encode
  return {
    name: [encode(part) for part in text]
    if isinstance(text, list)
    else encode(text)
    for name, text in texts.items()
  }


@pytest.mark.parametrize('family', prompts.FAMILIES)
def test_families_have_several_wordings_and_one_held_out(family):
  own = [t for t in prompts.TEMPLATES if t.family == family]
  assert [t.seen for t in own].count(False) == 1
  assert len(own) >= 4
  assert len({t.source for t in own}) == len({t.name for t in own}) == len(own)


def test_all_templates_where_all_is_known():
  chosen, skipped = prompts.usable(prompts.FAMILIES, FIELDS)
  assert len(chosen) == len(prompts.TEMPLATES)
  assert skipped == {}


def test_families_are_skipped_by_name_for_want_of_fields():
  known = frozenset(['item', 'history', 'user', 'candidates', 'other', 'taken'])
  chosen, skipped = prompts.usable(prompts.FAMILIES, known)
  assert {t.family for t in chosen} == {'sequential', 'direct'}
  assert set(skipped) == {'rating', 'explanation', 'review'}
  assert 'attributes' in skipped['explanation']
  assert 'rating' in skipped['rating']


@pytest.mark.parametrize(
  ('families', 'message'),
  [(('poetry',), "family='poetry' is unknown"), (('rating',), 'no family of')],
)
def test_no_family_is_left(families, message):
  with pytest.raises(interactions.DataError, match=message):
    prompts.usable(families, frozenset(['item']))


def test_a_prompt_reads_as_its_template(pieces, writer):
  template = prompts.Template('x-1', 'user {user} has {history} .', 'it {item}')
  values = text_values(
    pieces, user='0102', history=['0304', '0506'], item='0708'
  )
  source, target = (
    part(template, values) for part in (writer.source, writer.target)
  )
  assert source[-1] == target[-1] == tokenizer.EOS
  assert pieces.decode(source) == 'user 0102 has 0304 0506 .'
  assert pieces.decode(target) == 'it 0708'


def test_of_a_long_history_the_oldest_is_lost_and_said(pieces, writer, caplog):
  template = prompts.Template('cut-1', 'user {user} has {history}', '{item}')
  history = [f'{n:04d}' for n in range(30)]
  values = text_values(pieces, user='0102', history=history, item='0001')
  source = writer.source(template, values)
  assert len(source) <= 20
  text = pieces.decode(source)
  assert text.startswith('user 0102 has ')
  kept = text.split()[3:]
  assert kept == history[-len(kept) :]
  assert len(kept) >= 5
  writer.source(template, values)
  said = [r.message for r in caplog.records if 'prompts of cut-1' in r.message]
  assert len(said) == 1
  assert 'source_length=20 tokens: the oldest items' in said[0]


def test_a_long_text_is_cut_and_ended(pieces, writer):
  template = prompts.Template('x-1', '{title}', '{title}')
  values = text_values(pieces, title='user ' * 50)
  assert len(writer.source(template, values)) == 20
  target = writer.target(template, values)
  assert len(target) == 6
  assert target[-1] == tokenizer.EOS


def test_arrays_of_a_batch(pieces, writer):
  template = prompts.Template('x-1', 'user {user} has {history}', '{item}')
  values = text_values(pieces, user='0102', history=['0304'], item='0506')
  source = writer.source(template, values)
  target = writer.target(template, values)
  batch = writer.batch([source, source[:3]], [target, target])
  assert batch.tokens.shape == batch.whole.shape == batch.mask.shape == (2, 20)
  assert batch.inputs.shape == batch.targets.shape == (2, 6)
  np.testing.assert_array_equal(batch.mask.sum(axis=1), [len(source), 3])
  np.testing.assert_array_equal(
    batch.inputs[0, 1 : len(target)], batch.targets[0, : len(target) - 1]
  )
  assert batch.inputs[0, 0] == tokenizer.PAD
  assert batch.target_mask[0].sum() == len(target)


def test_a_batch_may_be_as_short_as_its_prompts(pieces, writer):
  template = prompts.Template('x-1', '{history}', '{item}')
  values = text_values(pieces, history=['0304'], item='0506')
  source = writer.source(template, values)
  target = writer.target(template, values)
  whole = writer.batch([source, source[:2]], [target, target])
  short = writer.batch([source, source[:2]], [target, target], shortest=True)
  assert short.tokens.shape == (2, 4)
  assert short.targets.shape == (2, 4)
  for part, full in zip(short, whole, strict=True):
    np.testing.assert_array_equal(part, full[:, :4])
    assert not full[:, 4:].any()


@pytest.mark.parametrize(
  ('length', 'room'), [(0, 4), (4, 4), (5, 8), (16, 16), (17, 32)]
)
def test_room_for_a_length(length, room):
  assert prompts.roomy(length) == room


def test_tokens_of_one_number_are_one_word(pieces, writer):
  template = prompts.Template('x-1', 'user {user} has {history}', '{item}')
  values = text_values(
    pieces, user='010203', history=['0405', '0607'], item='00'
  )
  batch = writer.batch([writer.source(template, values)])
  words = {}
  for token, word in zip(batch.tokens[0], batch.whole[0], strict=True):
    words.setdefault(int(word), []).append(int(token))
  texts = [pieces.decode(words[n]) for n in range(1, len(words))]
  assert texts == ['user', '010203', 'has', '0405', '0607']
  assert set(words[0]) == {tokenizer.EOS, tokenizer.PAD}
