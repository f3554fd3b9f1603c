"""The web page of the local gateway: a live log, its entries, and a chart; HTML that the server renders."""
