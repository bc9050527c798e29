"""How tests compile: fast, since their programs are small."""

import jax

# To compile without fusion emitters takes half the time. Later versions of JAX
# know no such flag, and refuse what they do not know.
XLA_FLAGS = (
  '--xla_cpu_use_fusion_emitters=false'
  if jax.__version_info__ < (0, 11)
  else ''
)
