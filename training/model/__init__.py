"""A decoder in the style of DeepSeek-V3 and Kimi K2: latent attention, mixture of experts, the loss, and presets.

Nothing here updates a weight.
"""
