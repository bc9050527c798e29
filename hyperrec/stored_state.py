"""Fitted states as JSON and arrays, so that files can hold them without pickle.

    structure, tensors = pack(state)             # write as JSON and safetensors
    state = unpack(structure, tensors, STATES)   # after they have been read

`structure` is a tree of JSON values. None, booleans, finite numbers and text
stand for themselves. Every other node is an object with a `kind`: a list, a
tuple, a dict, a tensor, or a record, which is an object of a class with its
fields. The values of a tensor are in `tensors`, under the place of the tensor
in the state, as "state.params['logits']['bias']".

Only classes that the caller of `unpack` lists can be built: nothing that a file
says is imported or executed.
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

Tensors = dict[str, np.ndarray]

_ROOT = 'state'
_PLAIN = (bool, int, float, str)
_SEQUENCES = {'list': list, 'tuple': tuple}
_SPARSE = {
  'csr_matrix': scipy.sparse.csr_matrix,
  'csc_matrix': scipy.sparse.csc_matrix,
}
# What every version of safetensors can write.
_DTYPES = {
  *('bool', 'float16', 'float32', 'float64'),
  *(f'{sign}int{bits}' for sign in ('', 'u') for bits in (8, 16, 32, 64)),
}
# Floats that JSON does not know.
_SPECIAL = {'inf': math.inf, '-inf': -math.inf, 'nan': math.nan}
# What constructors raise that are given wrong content.
_MALFORMED = (
  ArithmeticError,
  AttributeError,
  LookupError,
  RecursionError,
  TypeError,
  ValueError,
)


class StateError(ValueError):
  """A state cannot be stored or rebuilt; the message says where, and why."""


def class_name(cls: type) -> str:
  """The name of a class in files, as "sasrec.State"."""
  return f'{cls.__module__.rpartition(".")[2]}.{cls.__qualname__}'


def pack(state: Any) -> tuple[Any, Tensors]:
  """Separates a state into its structure and its tensors.

  Args:
    state: lists, tuples, dicts with text as keys, named tuples, frozen
      dataclasses and sparse matrices, in any depth; in them None, booleans,
      numbers, text, bytes, and arrays of NumPy and JAX. Arrays hold numbers or
      text; arrays of Python objects hold anything of the above.

  Returns:
    The structure and the tensors. These may share memory with the state.

  Raises:
    StateError: the state holds something else, such as a function.
  """
  tensors: Tensors = {}
  try:
    return _pack(state, _ROOT, tensors), tensors
  except RecursionError as error:
    raise StateError(
      'the state contains itself or is nested too deeply; keep it flat'
    ) from error


def unpack(structure: Any, tensors: Tensors, known: Iterable[type]) -> Any:
  """Rebuilds a state.

  Args:
    structure: the structure that `pack` returned.
    tensors: the tensors that `pack` returned; the state may share memory with
      them.
    known: the classes that may be built, no two of which have one `class_name`.

  Raises:
    StateError: the structure is malformed, names another class, or does not
      describe exactly these tensors.
  """
  builders = _BUILDERS | {class_name(cls): cls for cls in known}
  left = dict(tensors)
  state = _unpack(structure, _ROOT, left, builders)
  if left:
    raise StateError(f'no part of the state is {min(left)}; save it again')
  return state


def _pack(value: Any, where: str, tensors: Tensors) -> Any:
  """Returns the node of a value, and adds its arrays to `tensors`."""
  cls = type(value)
  is_special = cls is float and not math.isfinite(value)
  if value is None or (cls in _PLAIN and not is_special):
    return value
  if cls in _SEQUENCES.values():
    items = [
      _pack(item, f'{where}[{i}]', tensors) for i, item in enumerate(value)
    ]
    return {'kind': cls.__name__, 'items': items}
  if cls is dict and all(type(key) is str for key in value):
    items = {k: _pack(v, f'{where}[{k!r}]', tensors) for k, v in value.items()}
    return {'kind': 'dict', 'items': items}
  if cls is np.ndarray and str(value.dtype) in _DTYPES and _is_by_rows(value):
    tensors[where] = np.asarray(value, order='C')
    shape, dtype = list(value.shape), str(value.dtype)
    return {'kind': 'tensor', 'shape': shape, 'dtype': dtype}
  name, fields = _take_apart(value, where)
  fields = {k: _pack(v, f'{where}.{k}', tensors) for k, v in fields.items()}
  return {'kind': 'record', 'class': name, 'fields': fields}


def _take_apart(value: Any, where: str) -> tuple[str, dict[str, Any]]:
  """Returns the name in `builders` of what rebuilds a value, and its fields."""
  cls = type(value)
  dtype = getattr(value, 'dtype', None)
  is_numeric = str(dtype) in _DTYPES
  names = _field_names(cls)
  apart = None
  if names is not None:
    name = cls.__name__ if cls in _SPARSE.values() else class_name(cls)
    apart = name, {name: getattr(value, name) for name in names}
  elif cls is float:
    apart = 'float', {'text': str(value)}
  elif cls is bytes:
    apart = 'bytes', {'values': np.frombuffer(value, np.uint8)}
  elif is_numeric and isinstance(value, jax.Array):
    apart = 'jax', {'values': np.asarray(value)}
  elif is_numeric and isinstance(value, np.generic):
    apart = 'numpy_scalar', {'values': np.asarray(value)}
  elif is_numeric and cls is np.ndarray:
    apart = 'by_columns', {'transposed': value.T}
  elif cls is np.ndarray and dtype.kind in 'OU':
    name = 'objects' if dtype.kind == 'O' else 'text'
    apart = name, {'shape': value.shape, 'items': value.ravel().tolist()}
  if apart is None:
    what = ' with other keys than text' if cls is dict else ''
    what = f' of {dtype}' if dtype is not None else what
    raise StateError(
      f'{where} is of the type {cls.__qualname__}{what}, which cannot be '
      'stored; keep a state in numbers, text, arrays, lists, tuples, dicts, '
      'sparse matrices, named tuples and frozen dataclasses'
    )
  return apart


def _field_names(cls: type) -> tuple[str, ...] | None:
  """What an object of the class is built from; None for other classes."""
  if cls in _SPARSE.values():
    return 'data', 'indices', 'indptr', 'shape'
  if issubclass(cls, tuple) and hasattr(cls, '_fields'):
    return cls._fields
  if dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen:
    return tuple(field.name for field in dataclasses.fields(cls))
  return None


def _is_by_rows(array: np.ndarray) -> bool:
  """False in Fortran's order, in which products of matrices round otherwise."""
  return array.flags.c_contiguous or not array.flags.f_contiguous


def _unpack(
  node: Any, where: str, tensors: Tensors, builders: dict[str, Any]
) -> Any:
  """Returns the value of a node, and takes its arrays out of `tensors`."""
  if node is None or type(node) in _PLAIN:
    return node
  try:
    match node:
      case {'kind': 'list' | 'tuple' as kind, 'items': [*items]}:
        return _SEQUENCES[kind](
          _unpack(item, f'{where}[{i}]', tensors, builders)
          for i, item in enumerate(items)
        )
      case {'kind': 'dict', 'items': {**items}}:
        return {
          k: _unpack(v, f'{where}[{k!r}]', tensors, builders)
          for k, v in items.items()
        }
      case {'kind': 'tensor', 'shape': [*shape], 'dtype': dtype}:
        if where not in tensors:
          raise ValueError('its tensor is missing')
        tensor = tensors.pop(where)
        found = list(tensor.shape), str(tensor.dtype)
        if found != (shape, dtype):
          raise ValueError(f'it is {found} in place of {(shape, dtype)}')
        return tensor
      case {'kind': 'record', 'class': name, 'fields': {**fields}}:
        if name not in builders:
          raise ValueError(f'the class {name} is not one that may be built')
        parts = {
          k: _unpack(v, f'{where}.{k}', tensors, builders)
          for k, v in fields.items()
        }
        return builders[name](**parts)
    raise ValueError('unknown kind of node')
  except StateError:
    raise
  except _MALFORMED as e:
    raise StateError(
      f'{where} cannot be rebuilt ({e}); save the state again'
    ) from e


def _jax(values: np.ndarray) -> jax.Array:
  array = jnp.asarray(values)
  if array.dtype != values.dtype:
    raise StateError(
      f'JAX makes arrays of {values.dtype} only with the option '
      'jax_enable_x64, with which the state was saved; set it'
    )
  return array


def _sparse(cls: type):
  def build(data, indices, indptr, shape):
    matrix = cls((data, indices, indptr), shape)
    matrix.check_format(full_check=True)
    return matrix

  return build


# What makes the records of classes that are not the project's own.
_BUILDERS = {
  'float': lambda text: _SPECIAL[text],
  'bytes': lambda values: values.tobytes(),
  'jax': _jax,
  'numpy_scalar': lambda values: values[()],
  'by_columns': lambda transposed: transposed.T,
  'objects': lambda shape, items: np.fromiter(
    items, object, len(items)
  ).reshape(shape),
  'text': lambda shape, items: np.array(items, str).reshape(shape),
  **{name: _sparse(cls) for name, cls in _SPARSE.items()},
}
