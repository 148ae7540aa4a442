"""What tokens are worth in US dollars: one module for each source, and the price they agree on (`consensus.py`).

Changing one asset for another stands in `market/rails.py`.
"""

from necto_pipelines.market.oracles.coingecko import COINGECKO_IDS, CoinGecko
from necto_pipelines.market.oracles.payable import fresh_price
from necto_pipelines.market.oracles.port import PriceOracle

__all__ = ["COINGECKO_IDS", "CoinGecko", "PriceOracle", "fresh_price"]
