#!/bin/bash
hf auth login
vllm serve org/m
