"""``preflight``: what would break a fine-tune, before it is trained."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

from jobs.commands.options import AllowOptions, Option


@dataclass(frozen=True, kw_only=True)
class PreflightOptions(AllowOptions):
    """Look for what would break a fine-tune, before it is trained.

    Shows a row as tokens with its labels, checks every row, and tries the base on eight of them:
    whether it can learn them, repeat them, and stop. Exit code 2 if anything is wrong.
    """

    rows_only: Annotated[bool, Option("do not load the base: check the rows alone")] = False


def preflight(options: PreflightOptions) -> int:
    """Check rows and model of every fine-tune; 2 if anything is wrong that is not allowed.

    Raises:
        ConfigError: The configuration is wrong, or has no fine-tune.
    """
    from jobs.commands.console import print_out, run_dir
    from jobs.commands.views.fine_tunes import checked, config_with_fine_tunes
    from jobs.config.variants import variants

    config = config_with_fine_tunes(options)
    run = run_dir(options, config.name)
    shown: list[dict[str, Any]] = []
    tried: set[str] = set()
    for variant in variants(config):
        with_model = not options.rows_only and variant.family not in tried
        tried.add(variant.family)
        result, text = checked(config, variant, run, with_model=with_model)
        shown.append(result)
        if not options.json:
            print_out(text)
    if options.json:
        print_out(json.dumps(shown, indent=1))
    return 2 if any(result["wrong"] for result in shown) else 0
