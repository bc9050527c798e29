"""Measures three ways to rank a catalogue: tree, beam and one name at a time.

python -m experiments.p5.latency \
  --output=experiments/p5/results/latency.json

The network has the default size and random weights. Each prompt has the largest
possible length.
"""

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments import script
from hyperrec.cost import measure
from hyperrec.data import sources
from hyperrec.systems.p5 import (
  decoding,
  item_ids,
  p5,
  prefix_tree,
  prompt_tasks,
  t5,
)
from hyperrec.systems.p5 import tokenizer as tokenizer_lib

_OUTPUT = flags.DEFINE_string(
  'output', 'results/p5/latency.json', 'JSON file that is written.'
)

_SOURCE_LENGTH, _NUM_BEAMS = 96, 20
# Batch sizes: of the tree and the beam, and of one name at a time.
_BATCH, _FEW = 64, 8


def main(argv):
  """Measures all ways to rank, prints the times and writes them."""
  del argv
  data = sources.load('movielens_small')
  popular = data.take_items(
    np.argsort(-data.item_counts(), kind='stable')[:2000]
  )
  tokenizer = tokenizer_lib.train(prompt_tasks.corpus(data), 2000)
  network = p5.P5Config().t5(tokenizer.vocab_size)
  params = jax.jit(t5.init_params, static_argnums=0)(network, jax.random.key(0))
  by_text = p5.P5Config(names='text')
  rows = []
  for what, names in (
    ('2,000 numbers', numbers(tokenizer, 2_000)),
    ('50,000 numbers', numbers(tokenizer, 50_000)),
    ('2,000 titles', p5.name_items(by_text, popular, tokenizer, 0)),
  ):
    rows += measured(what, names, network, params)
    print(rows[-1])
  document = {
    'source_length': _SOURCE_LENGTH,
    'rows': rows,
    **script.provenance(),
  }
  script.write_document(document, _OUTPUT.value)
  for row in rows:
    print(row)


def numbers(tokenizer, num_items: int) -> list[list[int]]:
  """Tokens of the names of a catalogue whose items are named by numbers."""
  width = item_ids.width_of(num_items)
  return list(
    map(tokenizer.encode, item_ids.as_text(np.arange(num_items), width))
  )


def measured(what, names, network, params) -> list[dict]:
  """Measures each way to rank a catalogue.

  Args:
    what: description of the names, for the table.
    names: tokens of each item's name.
    network: `T5Config` of the network.
    params: parameters of the network.

  Returns:
    One record for each way, with the seconds for 1,000 users.
  """
  tree = jax.tree.map(jnp.asarray, prefix_tree.build(names, tokenizer_lib.EOS))
  size = p5.batch_size(p5.P5Config(), tree, _BATCH)
  ways = {
    'tree': (size, lambda s: decoding.score_catalogue(
      params, s, tree, config=network)),
    f'beam of {_NUM_BEAMS}': (size, lambda s: decoding.beam_search(
      params, s, tree, config=network, num_beams=_NUM_BEAMS)),
    'encoder alone': (size, jax.jit(lambda s: t5.T5(network).apply(
      {'params': params}, *s, method='remember'))),
  }  # fmt: skip
  if len(names) <= 2000:
    ways['name by name'] = _FEW, one_by_one(names, network, params)
  rows = []
  for way, (num_users, rank) in ways.items():
    source = prompts(num_users)
    timing = measure.call(
      lambda rank=rank, source=source: rank(source), repeats=20, max_seconds=10
    ).timing
    rows.append(
      {
        'names': what,
        'way': way,
        'nodes': len(tree.tokens),
        'batch': num_users,
        'seconds_per_1000': 1000 * timing.median_seconds / num_users,
        'iqr': 1000 * timing.iqr_seconds / num_users,
      }
    )
  return rows


def prompts(num_users: int) -> tuple:
  """Makes random prompts without padding.

  Returns:
    Tokens, whole-word numbers and mask, [num_users, source length] each.
  """
  shape = num_users, _SOURCE_LENGTH
  tokens = np.random.default_rng(0).integers(3, 300, size=shape)
  whole = np.broadcast_to(1 + np.arange(_SOURCE_LENGTH) // 2, shape)
  return tokens.astype(np.int32), whole.astype(np.int32), np.ones(shape, bool)


def one_by_one(names, network, params):
  """Makes a function that scores each name on its own.

  Its time shows what the tree saves, since names that share a prefix are
  decoded separately.

  Returns:
    Maps prompts of B users to log-probabilities [B, V].
  """
  length = 1 + max(map(len, names))
  targets = np.zeros((len(names), length), np.int32)
  for row, name in zip(targets, names, strict=True):
    row[: len(name) + 1] = [*name, tokenizer_lib.EOS]
  inputs = np.roll(targets, 1, axis=1)
  inputs[:, 0] = 0
  model = t5.T5(network)

  @jax.jit
  def rank(source):
    memory = model.apply({'params': params}, *source, method='remember')

    def one(pair):
      name_BxT, target_BxT = (
        jnp.broadcast_to(part[None], (len(source[0]), length)) for part in pair
      )
      hidden = model.apply({'params': params}, name_BxT, memory, method='write')
      logits = model.apply({'params': params}, hidden, method='logits')
      log_BxTxW = jax.nn.log_softmax(logits)
      chosen = jnp.take_along_axis(log_BxTxW, target_BxT[..., None], axis=-1)
      return jnp.where(target_BxT > 0, chosen[..., 0], 0).sum(axis=1)

    return jax.lax.map(one, (jnp.asarray(inputs), jnp.asarray(targets))).T

  return rank


if __name__ == '__main__':
  script.run(main)
