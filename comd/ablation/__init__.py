"""`comd ablate`: the same small world under several settings, over several seeds, with intervals."""
