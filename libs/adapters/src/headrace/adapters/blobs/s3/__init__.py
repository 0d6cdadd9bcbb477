"""Blobs in an S3 bucket, or in what speaks its protocol."""
