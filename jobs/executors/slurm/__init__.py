"""A run on a Slurm cluster: what is submitted, what is in the queue, what became of it.

stages ─ packing ─ submit ─ submissions            sweep, retry
submissions + squeue ─ in_queue ─ inspect          status, cancel, gc
log + accounting ─ history                         explain
"""
