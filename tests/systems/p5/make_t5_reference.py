"""Makes t5_reference.json: logits of a small T5 by torch, to compare with.

Run once, in an environment of its own:

  pip install torch transformers
  python tests/systems/p5/make_t5_reference.py

The weights are not stored: each tensor is drawn by a generator seeded with its
name's CRC-32, here and in the test.
"""

import importlib.metadata
import json
import pathlib
import zlib

import numpy as np
import torch
import transformers

CONFIG = {
  'vocab_size': 40,
  'd_model': 16,
  'd_kv': 6,
  'd_ff': 24,
  'num_layers': 2,
  'num_decoder_layers': 3,
  'num_heads': 3,
  'relative_attention_num_buckets': 32,
  'relative_attention_max_distance': 40,
  'feed_forward_proj': 'relu',
}


def main() -> None:
  """Writes t5_reference.json beside this file."""
  config = transformers.T5Config(**CONFIG, tie_word_embeddings=True)
  network = transformers.T5ForConditionalGeneration(config).eval()
  shapes = {}
  with torch.no_grad():
    for name, tensor in network.named_parameters():
      shapes[name] = list(tensor.shape)
      random = np.random.default_rng(zlib.crc32(name.encode()))
      tensor.copy_(torch.from_numpy(random.normal(size=shapes[name]) / 2))
    random = np.random.default_rng(0)
    source = torch.from_numpy(random.integers(40, size=(2, 50)))
    mask = torch.ones(2, 50, dtype=torch.int64)
    mask[1, 9:] = 0
    target = torch.from_numpy(random.integers(40, size=(2, 24)))
    logits = network(
      input_ids=source, attention_mask=mask, decoder_input_ids=target
    ).logits
  reference = {
    'made_by': {
      name: importlib.metadata.version(name)
      for name in ('torch', 'transformers')
    },
    'config': {'model_type': 't5', **CONFIG},
    'shapes': shapes,
    'source': source.tolist(),
    'mask': mask.tolist(),
    'target': target.tolist(),
    # Every fourth token's, of the last of few and of many positions.
    'logits': np.round(logits[:, [0, 3, 23], ::4].numpy(), 6).tolist(),
  }
  path = pathlib.Path(__file__).with_name('t5_reference.json')
  path.write_text(json.dumps(reference, separators=(',', ':')) + '\n')


if __name__ == '__main__':
  main()
