"""Images: variational autoencoders on digits and clothes."""
