"""Tests of CliCooper: a package, so that models in it have a digest of their code."""
