"""x0, noise, sigma -> xt; the denoiser of any diffusers U-Net; sampling; the correction that a density ratio makes."""
