"""From a configuration to its plan: names, weights and rows are found, or the sweep is refused."""
