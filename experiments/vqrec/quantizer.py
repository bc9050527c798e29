"""Product quantization of item text, and faiss's of the same vectors.

  python -m experiments.vqrec.quantizer --source=scientific --data_dir=DIR \
    --output=experiments/vqrec/results/quantizer/scientific.json

Plain and optimised (a rotation first), the setting of the paper: 32 groups of
256 codes. The error is the mean squared one relative to the vectors' variance.
faiss comes with the extra `test`; without it our side alone is measured.
"""

import importlib.metadata
import importlib.util
import json
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jaxtyping import Float

from experiments import script, source_flags
from experiments.vqrec import item_tables
from hyperrec.systems.vqrec import product_quantizer

_NUM_GROUPS = flags.DEFINE_integer(
  'num_groups',
  32,
  'Number of codes of an item, one in each group.',
  lower_bound=1,
)
_NUM_CODES = flags.DEFINE_integer(
  'num_codes',
  256,
  'Number of codes in each group, a power of 2.',
  lower_bound=1,
)
_SEED = script.define_seed('seed', 'Seed of the first centroids.')
_OUTPUT = flags.DEFINE_string(
  'output',
  None,
  'JSON file that is written; default results/vqrec/quantizer/NAME.json.',
)


def main(argv):
  """Measures both, and writes the file."""
  del argv
  data = source_flags.load()
  (table,) = item_tables.of([data])
  table = table.astype(np.float32) - table.mean(axis=0, dtype=np.float32)
  document = {
    'dataset': data.name,
    'items': len(table),
    'text_encoder': item_tables.encoder_name(),
    'plain': measured(table, rotate=False),
    'optimised': measured(table, rotate=True),
    'flags': script.script_flags(),
    **script.provenance(),
  }
  if importlib.util.find_spec('faiss'):
    document['faiss'] = {
      'plain': faiss_error(table, rotate=False),
      'optimised': faiss_error(table, rotate=True),
      'version': importlib.metadata.version('faiss-cpu'),
    }
  name = data.name.replace('/', '_').lower()
  script.write_document(
    document,
    _OUTPUT.value or f'results/vqrec/quantizer/{name}.json',
  )
  print(json.dumps(document, indent=2))


def measured(table: Float[np.ndarray, 'V F'], *, rotate: bool):
  """Error, use of codes and seconds of one quantizer."""
  start = time.perf_counter()
  made = product_quantizer.fit(
    jax.random.key(_SEED.value),
    table,
    num_groups=_NUM_GROUPS.value,
    num_codes=_NUM_CODES.value,
    rotate=rotate,
  )
  codes = np.asarray(product_quantizer.encode(made, jnp.asarray(table)))
  seconds = time.perf_counter() - start
  found = np.asarray(product_quantizer.decode(made, codes))
  bits = product_quantizer.entropy_bits(codes, _NUM_CODES.value)
  return {
    'error': _relative_error(table, found),
    'entropy_bits': {'mean': float(bits.mean()), 'min': float(bits.min())},
    'collision_share': product_quantizer.collision_share(codes),
    'seconds': seconds,
  }


def faiss_error(table: Float[np.ndarray, 'V F'], *, rotate: bool):
  """Error and seconds of faiss's quantizer with its own defaults."""
  import faiss

  faiss.omp_set_num_threads(1)
  start = time.perf_counter()
  vectors = np.ascontiguousarray(table)
  if rotate:
    rotation = faiss.OPQMatrix(vectors.shape[1], _NUM_GROUPS.value)
    rotation.pq = _faiss_quantizer(vectors)
    rotation.train(vectors)
    vectors = rotation.apply(vectors)
  quantizer = _faiss_quantizer(vectors)
  quantizer.train(vectors)
  found = quantizer.decode(quantizer.compute_codes(vectors))
  seconds = time.perf_counter() - start
  return {'error': _relative_error(vectors, found), 'seconds': seconds}


def _faiss_quantizer(vectors):
  import faiss

  bits = _NUM_CODES.value.bit_length() - 1
  return faiss.ProductQuantizer(vectors.shape[1], _NUM_GROUPS.value, bits)


def _relative_error(vectors, found) -> float:
  spread = np.square(vectors - vectors.mean(axis=0)).sum()
  return float(np.square(vectors - found).sum() / spread)


if __name__ == '__main__':
  script.run(main)
