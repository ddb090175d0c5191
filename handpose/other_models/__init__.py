"""Published networks for a hand in a crop, by the key names of their checkpoints: HaMeR and WiLoR.

AnyHand's two checkpoints are of the same networks. Weights are the user's own files, and so is
MANO. Imports `data`, `hand` and the top-level modules; nothing here is trained.
"""
