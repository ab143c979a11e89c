"""Failures of accelerators that are not NVIDIA's, and of libraries around them."""

from tests.verdicts.failures.rows import rows
from tests.verdicts.model import NAMED, Phase, Who

FAILURES = (
    *rows(
        Phase.LOADING,
        Who.WORKER,
        """
maker-oneccl-device | nccl_failure no_gpu | either | torch/distributed/distributed_c10d.py:all_reduce | RuntimeError: oneCCL: ze_fd_manager.cpp:214 fill_device_fds: EXCEPTION: open failed: fd: -1, errno: No such file or directory
maker-oneccl-atl | nccl_failure | either | torch/distributed/distributed_c10d.py:barrier | RuntimeError: oneCCL: atl_ofi_comm.cpp:229 init_transport: EXCEPTION: failed to initialize ATL
maker-hccl-init | nccl_failure | either | torch/distributed/distributed_c10d.py:all_reduce | RuntimeError: createHCCLComm:build/CMakeFiles/torch_npu.dir/compiler_depend.ts:2211 HCCL function error: hcclCommInitRootInfoConfig(numRanks, &rootInfo, rank, config, &(comm->hcclComm_)), error code is 4
maker-hccl-call | nccl_failure | either | torch_npu/distributed/distributed_c10d.py:_broadcast | RuntimeError: [ERROR] 2026-11-20-11:20:31 (PID:4711, Device:1, RankID:1) ERR02200 DIST call hccl api failed.
maker-npu-memory | cuda_out_of_memory | either | vllm_ascend/ops/fused_moe.py:create_weights | RuntimeError: NPU out of memory. Tried to allocate 2.63 GiB (NPU 0; 60.97 GiB total capacity; 58.01 GiB already allocated; 58.01 GiB current active; 1.90 GiB free; 58.40 GiB reserved in total by PyTorch) If reserved memory is >> allocated memory try setting max_split_size_mb to avoid fragmentation.
maker-npu-acl | cuda_error driver_mismatch no_gpu | either | torch_npu/npu/utils.py:set_device | RuntimeError: SetDevice:build/CMakeFiles/torch_npu.dir/compiler_depend.ts:198 NPU function error: aclrtSetDevice, error code is 507033\\n[ERROR] 2026-11-20-11:20:31 (PID:4711, Device:0, RankID:-1) ERR00100 PTA call acl api failed
maker-nvml-name | driver_mismatch no_gpu | wall | vllm/third_party/pynvml.py:wrapper | UnicodeDecodeError: 'utf-8' codec can't decode byte 0xf8 in position 0: invalid start byte
maker-tpu-hosts | no_gpu config_rejected parallel_misfit | wall | torch_xla/runtime.py:device_type | RuntimeError: Bad StatusOr access: UNKNOWN: TPU initialization failed: Invalid --slice_builder_worker_addresses specified. Expected 16 worker addresses, got 8.
maker-tpu-backend | no_gpu driver_mismatch | wall | jax/_src/xla_bridge.py:_init_backend | RuntimeError: Unable to initialize backend 'tpu': UNAVAILABLE: TPU backend setup/compile error (Unavailable). (set JAX_PLATFORMS='' to automatically choose an available backend)
maker-neuron-memory | cuda_out_of_memory | either | neuronx_distributed/trace/nxd_model.py:to_neuron | RuntimeError: nrt_tensor_allocate status=4 message="Allocation Failure"
maker-hub-keyword | broken_install engine_bug | either | huggingface_hub/hf_api.py:__init__ | TypeError: SafeTensorsInfo.__init__() got an unexpected keyword argument 'sharded'
maker-marlin-permute | unsupported_combination engine_bug gpu_unsupported | either | vllm/model_executor/layers/quantization/utils/marlin_utils.py:marlin_permute_scales | RuntimeError: shape '[-1, 32]' is invalid for input of size 1
""",
        versions=NAMED,
    ),
    *rows(
        Phase.PROFILING,
        Who.WORKER,
        """
maker-tpu-hbm | cuda_out_of_memory | either | torch_xla/_dynamo/dynamo_bridge.py:extract_graph_helper | RuntimeError: Bad StatusOr access: RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. Used 20.91G of 15.75G hbm. Exceeded hbm capacity by 5.16G.
maker-jax-hbm | cuda_out_of_memory | either | tpu_inference/runner/tpu_runner.py:_dummy_run | jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Attempting to allocate 8.00G. That was not possible. There are 3.11G free.; (0x0x0_HBM0)
maker-tpu-vmem | unsupported_combination compile_failed cuda_out_of_memory | either | torch_xla/_dynamo/dynamo_bridge.py:extract_graph_helper | ValueError: Ran out of memory in memory space vmem while allocating on stack for %ragged = bf16[16,32,128]{2,1,0:T(8,128)(2,1)S(1)} custom-call(%p16), custom_call_target="tpu_custom_call". Scoped allocation with size 64.82M and limit 64.00M exceeded scoped vmem limit by 840.0K.
maker-cutlass-internal | gpu_unsupported unsupported_combination cuda_error | either | vllm/_custom_ops.py:cutlass_scaled_sparse_mm | RuntimeError: Error Internal
maker-tpu-mosaic | gpu_unsupported compile_failed unsupported_combination | either | torch_xla/_dynamo/dynamo_bridge.py:extract_graph_helper | RuntimeError: Bad StatusOr access: INTERNAL: Mosaic failed to compile TPU kernel: Not Implemented: The last dim size is not 128 in original base memref
maker-xpu-memory | cuda_out_of_memory | either | vllm/v1/worker/xpu_worker.py:determine_available_memory | RuntimeError: level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)
""",
        versions=NAMED,
    ),
)
