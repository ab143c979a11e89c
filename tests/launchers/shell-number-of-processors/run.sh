#!/bin/bash
vllm serve org/m --api-server-count $(nproc)
