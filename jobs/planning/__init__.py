"""Configuration → conditions → shards → tasks, minus what is done."""
