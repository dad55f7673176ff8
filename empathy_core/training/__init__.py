"""qLoRA fine-tuning: examples → tokens and labels, preflight, training, the adapter as a product.

    spec.py        what is trained, on what, how: everything that changes the adapter
    tokens.py      PURE: question and answer → token ids and labels
    batches.py     PURE: which rows form a batch, in which order; padding by position
    preflight.py   what can be known to be wrong before training, each finding by name
    ...
"""
