# Defines hidreamer::torch, either from the system's libtorch (Debian: libtorch-dev) or, with HID_TORCH_WHEEL, from an unpacked
# PyTorch 2.x wheel. The wheel's own CMake config is not used: it needs nvcc even for CPU-only users and breaks with CMake 3.25.
# Imported, so that installed libraries name it and find_package(hidreamer) defines it anew.
if(TARGET hidreamer::torch)
  return()
endif()
add_library(hidreamer::torch INTERFACE IMPORTED GLOBAL)
if(HID_TORCH_WHEEL)
  if(NOT EXISTS "${HID_TORCH_WHEEL}/lib/libtorch_cpu.so")
    message(FATAL_ERROR "HID_TORCH_WHEEL=${HID_TORCH_WHEEL} holds no lib/libtorch_cpu.so; give the wheel's torch directory")
  endif()
  # The wheel carries headers of a newer fmt than the library we link: the system's come first.
  find_path(HID_FMT_INCLUDE_DIR fmt/format.h REQUIRED)
  set(fmt_first "${CMAKE_CURRENT_BINARY_DIR}/fmt_first")
  file(MAKE_DIRECTORY "${fmt_first}")
  file(CREATE_LINK "${HID_FMT_INCLUDE_DIR}/fmt" "${fmt_first}/fmt" SYMBOLIC)
  target_include_directories(hidreamer::torch SYSTEM INTERFACE
    "${fmt_first}" "${HID_TORCH_WHEEL}/include" "${HID_TORCH_WHEEL}/include/torch/csrc/api/include")
  # Gloo's headers are not in the wheel; of the system's (libgloo-dev), where they are, only names of types are used.
  target_compile_definitions(hidreamer::torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1 USE_C10D_GLOO)
  target_link_libraries(hidreamer::torch INTERFACE
    "${HID_TORCH_WHEEL}/lib/libtorch_cpu.so" "${HID_TORCH_WHEEL}/lib/libc10.so" Threads::Threads)
  target_link_options(hidreamer::torch INTERFACE "-Wl,-rpath,${HID_TORCH_WHEEL}/lib" -Wl,--allow-shlib-undefined)
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
    target_link_libraries(hidreamer::torch INTERFACE "${HID_CUDART}" -Wl,--no-as-needed
      "${HID_TORCH_WHEEL}/lib/libtorch_cuda.so" "${HID_TORCH_WHEEL}/lib/libc10_cuda.so" -Wl,--as-needed)
  endif()
else()
  hid_find(Torch libtorch-dev)
  target_link_libraries(hidreamer::torch INTERFACE torch)
endif()
target_link_libraries(hidreamer::torch INTERFACE OpenMP::OpenMP_CXX)
