"""What a download of InterHand2.6M lacks, found before hours are spent on it."""
