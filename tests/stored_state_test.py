"""What may be in a state comes back from files; anything else is refused."""

import copy
import dataclasses
import json
from typing import Any, NamedTuple

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from hypothesis import strategies

from hyperrec import stored_state
from hyperrec.data import interactions
from hyperrec.systems import states
from hyperrec.systems.linear import ease
from tests import makers, storing

StateError = stored_state.StateError


class Pair(NamedTuple):
  first: Any
  second: Any = None


@dataclasses.dataclass(frozen=True)
class Point:
  x: Any
  y: Any = 0


@dataclasses.dataclass
class Open:
  x: Any


KNOWN = (Pair, Point, interactions.Interactions, ease.EaseConfig)


def returned(state, folder):
  """The state from files, after a look at whether it is the same."""
  found = storing.written_and_read(state, folder, KNOWN)
  assert type(found) is type(state)
  storing.assert_same(state, found)
  return found


@pytest.mark.parametrize(
  'value',
  [
    *(None, True, False, 0, -(2**70), 1.0, -0.0, 0.1, 1e300),
    *('', 'text', 'nan', 'inf', 'ü\n"\\', '\udc80'),
    *(b'', b'\x00\xff', (), [], {}),
    *((1, [2.0, ('three',)]), {'a': {'b.c': 1, "d['e']": None}}),
    *(float('inf'), -float('inf')),
    *(Pair(1, Pair(2)), Point((1, 2)), ease.EaseConfig(l2=3.0)),
  ],
  ids=repr,
)
def test_plain_values_come_back_equal(value, tmp_path):
  found = returned(value, tmp_path)
  assert found == value
  assert repr(found) == repr(value)  # 1 is no 1.0 and no True


def test_nan_comes_back(tmp_path):
  assert np.isnan(returned(float('nan'), tmp_path))


NARROW = ('bool', 'int8', 'uint8', 'int32', 'uint32', 'float16', 'float32')
DTYPES = (*NARROW, 'int16', 'uint16', 'int64', 'uint64', 'float64')


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('shape', [(), (0,), (3,), (0, 2), (2, 3), (2, 1, 3)])
def test_arrays_come_back(dtype, shape, tmp_path):
  size = int(np.prod(shape))
  array = (np.arange(size) - 1).astype(dtype).reshape(shape)
  for given in (array, array.T, array[..., ::-1] if shape else array):
    found = returned(given, tmp_path)
    np.testing.assert_array_equal(found, given, strict=True)
  if dtype in NARROW:
    found = returned(jnp.asarray(array), tmp_path)
    assert isinstance(found, jax.Array)
    np.testing.assert_array_equal(found, array, strict=True)


def test_arrays_keep_the_order_of_memory(tmp_path):
  """Products of matrices round differently in another order."""
  array = np.arange(24.0).reshape(2, 3, 4)
  for given in (array, array.T, np.asfortranarray(array)):
    found = returned(given, tmp_path)
    assert found.flags.c_contiguous == given.flags.c_contiguous
    assert found.flags.f_contiguous == given.flags.f_contiguous


@pytest.mark.parametrize(
  'scalar', [np.float64(0.1), np.float32('nan'), np.int8(-3), np.bool_(True)]
)
def test_scalars_of_numpy_come_back(scalar, tmp_path):
  found = returned(scalar, tmp_path)
  np.testing.assert_array_equal(found, scalar, strict=True)


@pytest.mark.parametrize(
  'array',
  [
    np.array(['b', 'longer text', '']),
    np.array([['a', 'bc']]),
    np.array([], str),
    np.array(['text', None, 3, 2**70, ('a', 0.5)], object),
    np.array([], object),
    np.array([['a', 'b'], ['c', 'd']], object).T,
  ],
)
def test_arrays_of_text_and_objects_come_back(array, tmp_path):
  found = returned(array, tmp_path)
  np.testing.assert_array_equal(found, array, strict=True)


@pytest.mark.parametrize('layout', ['csr', 'csc'])
@pytest.mark.parametrize('density', [0, 0.3])
def test_sparse_matrices_come_back(layout, density, tmp_path):
  matrix = scipy.sparse.random(
    4, 7, density, layout, np.float32, random_state=np.random.default_rng(0)
  )
  matrix = {'csr': scipy.sparse.csr_matrix, 'csc': scipy.sparse.csc_matrix}[
    layout
  ](matrix)
  found = returned(matrix, tmp_path)
  assert (found.shape, found.dtype) == (matrix.shape, matrix.dtype)
  np.testing.assert_array_equal(found.toarray(), matrix.toarray())


def test_interactions_come_back(tmp_path):
  data = makers.made_domain('made', seed=0)
  found = returned(data, tmp_path)
  for field in dataclasses.fields(data):
    np.testing.assert_array_equal(
      getattr(found, field.name), getattr(data, field.name)
    )
  assert not found.users.flags.writeable


LEAVES = strategies.one_of(
  strategies.none(),
  strategies.booleans(),
  strategies.integers(),
  strategies.floats(),
  strategies.text(max_size=5),
  strategies.binary(max_size=5),
  strategies.sampled_from(DTYPES).map(lambda dtype: np.ones((2, 3), dtype).T),
)
TREES = strategies.recursive(
  LEAVES,
  lambda parts: strategies.one_of(
    strategies.lists(parts, max_size=3),
    strategies.lists(parts, max_size=3).map(tuple),
    strategies.dictionaries(strategies.text(max_size=3), parts, max_size=3),
    strategies.builds(Pair, parts, parts),
    strategies.builds(Point, parts, parts),
  ),
  max_leaves=12,
)


@hypothesis.given(TREES)
def test_any_nesting_comes_back(tree):
  structure, tensors = stored_state.pack(tree)
  structure = json.loads(json.dumps(structure, allow_nan=False))
  storing.assert_same(tree, stored_state.unpack(structure, tensors, KNOWN))


@pytest.mark.parametrize(
  ('wrong', 'told'),
  [
    (len, "state.first['at'][1] is of the type builtin_function_or_method"),
    (Open(1), 'of the type Open, which cannot be stored'),
    ({1: 'a'}, 'of the type dict with other keys than text'),
    ({1, 2}, 'of the type set'),
    (1j, 'of the type complex'),
    (np.datetime64('2020-01-01'), 'of the type datetime64 of datetime64[D]'),
    (np.zeros(2, '>f4'), 'of the type ndarray of >f4'),
    (np.array([object()]), "state.first['at'][1].items[0] is of the type obje"),
    (np.ma.zeros(2), 'of the type MaskedArray'),
    (scipy.sparse.coo_matrix((2, 2)), 'of the type coo_matrix'),
    (jnp.zeros(2, jnp.bfloat16), 'of bfloat16'),
    (jax.random.key(0), 'of key<fry>'),
    (Point, 'of the type type'),
  ],
)
def test_anything_else_is_refused_with_its_place(wrong, told):
  with pytest.raises(StateError) as error:
    stored_state.pack(Pair({'at': (0, wrong)}))
  assert told in str(error.value)
  assert "state.first['at'][1]" in str(error.value)
  assert 'keep a state in numbers' in str(error.value)


def test_a_state_that_contains_itself_is_refused():
  state = []
  state.append(state)
  with pytest.raises(StateError, match='contains itself'):
    stored_state.pack(state)


def stored():
  """A structure and its tensors, to tamper with."""
  data = makers.make_data(num_users=5, num_items=4)
  matrix = scipy.sparse.csr_matrix(np.eye(3, dtype=np.float32))
  state = {
    'pair': Pair(np.ones((2, 3)), float('inf')),
    'data': data,
    'matrix': matrix,
    'names': np.array(['a', 'b']),
    'jax': jnp.ones(2),
    'columns': np.ones((2, 3)).T,
  }
  return stored_state.pack(state)


def tuple_of(*items):
  return {'kind': 'tuple', 'items': list(items)}


@pytest.mark.parametrize(
  ('place', 'value', 'told'),
  [
    ('pair.class', 'os.system', 'os.system is not one that may be built'),
    ('pair.class', ['os'], 'unhashable'),
    ('pair.fields.third', 1, "argument 'third'"),
    ('pair.kind', 'function', 'unknown kind of node'),
    ('pair.fields', [], 'unknown kind of node'),
    ('pair.fields.second.fields.text', '1', "'1'"),
    ('pair.fields.first.shape', [3, 2], '([3, 2],'),
    ('pair.fields.first.dtype', 'int64', "'int64')"),
    ('pair', {'kind': 'list', 'items': 'ab'}, 'unknown kind of node'),
    ('pair', [1, 2], 'unknown kind of node'),
    ('data.fields.num_items', 2, 'item'),
    ('data.fields.users', 2**70, "state['data'] cannot be rebuilt"),
    ('matrix.fields.shape', tuple_of(3, 2), "state['matrix'] cannot be"),
    ('names.fields.shape', tuple_of(3), 'reshape'),
    ('names.fields.items', None, "state['names'] cannot be rebuilt"),
    ('columns.fields.transposed', 'a', "state['columns'] cannot be rebuilt"),
    ('jax.fields.values', 1, "state['jax'] cannot be rebuilt"),
  ],
)
def test_a_malformed_structure_is_refused(place, value, told):
  structure, tensors = stored()
  *above, last = place.split('.')
  node = structure['items']
  for name in above:
    node = node[name]
  node[last] = value
  with pytest.raises(StateError) as error:
    stored_state.unpack(structure, tensors, KNOWN)
  assert told in str(error.value)
  assert 'save the state again' in str(error.value)


def test_too_deep_a_structure_is_refused():
  structure = None
  for _ in range(5000):
    structure = {'kind': 'list', 'items': [structure]}
  with pytest.raises(StateError, match='save the state again'):
    stored_state.unpack(structure, {}, KNOWN)


def test_tensors_must_be_exactly_those_of_the_structure():
  structure, tensors = stored()
  less = dict(tensors)
  del less["state['pair'].first"]
  with pytest.raises(StateError, match='its tensor is missing'):
    stored_state.unpack(structure, less, KNOWN)
  more = tensors | {'state.more': np.zeros(1)}
  with pytest.raises(StateError, match=r'no part of the state is state\.more'):
    stored_state.unpack(structure, more, KNOWN)


def test_only_known_classes_are_built():
  structure, tensors = stored_state.pack(Pair(1))
  with pytest.raises(StateError, match=r'stored_state_test\.Pair is not one'):
    stored_state.unpack(structure, tensors, [Point])


def test_sparse_indices_beyond_the_matrix_are_refused():
  structure, tensors = stored()
  tensors["state['matrix'].indices"] = np.array([0, 1, 99], np.int32)
  with pytest.raises(StateError, match='save the state again'):
    stored_state.unpack(structure, tensors, KNOWN)


def test_arrays_that_jax_would_shorten_are_refused():
  structure, tensors = stored_state.pack(jnp.ones(2))
  structure['fields']['values']['dtype'] = 'float64'
  tensors = {name: t.astype(np.float64) for name, t in tensors.items()}
  with pytest.raises(StateError, match='jax_enable_x64'):
    stored_state.unpack(structure, tensors, KNOWN)


def nodes(structure):
  """The containers in a structure, with their keys."""
  if isinstance(structure, dict | list):
    keys = structure if isinstance(structure, dict) else range(len(structure))
    for key in keys:
      yield structure, key
      yield from nodes(structure[key])


JSON = strategies.recursive(
  strategies.none()
  | strategies.booleans()
  | strategies.integers()
  | strategies.floats()
  | strategies.sampled_from(['record', 'jax', 'csr_matrix', 'tensor', 'list']),
  lambda parts: (
    strategies.lists(parts, max_size=2)
    | strategies.dictionaries(
      strategies.sampled_from(['kind', 'items', 'class', 'fields']), parts
    )
  ),
  max_leaves=5,
)


@hypothesis.given(strategies.data())
@hypothesis.settings(deadline=None)
def test_whatever_is_changed_nothing_else_is_raised(data):
  structure, tensors = copy.deepcopy(stored())
  places = list(nodes(structure))
  container, key = places[data.draw(strategies.integers(0, len(places) - 1))]
  container[key] = data.draw(JSON)
  try:
    stored_state.unpack(structure, tensors, KNOWN)
  except StateError as error:
    assert 'again' in str(error) or 'set it' in str(error)


def test_classes_of_states_have_distinct_names():
  names = [stored_state.class_name(cls) for cls in states.STATES]
  assert len(set(names)) == len(names)
  assert all('.' in name and '<' not in name for name in names)
