{ config, pkgs, ... }: {
  systemd.services.vllm = {
    description = "vLLM";
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      ExecStart = "${pkgs.uv}/bin/uv run vllm serve Qwen/Qwen3-8B --port 8000";
      Environment = [ "CUDA_VISIBLE_DEVICES=0" ];
    };
  };
}
