"""What AWS, Azure and GCP ask for machines with GPUs.

One module per source behind the interface of `port.py`: the clouds' own price lists (`aws`, `azure`, `gcp`), the dated
table that ships with Necto (`reference`), and price lists in SkyPilot's format (`skypilot`). All but the dated table
pass the plausibility gate (`plausibility`); the table passed one when it was made. What is compared with these prices
stands in `market/comparison.py`.
"""

from necto_pipelines.market.clouds.reference import reference_cloud_prices

__all__ = ["reference_cloud_prices"]
