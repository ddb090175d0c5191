"""What is known of hands: tensors in, tensors out; no params.yaml, DVC, Prefect or argparse."""
