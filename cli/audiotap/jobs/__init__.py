"""What commands do once their options are known. Imported inside commands, so that `--help` stays fast."""
