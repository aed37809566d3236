"""What the warm parent imports and builds once, so that no forked process has to (31 s become 2.4 s)."""

import gc
import os


def warm_up() -> None:
    """Import torch, DeepSpeed, transformers and the programs; build one AdamW, which imports more."""
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    torch.set_num_threads(1)  # a pool of threads would not survive the fork
    import torch._dynamo

    import services.trainer.training.program
    import services.trainer.training.publish

    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    torch.optim.AdamW([parameter]).step()
    services.trainer.training.program.import_everything()
    gc.collect()
    gc.freeze()  # shared pages stay shared
