#!/bin/bash
cd {here}
vllm serve org/m --port 8000 $(<args.txt)
