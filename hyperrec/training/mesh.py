"""Many devices, many hosts: the only sharding code.

A script opens a mesh around what it does:

    with mesh.use(num_items=2):
      fitted = sasrec.fit(config, data, key)

and `loop.train` lays its state and its batches on it. The mesh has two axes:
'data' cuts batches by rows, 'items' cuts large tables (embeddings, output
layers, their optimizer moments) along their longest axis. XLA adds the
communication, so that a step computes what it computes on one device.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

# Smallest number of elements of a table for which sharding it is worthwhile.
MIN_TABLE_SIZE = 2**14

_IN_USE: contextvars.ContextVar[Mesh | None] = contextvars.ContextVar(
  'mesh', default=None
)


class MeshError(ValueError):
  """Devices that cannot be laid out as asked."""


def initialize(
  coordinator: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
) -> None:
  """Joins the processes of a run; call it before anything else of JAX.

  On TPU pods, Slurm and GKE all three are found out by JAX.

  Args:
    coordinator: 'host:port' of process 0.
    num_processes: of the run.
    process_id: of this one.
  """
  # Processes on CPUs talk by gloo; elsewhere the setting is not looked at.
  jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  jax.distributed.initialize(coordinator, num_processes, process_id)


def is_writer() -> bool:
  """Whether this process writes files: one of a run does."""
  return jax.process_index() == 0


@contextlib.contextmanager
def use(num_items: int = 1) -> Iterator[Mesh]:
  """Lays all devices of all processes out as (data, items).

  Args:
    num_items: devices along 'items'; the others are along 'data'.

  Raises:
    MeshError: the devices cannot be cut so.
  """
  count = jax.device_count()
  if num_items < 1 or count % num_items:
    raise MeshError(
      f'{count} devices cannot be laid out with {num_items} along items; '
      f'choose a divisor of {count}'
    )
  shape = (count // num_items, num_items)
  made = jax.make_mesh(
    shape, ('data', 'items'), axis_types=(AxisType.Auto, AxisType.Auto)
  )
  # Not `jax.set_mesh`: that also binds the small jitted functions around a
  # run, whose arrays are on one device.
  token = _IN_USE.set(made)
  try:
    yield made
  finally:
    _IN_USE.reset(token)


def current() -> Mesh | None:
  """The mesh that is in use; None without one."""
  return _IN_USE.get()


def place_state(mesh: Mesh, tree: Any) -> Any:
  """Large tables cut along 'items', everything else on every device."""
  return jax.tree.map(lambda leaf: _put(leaf, _of_table(mesh, leaf)), tree)


def place_batch(mesh: Mesh, tree: Any) -> Any:
  """Rows cut along 'data'; what does not divide is on every device.

  Every process gives the whole batch, and keeps its part.
  """

  def put(leaf):
    leaf = np.asarray(leaf)
    cut = leaf.ndim > 0 and len(leaf) > 0 and not len(leaf) % mesh.shape['data']
    spec = PartitionSpec('data') if cut else PartitionSpec()
    return _put(leaf, NamedSharding(mesh, spec))

  return jax.tree.map(put, tree)


def make_rows(
  mesh: Mesh,
  shape: tuple[int, int],
  rows: Callable[[int, int], np.ndarray],
) -> jax.Array:
  """A matrix whose rows lie over all devices, each made where it is to lie.

  Args:
    mesh: of the devices, whose number divides the rows.
    shape: of the matrix.
    rows: (first, last) -> these rows, the last left out.
  """

  def part(index):
    first, last, _ = index[0].indices(shape[0])
    return rows(first, last)

  return jax.make_array_from_callback(shape, _by_rows(mesh), part)


def map_rows(
  mesh: Mesh, of_device: Callable[[jax.Array], jax.Array]
) -> Callable[[jax.Array], jax.Array]:
  """A function of a matrix of `make_rows`: each device maps its own rows.

  Args:
    mesh: of the devices.
    of_device: own rows -> own rows; may talk along all axes of the mesh.
  """
  spec = _by_rows(mesh).spec
  return jax.shard_map(of_device, mesh=mesh, in_specs=spec, out_specs=spec)


def collect(mesh: Mesh, tree: Any) -> Any:
  """The same arrays whole on one device of this process."""
  everywhere = NamedSharding(mesh, PartitionSpec())
  whole = jax.jit(lambda t: t, out_shardings=everywhere)(tree)
  return jax.tree.map(lambda leaf: leaf.addressable_data(0), whole)


def _by_rows(mesh: Mesh) -> NamedSharding:
  return NamedSharding(mesh, PartitionSpec(mesh.axis_names, None))


def _of_table(mesh: Mesh, leaf: jax.Array) -> NamedSharding:
  spec = [None] * leaf.ndim
  if leaf.ndim > 1 and leaf.size >= MIN_TABLE_SIZE:
    longest = int(np.argmax(leaf.shape))
    if leaf.shape[longest] % mesh.shape['items'] == 0:
      spec[longest] = 'items'
  return NamedSharding(mesh, PartitionSpec(*spec))


def _put(leaf: Any, sharding: NamedSharding) -> jax.Array:
  """An array of which every process holds the whole, and keeps its part."""
  if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(
    leaf.dtype, jax.dtypes.prng_key
  ):
    everywhere = NamedSharding(sharding.mesh, PartitionSpec())
    raw = _put(jax.random.key_data(leaf), everywhere)
    return jax.random.wrap_key_data(raw, impl=jax.random.key_impl(leaf))
  leaf = np.asarray(leaf)
  return jax.make_array_from_callback(
    leaf.shape, sharding, lambda index: leaf[index]
  )
