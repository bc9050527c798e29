"""Converts a fitted or adapted method to `export.Model`.

`jax.export` converts the program of a state to StableHLO for any number of
users. The arrays are not part of the program but of the safetensors file.
"""

from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from hyperrec import export
from hyperrec import method as method_lib
from hyperrec import program as program_lib

# Programs compute in 32 bits.
_NARROW = {'float64': np.float32, 'int64': np.int32, 'uint64': np.uint32}


def of(
  method: method_lib.Model | method_lib.Method,
  state: Any,
  counts: Float[np.ndarray, ' V'] | None = None,
) -> export.Model:
  """Converts a state, as `fit` or an adaptation made it.

  Args:
    method: the model whose state it is, or that model under a policy.
    state: the state that the model scores with.
    counts: number of interactions of each item, by which items are ranked for
      users with empty histories; None takes what the state knows.

  Raises:
    ExportError: the model or the state cannot be exported; the message says
      why.
    InsufficientMemoryError: the weights of a graph filter do not fit.
  """
  model = method.model if isinstance(method, method_lib.Method) else method
  if isinstance(state, method_lib.Part):
    raise export.ExportError(
      f'{model.name} knows only some items of this catalogue; export the state '
      'of its part with the ids of the items of that part'
    )
  if model.program is None:
    raise export.ExportError(
      f'{model.name} cannot be exported: its scores are no function of tensors '
      'and a history alone'
    )
  try:
    program = model.program(state)
  except method_lib.CannotServe as error:
    raise export.ExportError(
      f'{model.name} cannot be exported: {error}'
    ) from error
  made = _exported(program)
  return made._replace(counts=program.counts if counts is None else counts)


def _exported(program: program_lib.Program) -> export.Model:
  """Exports the function; the path of each array becomes its name."""
  leaves, structure = jax.tree_util.tree_flatten_with_path(program.params)
  tensors = {
    jax.tree_util.keystr(path, simple=True, separator='.'): _narrow(leaf)
    for path, leaf in leaves
  }
  names = list(tensors)

  def named(tensors, items_BxL, mask_BxL):
    own = jax.tree_util.tree_unflatten(structure, [tensors[n] for n in names])
    return program.score(own, items_BxL, mask_BxL)

  width = 'l' if program.length is None else str(program.length)
  shape = jax.export.symbolic_shape(f'b, {width}')
  exported = jax.export.export(jax.jit(named), platforms=program.platforms)(
    {n: jax.ShapeDtypeStruct(t.shape, t.dtype) for n, t in tensors.items()},
    jax.ShapeDtypeStruct(shape, jnp.int32),
    jax.ShapeDtypeStruct(shape, jnp.bool_),
  )
  return export.Model(
    program.kind, tensors, bytes(exported.serialize()), program.length
  )


def _narrow(leaf: Any) -> np.ndarray:
  array = np.asarray(leaf)
  return array.astype(_NARROW.get(str(array.dtype), array.dtype), copy=False)
