"""How a network is trained and by whom: recipes, frameworks, tracks, and the contract every
implementation fulfils."""
