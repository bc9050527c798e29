"""Compares our product quantization of item features with that of faiss.

  python -m experiments.vqrec.quantizer --source=scientific --data_dir=DIR \
    --output=experiments/vqrec/results/quantizer/scientific.json

Plain and optimised quantization are measured; the optimised one rotates the
features first. As in the paper, there are 32 groups of 256 codes. The error is
the mean squared error divided by the variance of the features. The extra `test`
installs faiss; without faiss, only our quantization is measured.
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
_SEED = script.define_seed('seed', 'Seed of the initial centroids.')
_OUTPUT = flags.DEFINE_string(
  'output',
  None,
  'JSON file that is written; by default results/vqrec/quantizer/NAME.json.',
)


def main(argv):
  """Measures both quantizers, and writes the file."""
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
  """Measures the error, the use of codes and the seconds of our quantizer."""
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
  """Measures the error and the seconds of faiss's quantizer by its defaults."""
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
