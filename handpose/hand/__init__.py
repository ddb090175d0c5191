"""The hand itself: joints, rotations, camera, mirror, MANO and the stand-in model."""
