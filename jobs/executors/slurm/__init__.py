"""A run on a Slurm cluster: what is submitted, what is in the queue, what became of it.

plan ─ packing ─ submitting ─ ledger          sweep, retry
ledger + squeue ─ flight ─ inspection         status, cancel, gc
log + accounting ─ history                    explain
"""
