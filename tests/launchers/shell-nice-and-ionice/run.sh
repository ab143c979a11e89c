#!/bin/bash
ulimit -n 65535
nice -n -5 ionice -c2 -n0 setsid vllm serve org/m --port=8005 --gpu-memory-utilization=.85 </dev/null &>/tmp/v.log &
disown
