"""`python -m necto_pipelines.cli`: the `necto` command where no script is installed."""

from necto_pipelines.cli.main import main

main()
