"""What the warm parent imports and builds once, so that no forked process has to (31 s become 2.4 s)."""

import gc
import os


def warm_up() -> int:
    """Import torch, DeepSpeed, transformers and the programs; build one AdamW, which imports more.

    Gives the number of GPUs, asked of the driver without touching CUDA, which would not survive a fork.
    """
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # logs are not terminals
    import torch

    num_gpus = torch.cuda.device_count()
    if not num_gpus:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    torch.set_num_threads(1)  # a pool of threads would not survive the fork
    import torch._dynamo

    if not num_gpus:  # else no rank is forked, and importing DeepSpeed may touch the GPUs
        _import_training()
    gc.collect()
    gc.freeze()  # shared pages stay shared
    return num_gpus


def _import_training() -> None:
    import deepspeed.runtime.engine
    import torch
    import transformers.integrations.deepspeed
    import transformers.trainer

    assert deepspeed, transformers
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    torch.optim.AdamW([parameter]).step()
