#!/bin/bash
case "$(hostname -s)" in
  gpu1) TP=4 ;;
  *) TP=2 ;;
esac
vllm serve org/m -tp $TP
