"""How a synthetic hand moves: gestures, a person's style, free poses; may import articulation."""
