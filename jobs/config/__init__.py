"""TOML and --set → strictly checked, frozen values."""
