#include "hidreamer/nn/process_group.h"

#include <spdlog/spdlog.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <string>

#include "hidreamer/base/error.h"

#if __has_include(<gloo/context.h>) && defined(USE_C10D_GLOO)
#define HID_WITH_GLOO 1
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#if defined(HID_CUDA) && defined(USE_C10D_NCCL)
#define HID_WITH_NCCL 1
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#endif

namespace hidreamer::nn {
namespace {

// A partner may be evaluating meanwhile. One that died is noticed at once: its connection closes.
constexpr auto kPatience = std::chrono::minutes(60);
constexpr auto kArrival = std::chrono::minutes(5);

// The first of these variables that is set; `otherwise` where none is.
std::string Variable(std::initializer_list<const char*> names, const std::string& otherwise) {
  for (const char* name : names) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') {
      return value;
    }
  }
  return otherwise;
}

int Number(std::initializer_list<const char*> names, int otherwise) {
  const std::string text = Variable(names, std::to_string(otherwise));
  try {
    return std::stoi(text);
  } catch (const std::exception&) {
    throw UserError("torchrun and mpirun set them", "{} = {} is no number", *names.begin(), text);
  }
}

}  // namespace

struct ProcessGroup::Engine {
#ifdef HID_WITH_GLOO
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
#endif
#ifdef HID_WITH_NCCL
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> nccl;  // from the first exchange between GPUs on
#endif
};

ProcessGroup::ProcessGroup() = default;
ProcessGroup::~ProcessGroup() {
#ifdef HID_WITH_NCCL
  if (engine_ != nullptr && engine_->nccl) {
    engine_->nccl->shutdown();
  }
#endif
}
ProcessGroup::ProcessGroup(ProcessGroup&&) noexcept = default;

int ProcessGroup::RankHere() {
  return Number({"LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"},
                0);
}

int ProcessGroup::ProcessesHere() {
  return Number({"LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"}, 1);
}

ProcessGroup ProcessGroup::FromEnvironment() {
  ProcessGroup group;
  group.size_ = Number({"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"}, 1);
  if (group.size_ <= 1) {
    group.size_ = 1;
    return group;
  }
  group.rank_ = Number({"RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"}, -1);
  if (group.rank_ < 0 || group.rank_ >= group.size_) {
    throw UserError("torchrun and mpirun set RANK and WORLD_SIZE", "rank {} in a group of {}",
                    group.rank_, group.size_);
  }
#ifdef HID_WITH_GLOO
  const std::string host = Variable({"MASTER_ADDR"}, "127.0.0.1");
  // torchrun keeps a store of its own at MASTER_PORT, which speaks the language of its torch's
  // version alone: the leader opens another beside it.
  const bool taken = Variable({"TORCHELASTIC_USE_AGENT_STORE"}, "") == "True";
  const int port = Number({"MASTER_PORT"}, c10d::TCPStoreOptions::kDefaultPort) + (taken ? 1 : 0);
  try {
    c10d::TCPStoreOptions where;
    where.port = static_cast<uint16_t>(port);
    where.isServer = group.leads();
    where.numWorkers = static_cast<size_t>(group.size_);
    where.timeout = kArrival;
    auto options = c10d::ProcessGroupGloo::Options::create(kPatience);
    options->devices.push_back(host == "127.0.0.1" || host == "localhost"
                                   ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                   : c10d::ProcessGroupGloo::createDefaultDevice());
    options->threads = 2;
    group.engine_ = std::make_unique<Engine>();
    group.engine_->store = c10::make_intrusive<c10d::TCPStore>(host, where);
    group.engine_->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(
        group.engine_->store, group.rank_, group.size_, options);
  } catch (const std::exception& error) {
    spdlog::debug("{}", error.what());
    throw UserError("MASTER_ADDR and MASTER_PORT must be the same and reachable for all of them",
                    "process {} of {} did not meet the others at {}:{}", group.rank_, group.size_,
                    host, port);
  }
  return group;
#else
  throw UserError("install libgloo-dev and build again",
                  "built without Gloo: no group of {} processes", group.size_);
#endif
}

template <typename Work>
void ProcessGroup::Exchange(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  try {
    work();
  } catch (const Error&) {  // of our own, not of a partner's end
    throw;
  } catch (const std::exception& error) {
    spdlog::debug("{}", error.what());
#ifdef HID_WITH_NCCL
    if (engine_->nccl) {
      engine_->nccl->abort();  // what the GPU still waits for would be waited for at the end
    }
#endif
    throw UserError(
        "start all of them again with the same command: it goes on from the last checkpoint",
        "process {} of {}: another process has ended", rank_, size_);
  }
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bool ProcessGroup::ExchangesOn(torch::Device device) const {
#ifdef HID_WITH_NCCL
  return size_ > 1 && device.is_cuda() &&
         static_cast<size_t>(ProcessesHere()) <= static_cast<size_t>(torch::cuda::device_count());
#else
  (void)device;
  return false;
#endif
}

#ifdef HID_WITH_GLOO
namespace {

// One message for all: a model has hundreds of small tensors.
torch::Tensor Joined(const std::vector<torch::Tensor>& tensors, torch::Device device) {
  std::vector<torch::Tensor> rows;
  for (const auto& tensor : tensors) {
    rows.push_back(tensor.reshape({-1}).to(device, torch::kFloat32));
  }
  return torch::cat(rows);
}

void Separate(const torch::Tensor& joined, const std::vector<torch::Tensor>& tensors) {
  int64_t offset = 0;
  for (const auto& tensor : tensors) {
    tensor.copy_(joined.narrow(0, offset, tensor.numel()).view_as(tensor));
    offset += tensor.numel();
  }
}

}  // namespace

#endif

void ProcessGroup::AverageOnGpu(const std::vector<torch::Tensor>& tensors) {
#ifdef HID_WITH_NCCL
  if (!engine_->nccl) {
    constexpr uint64_t kBuiltWith =
        uint64_t{NCCL_MAJOR} << 32 | uint64_t{NCCL_MINOR} << 16 | uint64_t{NCCL_PATCH};
    HID_CHECK(torch::cuda::nccl::version() == kBuiltWith,
              "built with headers of NCCL {}.{}.{}, not torch's", NCCL_MAJOR, NCCL_MINOR,
              NCCL_PATCH);
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = kPatience;
    engine_->nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(
        c10::make_intrusive<c10d::PrefixStore>("nccl", engine_->store), rank_, size_, options);
  }
  std::vector<torch::Tensor> all = {Joined(tensors, tensors[0].device())};
  c10d::AllreduceOptions mean;
  mean.reduceOp = c10d::ReduceOp::AVG;
  engine_->nccl->allreduce(all, mean)->wait();
  Separate(all[0], tensors);
#else
  (void)tensors;
#endif
}

void ProcessGroup::Average(const std::vector<torch::Tensor>& tensors) {
  if (size_ == 1 || tensors.empty()) {
    return;
  }
#ifdef HID_WITH_GLOO
  torch::NoGradGuard no_grad;
  Exchange([&] {
    if (ExchangesOn(tensors[0].device())) {
      AverageOnGpu(tensors);
      return;
    }
    std::vector<torch::Tensor> all = {Joined(tensors, torch::kCPU)};
    engine_->gloo->allreduce(all)->wait();
    Separate(all[0].div_(size_), tensors);
  });
#endif
}

void ProcessGroup::Share(const std::vector<torch::Tensor>& tensors) {
  if (size_ == 1) {
    return;
  }
#ifdef HID_WITH_GLOO
  torch::NoGradGuard no_grad;
  Exchange([&] {
    for (const auto& tensor : tensors) {
      std::vector<torch::Tensor> one = {tensor.to(torch::kCPU).contiguous()};
      engine_->gloo->broadcast(one)->wait();
      tensor.copy_(one[0]);
    }
  });
#else
  (void)tensors;
#endif
}

bool ProcessGroup::Any(bool value) {
  const auto flag = torch::tensor(value ? 1.0F : 0.0F);
  Average({flag});
  return flag.item<float>() > 0;
}

}  // namespace hidreamer::nn
