"""qLoRA fine-tuning: examples to tokens and labels, preflight, training, the adapter."""
