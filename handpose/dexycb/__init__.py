"""DexYCB with its splits s0 to s3: labels, calibration and photos, read into neutral annotations.

Imports `data`, `hand` and the top-level modules. Facts are those of NVlabs/dex-ycb-toolkit.
"""
