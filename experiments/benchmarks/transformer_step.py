"""Compares training steps of SASRec and T5 with PyTorch's, on CPU.

  python -m experiments.benchmarks.transformer_step

The networks have the same sizes, numbers of parameters, dropout, batches and
losses. The script copies the parameters of one side to the other without
dropout, and fails if the losses differ. SASRec is written in PyTorch with its
fused attention; T5, the network of P5, is the one of transformers. PyTorch
uses its fastest Adam (fused). hyperrec's T5 drops the same units at all
positions of a text, as the authors' code does; transformers draws for each.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from experiments import script
from experiments.benchmarks import inputs, measure, peers
from hyperrec.data import sequences
from hyperrec.systems.p5 import prompts, t5, t5_weights
from hyperrec.systems.p5 import training as p5_training
from hyperrec.systems.sequential import sasrec, sequential_recommender
from hyperrec.training import optimizers
from hyperrec.training import step as step_lib

Comparison = measure.Comparison
LR = 1e-3
# Rows of 50 positions.
SASREC = sasrec.SasrecConfig(batch_size=128, dropout=0.2)
# The sizes of `p5.training`, without the whole-word embeddings of P5.
T5 = t5.T5Config(vocab_size=2000, num_whole_words=0)
PROMPTS, PROMPT_LENGTH, ANSWER_LENGTH = 64, 64, 12


def main(argv):
  """Measures both networks and writes the results."""
  del argv
  measure.record('transformer_step', run)


def run(skipped: list[str]) -> list[Comparison]:
  """Returns the comparisons of both networks."""
  lacking = [p for p in ('torch', 'transformers') if not peers.has(p)]
  skipped += [measure.skip(package) for package in lacking]
  comparisons = []
  repeats = 4 * measure.repeats()
  for num_items in measure.catalogues((3_000, 10_000)):
    comparisons += compare_sasrec(
      num_items, SASREC, has_torch='torch' not in lacking, repeats=repeats
    )
  return comparisons + compare_t5(T5, has_peer=not lacking, repeats=repeats)


def compare_sasrec(
  num_items: int, config: sasrec.SasrecConfig, *, has_torch: bool, repeats: int
) -> list[Comparison]:
  """Compares steps of SASRec with the full softmax on one batch.

  Raises:
    AssertionError: the networks or their losses differ.
  """
  data = inputs.skewed(10 * config.batch_size, num_items)
  ordered = dataclasses.replace(data, timestamps=np.arange(len(data)))
  packed = sequences.pack(sequences.Sequences.of(ordered), config.length)
  batch = packed.rows(np.arange(config.batch_size))
  model = sasrec.make_model(config, num_items)
  params = _numpy(model.init(jax.random.key(0), *_three(batch))['params'])
  counts = data.item_counts().astype(np.float32)
  sides = {'ours': sasrec_step(config, num_items, params, batch, counts)}
  if has_torch:
    import torch

    from experiments.benchmarks import torch_models

    torch.manual_seed(0)
    tensors = _tensors(batch)
    calm = torch_models.SASRec(num_items, config, 0.0)
    calm.set_params(params)
    loss = sequential_recommender.next_item_loss(
      model.clone(dropout=0.0), params, batch, jax.random.key(0),
      counts_V=counts,
    )  # fmt: skip
    check_equal(params, float(loss), calm, float(calm(*tensors).detach()))
    peer = torch_models.SASRec(num_items, config, config.dropout)
    train = torch_models.step(peer, lambda batch: peer(*batch), LR)
    sides['theirs'] = lambda: train(tensors)
  case = (
    f'SASRec, {num_items:,} items, {config.dim} dimensions, '
    f'{config.batch_size} rows of {config.length}'
  )
  return _compared(case, 'PyTorch', sides, repeats)


def sasrec_step(config, num_items, params, batch, counts):
  """Returns a function that takes a training step and returns the loss."""
  train = sasrec.train_step(
    sasrec.make_model(config, num_items), 0.0, 0, True, 0.0
  )
  return _step(train, params, {'rows': batch, 'counts': counts})


def compare_t5(
  config: t5.T5Config, *, has_peer: bool, repeats: int
) -> list[Comparison]:
  """Compares steps of T5 on one batch of random prompts.

  Raises:
    AssertionError: the networks or their losses differ.
  """
  batch = random_prompts(config)
  params = _numpy(t5.init_params(config, jax.random.key(0)))
  train = p5_training.train_step(config, 0.0)
  sides = {'ours': _step(train, params, batch)}
  if has_peer:
    import torch

    from experiments.benchmarks import torch_models

    torch.manual_seed(0)
    peer, tensors = torch_models.t5(config), prompts.Batch(*_tensors(batch))
    params = t5_weights.convert_params(
      {name: value.numpy() for name, value in peer.state_dict().items()}, config
    )
    calm = dataclasses.replace(config, dropout_rate=0.0)
    # A step returns the loss before it changes the parameters.
    loss = float(_step(p5_training.train_step(calm, 0.0), params, batch)())
    theirs = float(torch_models.t5_loss(peer.eval(), tensors).detach())
    check_equal(params, loss, peer, theirs)
    step = torch_models.step(
      peer, lambda batch: torch_models.t5_loss(peer, batch), LR
    )
    sides['theirs'] = lambda: step(tensors)
  case = (
    f'T5, {config.num_layers} + {config.num_decoder_layers} layers, '
    f'{config.d_model} dimensions, {config.vocab_size:,} tokens, '
    f'{PROMPTS} prompts of {PROMPT_LENGTH} + {ANSWER_LENGTH} tokens'
  )
  return _compared(case, 'transformers', sides, repeats)


def random_prompts(config: t5.T5Config) -> prompts.Batch:
  """Prompts and answers of random tokens, of half their room on average."""
  random = np.random.default_rng(0)

  def draw(length):
    tokens = random.integers(2, config.vocab_size, (PROMPTS, length))
    sizes = random.integers(1, length + 1, (PROMPTS, 1))
    mask = np.arange(length) < sizes
    return np.where(mask, tokens, 0).astype(np.int32), mask

  (tokens, mask), (targets, target_mask) = (
    draw(PROMPT_LENGTH),
    draw(ANSWER_LENGTH),
  )
  shifted = np.pad(targets[:, :-1], ((0, 0), (1, 0)))
  whole = np.zeros_like(tokens)
  return prompts.Batch(tokens, whole, mask, shifted, targets, target_mask)


def _step(train, params, batch):
  """Returns a function that takes a training step and returns the loss."""
  tx = optimizers.cosine_adamw(LR, 10**6, 0.0)
  params = jax.tree.map(jax.numpy.array, params)  # a step destroys its state
  state = step_lib.init_state(params, tx, jax.random.key(0))

  def step():
    nonlocal state
    state, metrics = train(state, batch)
    return jax.block_until_ready((state.params, metrics))[1]['loss']

  return step


def _numpy(params: Any) -> Any:
  return jax.tree.map(np.asarray, params)


def _three(rows):
  return rows.inputs, rows.segments, rows.places


def _tensors(arrays):
  """Tensors of NumPy arrays; PyTorch indexes with int64."""
  import torch

  wide = lambda a: a.astype(np.int64) if a.dtype == np.int32 else a  # noqa: E731
  return [torch.from_numpy(wide(array)) for array in arrays]


def check_equal(params, loss: float, peer, their_loss: float) -> None:
  """Raises AssertionError if parameters differ in number, or losses."""
  from experiments.benchmarks import torch_models

  ours = sum(leaf.size for leaf in jax.tree.leaves(params))
  theirs = torch_models.num_parameters(peer)
  print(f'{ours:,} parameters, losses {loss:.6f} and {their_loss:.6f}')
  if ours != theirs or abs(loss / their_loss - 1) > 1e-4:
    raise AssertionError(
      f'{ours} and {theirs} parameters, losses {loss} and {their_loss}'
    )


def _compared(case, peer, sides, repeats) -> list[Comparison]:
  seconds = measure.interleave(sides, repeats)
  if 'theirs' not in sides:
    ours = measure.amount(np.median(seconds['ours']), 's')
    print(f'{case} | training step: {ours}')
    return []
  return [
    Comparison(
      case, 'training step', peer, 's', seconds['ours'], seconds['theirs'],
      '>= 1',
    )
  ]  # fmt: skip


if __name__ == '__main__':
  script.run(main)
