"""The long options of sbatch, for ``[slurm.options]``: what is not one of them is refused.

From the manual page of sbatch, Slurm 22.05 to 25.05; those that the suite sets itself are listed
apart, each with the key that sets it.
"""

OURS = {
    "array": "the shards are dealt by the suite; 'parallel' throttles them",
    "chdir": "jobs run in the code that was submitted",
    "dependency": "the stages depend on each other by themselves",
    "error": "logs stand in the run directory",
    "export": "use 'env' and 'pass_env'",
    "export-file": "use 'env' and 'pass_env'",
    "input": "elements read no input",
    "job-name": "names are made of run, stage and model",
    "comment": "it tells which submission a job belongs to",
    "output": "logs stand in the run directory",
    "open-mode": "attempts are appended to one log",
    "parsable": "the suite reads sbatch's answer",
    "signal": "use 'signal_delay_s'",
    "test-only": "use sweep --test-only",
    "wait": "the launcher returns; see status",
    "wrap": "the suite writes the script",
    "requeue": "use 'requeue'",
    "no-requeue": "use 'requeue'",
    "kill-on-invalid-dep": "it is always set",
    "partition": "use 'partition'",
    "account": "use 'account'",
    "qos": "use 'qos'",
    "constraint": "use 'constraint'",
    "gres": "use 'gres'",
    "gpus-per-node": "use 'gpus'",
    "time": "use 'time_min'",
    "mem": "use 'mem_gb'",
    "cpus-per-task": "use 'cpus'",
    "exclude": "use 'exclude'",
    "nodelist": "use 'nodelist'",
    "reservation": "use 'reservation'",
    "mail-user": "use 'mail_user'",
    "mail-type": "use 'mail_type'",
    "nodes": "an element is one process on one node",
    "ntasks": "an element is one process on one node",
    "ntasks-per-node": "an element is one process on one node",
}
"""Options that the suite sets, and what to use instead."""

PASSED = (
    "acctg-freq", "batch", "bb", "bbf", "begin", "clusters", "cluster-constraint",
    "consolidate-segments",
    "container", "container-id", "contiguous", "core-spec", "cores-per-socket", "cpu-freq",
    "cpus-per-gpu", "deadline", "delay-boot", "distribution", "exclusive", "extra",
    "extra-node-info", "get-user-env", "gid", "gpu-bind", "gpu-freq", "gpus", "gpus-per-socket",
    "gpus-per-task", "gres-flags", "hint", "hold", "ignore-pbs", "licenses",
    "mcs-label", "mem-bind", "mem-per-cpu", "mem-per-gpu", "mincpus", "network", "nice",
    "no-kill", "ntasks-per-core", "ntasks-per-gpu", "ntasks-per-socket", "oom-kill-step",
    "overcommit", "oversubscribe", "power", "prefer", "priority", "profile", "propagate", "quiet",
    "reboot", "resv-ports", "segment", "sockets-per-node", "spread-job", "stepmgr", "switches",
    "thread-spec", "threads-per-core", "time-min", "tmp", "tres-bind", "tres-per-task", "uid",
    "use-min-nodes", "verbose", "wait-all-nodes", "wckey", "x11",
    # pyxis, the container plug-in
    "container-image", "container-mounts", "container-name", "container-workdir",
    "container-mount-home", "container-writable", "container-env",
)  # fmt: skip
"""Options that are passed through as they are."""
