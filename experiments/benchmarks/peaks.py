"""Published peaks of accelerators, to which measured speeds are compared."""

# Operations per second, a multiplication and an addition each, dense, as the
# vendors' data sheets give them: float32 without tensor cores, and bfloat16
# with them. The names are how JAX calls the devices (`device_kind`). TPUs
# multiply in bfloat16 only; their float32 has no published peak.
_PEAKS = {
  'NVIDIA H200': {'float32': 67e12, 'bfloat16': 989e12},
  'NVIDIA H100 80GB HBM3': {'float32': 67e12, 'bfloat16': 989e12},
  'NVIDIA H100 PCIe': {'float32': 51e12, 'bfloat16': 756e12},
  'NVIDIA A100-SXM4-40GB': {'float32': 19.5e12, 'bfloat16': 312e12},
  'NVIDIA A100-SXM4-80GB': {'float32': 19.5e12, 'bfloat16': 312e12},
  'NVIDIA A100-PCIE-40GB': {'float32': 19.5e12, 'bfloat16': 312e12},
  'NVIDIA A100 80GB PCIe': {'float32': 19.5e12, 'bfloat16': 312e12},
  'NVIDIA L4': {'float32': 30.3e12, 'bfloat16': 121e12},
  'NVIDIA L40S': {'float32': 91.6e12, 'bfloat16': 362e12},
  'Tesla T4': {'float32': 8.1e12},
  'Tesla V100-SXM2-16GB': {'float32': 15.7e12},
  'TPU v4': {'bfloat16': 275e12},
  'TPU v5 lite': {'bfloat16': 197e12},
  'TPU v5': {'bfloat16': 459e12},
  'TPU v6 lite': {'bfloat16': 918e12},
}


def of(device_kind: str) -> dict[str, float] | None:
  """Returns precision -> operations per second; None for unknown devices."""
  return _PEAKS.get(device_kind)
