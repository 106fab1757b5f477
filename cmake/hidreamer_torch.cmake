# Defines hidreamer::torch, either from the system's libtorch (Debian: libtorch-dev) or, with HID_TORCH_WHEEL, from an unpacked
# PyTorch 2.x wheel. The wheel's own CMake config is not used: it needs nvcc even for CPU-only users and breaks with CMake 3.25.
add_library(hidreamer_torch INTERFACE)
add_library(hidreamer::torch ALIAS hidreamer_torch)
if(HID_TORCH_WHEEL)
  if(NOT EXISTS "${HID_TORCH_WHEEL}/lib/libtorch_cpu.so")
    message(FATAL_ERROR "HID_TORCH_WHEEL=${HID_TORCH_WHEEL} holds no lib/libtorch_cpu.so; give the wheel's torch directory")
  endif()
  # The wheel carries headers of a newer fmt than the library we link: the system's come first.
  find_path(HID_FMT_INCLUDE_DIR fmt/format.h REQUIRED)
  file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/fmt_first")
  file(CREATE_LINK "${HID_FMT_INCLUDE_DIR}/fmt" "${CMAKE_BINARY_DIR}/fmt_first/fmt" SYMBOLIC)
  target_include_directories(hidreamer_torch SYSTEM INTERFACE
    "${CMAKE_BINARY_DIR}/fmt_first" "${HID_TORCH_WHEEL}/include" "${HID_TORCH_WHEEL}/include/torch/csrc/api/include")
  # Gloo's headers are not in the wheel; of the system's (libgloo-dev), where they are, only names of types are used.
  target_compile_definitions(hidreamer_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1 USE_C10D_GLOO)
  target_link_libraries(hidreamer_torch INTERFACE
    "${HID_TORCH_WHEEL}/lib/libtorch_cpu.so" "${HID_TORCH_WHEEL}/lib/libc10.so" Threads::Threads)
  target_link_options(hidreamer_torch INTERFACE "-Wl,-rpath,${HID_TORCH_WHEEL}/lib" -Wl,--allow-shlib-undefined)
  if(HID_CUDA)
    # Of CUDA's toolkit, or of the package that the wheel needs at run time.
    find_path(HID_CUDA_INCLUDE_DIR cuda_runtime_api.h REQUIRED
      HINTS "${HID_TORCH_WHEEL}/../nvidia/cu13/include" "${HID_TORCH_WHEEL}/../nvidia/cuda_runtime/include" /usr/local/cuda/include)
    find_library(HID_CUDART NAMES cudart libcudart.so.13 libcudart.so.12 REQUIRED
      HINTS "${HID_CUDA_INCLUDE_DIR}/../lib" "${HID_CUDA_INCLUDE_DIR}/../lib64")
    # Compiles the GPU's layers at run time.
    find_path(HID_NVRTC_INCLUDE_DIR nvrtc.h REQUIRED
      HINTS "${HID_CUDA_INCLUDE_DIR}" "${HID_TORCH_WHEEL}/../nvidia/cuda_nvrtc/include" /usr/local/cuda/include)
    find_library(HID_NVRTC NAMES nvrtc libnvrtc.so.13 libnvrtc.so.12 REQUIRED
      HINTS "${HID_NVRTC_INCLUDE_DIR}/../lib" "${HID_NVRTC_INCLUDE_DIR}/../lib64")
    # Exchanges between GPUs: the header must be of the NCCL that the wheel was built with, and of its package is.
    find_path(HID_NCCL_INCLUDE_DIR nccl.h HINTS "${HID_TORCH_WHEEL}/../nvidia/nccl/include" "${HID_CUDA_INCLUDE_DIR}")
    target_link_libraries(hidreamer_torch INTERFACE "${HID_CUDART}" -Wl,--no-as-needed
      "${HID_TORCH_WHEEL}/lib/libtorch_cuda.so" "${HID_TORCH_WHEEL}/lib/libc10_cuda.so" -Wl,--as-needed)
  endif()
else()
  find_package(Torch REQUIRED)
  target_link_libraries(hidreamer_torch INTERFACE torch)
endif()

# at::parallel_for is a template: compiled without OpenMP it runs everything on one thread.
find_package(OpenMP REQUIRED)
target_link_libraries(hidreamer_torch INTERFACE OpenMP::OpenMP_CXX)

# One precompiled <torch/torch.h> shared by every torch library: 8 s a file becomes 5.
file(WRITE "${CMAKE_BINARY_DIR}/pch/hidreamer_pch.cc" "// compiled only to carry the precompiled header\n")
add_library(hidreamer_pch STATIC "${CMAKE_BINARY_DIR}/pch/hidreamer_pch.cc")
target_link_libraries(hidreamer_pch PUBLIC hidreamer::torch)
# -Wpedantic as everywhere: it changes predefined macros, and a header compiled without would not be used.
target_compile_options(hidreamer_pch PRIVATE -O1 -Wpedantic -fpch-preprocess)
target_precompile_headers(hidreamer_pch PRIVATE <torch/torch.h>)
