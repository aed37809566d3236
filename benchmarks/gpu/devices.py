"""What a GPU can do and hold. In: its name and memory. Out: its peak, and how a job is sharded on it. Pure."""

from shared.errors import ConfigError

# bf16 tensor-core FLOP/s without sparsity; the first name that begins the device's own counts. Not yet held against
# the data sheets: do that before a utilisation is published, or give --peak-tflops.
PEAKS = {
    "NVIDIA H200": 989.4e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100 NVL": 835e12,
    "NVIDIA H100": 989.4e12,
    "NVIDIA A100": 312e12,
    "NVIDIA L40S": 362e12,
    "NVIDIA GH200": 989.4e12,
}
BYTES_TRAINED = (
    20  # of a parameter in bf16 with ZeRO: 2 weight, 2 gradient, 12 AdamW in fp32, 4 the step's gradient
)
BYTES_WEIGHT = 2
ACTIVATIONS = 10 * 2**30


def peak_flops(name: str, given_tflops: float | None = None) -> float:
    """Peak bf16 FLOP/s of one device. ConfigError where it is neither known nor given."""
    if given_tflops is not None:
        return given_tflops * 1e12
    for known, peak in PEAKS.items():
        if name.startswith(known):
            return peak
    raise ConfigError(
        f"{name}: its peak is not known here; give --peak-tflops, dense bf16, from its data sheet "
        f"(known: {', '.join(PEAKS)})"
    )


def sharding(trained: int, memory_bytes: int, num_devices: int) -> tuple[int, bool]:
    """(ZeRO stage, offload): the fastest that full fine-tuning of so many parameters fits in."""
    rest = memory_bytes - ACTIVATIONS
    if trained * (BYTES_WEIGHT + (BYTES_TRAINED - BYTES_WEIGHT) / num_devices) <= rest:
        return 2, False
    if num_devices > 1 and trained * BYTES_TRAINED / num_devices <= rest:
        return 3, False
    return (2, True) if trained * 2 * BYTES_WEIGHT <= rest else (3, True)
