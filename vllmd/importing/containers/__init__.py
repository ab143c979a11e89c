"""What runs vLLM in a container, as what runs it on the host.

A published port becomes the port, a mounted folder the folder of the host, the GPUs that were given
CUDA_VISIBLE_DEVICES, an image's tag the version to install.
"""
