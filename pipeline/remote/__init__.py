"""Remotes of DVC: addresses, host keys, and the check that a remote works."""
