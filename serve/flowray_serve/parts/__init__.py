"""Parts of a gateway, one module for each area, so that the composition root only joins them."""
