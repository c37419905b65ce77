"""The parts of `pgiam` the command, one file per command. `pgiam.cli` puts them together."""
