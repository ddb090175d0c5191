"""EANet for one hand: extract-and-adapt blocks, PositionNet and RotationNet, one file each.

Imports what `nets` may. Source of shapes, orders and initial weights: the published description
(Park et al., Extract-and-Adaptation Network for 3D Interacting Hand Mesh Recovery, 2023) and facts
read from its public code, jkpark0825/EANet at 43effe8; docs/choices.md names what those leave open.
"""
