#include "hidreamer/layers/gpu.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "hidreamer/base/error.h"
#include "hidreamer/layers/norm_activation.h"

#ifdef HID_CUDA
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <nvrtc.h>

#include "hidreamer/layers/gpu_source.h"
#endif

namespace hidreamer::layers {

#ifdef HID_CUDA

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int kWarps = 8;      // of a block of the norm's
constexpr int kThreads = 384;  // of a block of the others, about
// Blocks for each of the GPU's processors: as many as fit of those that sum over rows, each of
// which leaves a row of sums.
constexpr int64_t kBlocks = 8, kSummingBlocks = 2, kNormBlocks = 3;

void CheckCuda(cudaError_t result, const char* what) {
  HID_CHECK(result == cudaSuccess, "{}: {}", what, cudaGetErrorString(result));
}

void CheckCompiler(nvrtcResult result, const std::string& log) {
  HID_CHECK(result == NVRTC_SUCCESS, "compiling the GPU's layers: {}\n{}",
            nvrtcGetErrorString(result), log);
}

int Attribute(cudaDeviceAttr attribute, int device) {
  int value = 0;
  CheckCuda(cudaDeviceGetAttribute(&value, attribute, device), "asking for a GPU's properties");
  return value;
}

struct Properties {
  int major, minor;
  int64_t processors;
};

Properties PropertiesOf(int device) {
  return {Attribute(cudaDevAttrComputeCapabilityMajor, device),
          Attribute(cudaDevAttrComputeCapabilityMinor, device),
          Attribute(cudaDevAttrMultiProcessorCount, device)};
}

cudaLibrary_t Compile(int64_t width, const Properties& properties) {
  nvrtcProgram program = nullptr;
  CheckCompiler(
      nvrtcCreateProgram(&program, kGpuLayersSource, "gpu_layers.cu", 0, nullptr, nullptr), "");
  const std::string architecture =
      fmt::format("--gpu-architecture=sm_{}{}", properties.major, properties.minor);
  const std::string definition = fmt::format("-DWIDTH={}", width);
  const char* options[] = {architecture.c_str(), definition.c_str(), "--std=c++17"};
  const nvrtcResult result = nvrtcCompileProgram(program, 3, options);
  size_t size = 0;
  CheckCompiler(nvrtcGetProgramLogSize(program, &size), "");
  std::string log(size, '\0');
  CheckCompiler(nvrtcGetProgramLog(program, log.data()), "");
  CheckCompiler(result, log);
  CheckCompiler(nvrtcGetCUBINSize(program, &size), log);
  std::string code(size, '\0');
  CheckCompiler(nvrtcGetCUBIN(program, code.data()), log);
  nvrtcDestroyProgram(&program);
  cudaLibrary_t library = nullptr;
  CheckCuda(cudaLibraryLoadData(&library, code.data(), nullptr, nullptr, 0, nullptr, nullptr, 0),
            "loading the GPU's layers");
  return library;
}

cudaKernel_t Kernel(const char* name, int64_t width, int device) {
  static std::mutex mutex;
  static std::map<std::pair<int64_t, int>, cudaLibrary_t> libraries;
  static std::map<std::tuple<std::string, int64_t, int>, cudaKernel_t> kernels;
  const std::lock_guard lock(mutex);
  cudaKernel_t& kernel = kernels[{name, width, device}];
  if (kernel == nullptr) {
    cudaLibrary_t& library = libraries[{width, device}];
    if (library == nullptr) {
      library = Compile(width, PropertiesOf(device));
    }
    CheckCuda(cudaLibraryGetKernel(&kernel, library, name), name);
  }
  return kernel;
}

// On torch's current stream.
template <class... Arguments>
void Launch(const char* name, const torch::Tensor& x, int64_t blocks, dim3 threads, int64_t shared,
            Arguments... arguments) {
  if (blocks == 0) {
    return;
  }
  void* places[] = {&arguments...};
  const auto stream = c10::cuda::getCurrentCUDAStream(x.device().index());
  CheckCuda(
      cudaLaunchKernel(reinterpret_cast<const void*>(Kernel(name, x.size(-1), x.device().index())),
                       dim3(static_cast<unsigned>(blocks)), threads, places,
                       static_cast<size_t>(shared), stream.stream()),
      name);
}

// Blocks of `rows_at_once` rows over all rows of x, each block taking more in turn.
int64_t Blocks(const torch::Tensor& x, int64_t rows_at_once, int64_t of_processor) {
  const int64_t rows = x.numel() / x.size(-1);
  return std::min((rows + rows_at_once - 1) / rows_at_once,
                  of_processor * PropertiesOf(x.device().index()).processors);
}

torch::Tensor EmptySums(const torch::Tensor& x, int64_t blocks, int64_t numbers) {
  return torch::empty({blocks, numbers}, x.options().dtype(torch::kFloat32).requires_grad(false));
}

float* Floats(const torch::Tensor& x) { return x.data_ptr<float>(); }

constexpr int64_t kNumberSize = sizeof(float);

struct GpuNormalizeFunction : torch::autograd::Function<GpuNormalizeFunction> {
  static variable_list forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight, const torch::Tensor& bias,
                               double epsilon) {
    const int64_t rows = x.numel() / x.size(-1);
    const torch::Tensor out = EmptyAs(x, torch::kBFloat16);
    const torch::Tensor statistics = EmptySums(x, rows, 2);
    Launch("Normalize", x, (rows + kWarps - 1) / kWarps, dim3(32 * kWarps), 0, Floats(x),
           Floats(weight), Floats(bias), static_cast<float>(epsilon), rows, Bf16Data(out),
           Floats(statistics));
    context->save_for_backward({x, weight, statistics});
    return {out, x};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor x = saved[0], weight = saved[1], statistics = saved[2];
    const torch::Tensor gradient = gradients[0].contiguous(), other = gradients[1].contiguous();
    const int64_t width = x.size(-1), rows = x.numel() / width,
                  blocks = Blocks(x, kWarps, kNormBlocks);
    const torch::Tensor x_gradient = EmptyAs(x, torch::kFloat32);
    const torch::Tensor sums = EmptySums(x, blocks, 2 * width);
    Launch("NormalizeBackward", x, blocks, dim3(32 * kWarps), 2 * width * kNumberSize, Floats(x),
           Floats(weight), Floats(statistics), Bf16Data(gradient), Floats(other), rows,
           Floats(x_gradient), Floats(sums));
    const torch::Tensor total = sums.sum(0);
    return {x_gradient, total.narrow(0, 0, width), total.narrow(0, width, width), {}};
  }
};

// Which numbers dropout keeps. Its key is drawn on the GPU, from torch's generator of the device: a
// recorded graph draws anew each time.
struct GpuDropout {
  GpuDropout(double probability, const torch::Tensor& x)
      : threshold(static_cast<unsigned>(std::lround(probability * 65536))),
        key(threshold > 0 ? torch::empty({1}, x.options().dtype(torch::kInt64)).random_()
                          : torch::Tensor()) {
    HID_CHECK(probability >= 0 && threshold < 65536, "dropout probability {}", probability);
  }
  // What a forward pass saved.
  GpuDropout(int64_t saved_threshold, torch::Tensor saved_key)
      : threshold(static_cast<unsigned>(saved_threshold)), key(std::move(saved_key)) {}

  const int64_t* key_data() const { return key.defined() ? key.data_ptr<int64_t>() : nullptr; }
  float scale() const { return 65536.F / static_cast<float>(65536 - threshold); }

  unsigned threshold;
  torch::Tensor key;  // (1) int64, undefined without dropout
};

// Threads of a block of the kernels on bias and dropout: 8 columns each, whole rows.
dim3 ThreadsOf(int64_t width) {
  const auto columns = static_cast<unsigned>(width / 8);
  return {columns, std::max(1U, kThreads / columns)};
}

struct GpuBiasGeluDropoutFunction : torch::autograd::Function<GpuBiasGeluDropoutFunction> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& bias, double probability) {
    const int64_t width = x.size(-1), rows = x.numel() / width;
    const dim3 threads = ThreadsOf(width);
    const GpuDropout dropout(probability, x);
    const torch::Tensor out = EmptyAs(x, torch::kBFloat16);
    Launch("BiasGeluDropout", x, Blocks(x, threads.y, kBlocks), threads, 0, Bf16Data(x),
           Floats(bias), dropout.key_data(), dropout.threshold, dropout.scale(), rows,
           Bf16Data(out));
    context->save_for_backward({x, bias, dropout.key});
    context->saved_data["threshold"] = static_cast<int64_t>(dropout.threshold);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor x = saved[0], bias = saved[1], gradient = gradients[0].contiguous();
    const GpuDropout dropout(context->saved_data["threshold"].toInt(), saved[2]);
    const int64_t width = x.size(-1), rows = x.numel() / width;
    const dim3 threads = ThreadsOf(width);
    const int64_t blocks = Blocks(x, threads.y, kSummingBlocks);
    const torch::Tensor x_gradient = EmptyAs(x, torch::kBFloat16);
    const torch::Tensor sums = EmptySums(x, blocks, width);
    Launch("BiasGeluDropoutBackward", x, blocks, threads, width * kNumberSize, Bf16Data(x),
           Floats(bias), dropout.key_data(), dropout.threshold, dropout.scale(), rows,
           Bf16Data(gradient), Bf16Data(x_gradient), Floats(sums));
    return {x_gradient, sums.sum(0), {}};
  }
};

struct GpuBiasDropoutAddFunction : torch::autograd::Function<GpuBiasDropoutAddFunction> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& residual,
                               const torch::Tensor& x, const torch::Tensor& bias,
                               double probability) {
    const int64_t width = x.size(-1), rows = x.numel() / width;
    const dim3 threads = ThreadsOf(width);
    const GpuDropout dropout(probability, x);
    const torch::Tensor out = EmptyAs(residual, torch::kFloat32);
    Launch("BiasDropoutAdd", x, Blocks(x, threads.y, kBlocks), threads, 0, Floats(residual),
           Bf16Data(x), Floats(bias), dropout.key_data(), dropout.threshold, dropout.scale(), rows,
           Floats(out));
    context->save_for_backward({dropout.key});
    context->saved_data["threshold"] = static_cast<int64_t>(dropout.threshold);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const torch::Tensor gradient = gradients[0].contiguous();
    const GpuDropout dropout(context->saved_data["threshold"].toInt(),
                             context->get_saved_variables()[0]);
    const int64_t width = gradient.size(-1), rows = gradient.numel() / width;
    const dim3 threads = ThreadsOf(width);
    const int64_t blocks = Blocks(gradient, threads.y, kSummingBlocks);
    const torch::Tensor x_gradient = EmptyAs(gradient, torch::kBFloat16);
    const torch::Tensor sums = EmptySums(gradient, blocks, width);
    Launch("BiasDropoutAddBackward", gradient, blocks, threads, width * kNumberSize,
           dropout.key_data(), dropout.threshold, dropout.scale(), rows, Floats(gradient),
           Bf16Data(x_gradient), Floats(sums));
    return {gradient, x_gradient, sums.sum(0), {}};
  }
};

}  // namespace

bool HasGpuLayers(const torch::Tensor& x) {
  return x.is_cuda() && PropertiesOf(x.device().index()).major >= 8;
}

std::vector<torch::Tensor> GpuNormalizeToBf16(const torch::Tensor& x, const torch::Tensor& weight,
                                              const torch::Tensor& bias, double epsilon) {
  return GpuNormalizeFunction::apply(x, weight, bias, epsilon);
}

torch::Tensor GpuBiasGeluDropout(const torch::Tensor& x, const torch::Tensor& bias,
                                 double dropout) {
  return GpuBiasGeluDropoutFunction::apply(x, bias, dropout);
}

torch::Tensor GpuBiasDropoutAdd(const torch::Tensor& residual, const torch::Tensor& x,
                                const torch::Tensor& bias, double dropout) {
  return GpuBiasDropoutAddFunction::apply(residual, x, bias, dropout);
}

#else

bool HasGpuLayers(const torch::Tensor& /*x*/) { return false; }

std::vector<torch::Tensor> GpuNormalizeToBf16(const torch::Tensor&, const torch::Tensor&,
                                              const torch::Tensor&, double) {
  HID_CHECK(false, "built without HID_CUDA");
  return {};
}

torch::Tensor GpuBiasGeluDropout(const torch::Tensor&, const torch::Tensor&, double) {
  HID_CHECK(false, "built without HID_CUDA");
  return {};
}

torch::Tensor GpuBiasDropoutAdd(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&,
                                double) {
  HID_CHECK(false, "built without HID_CUDA");
  return {};
}

#endif

}  // namespace hidreamer::layers
