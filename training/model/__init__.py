"""The decoder after DeepSeek-V3 and Kimi K2: latent attention, mixture of experts, the loss, and the presets.

Nothing here updates a weight.
"""
