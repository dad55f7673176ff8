"""Engines: how the server of each is started; one TOML file each."""
