#include "hidreamer/training/process_group.h"

#include <netdb.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>

#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"

#if __has_include(<gloo/context.h>) && defined(USE_C10D_GLOO)
#define HID_WITH_GLOO 1
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#if defined(HID_CUDA) && defined(USE_C10D_NCCL)
#define HID_WITH_NCCL 1
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#endif

namespace hidreamer::training {
namespace {

// A partner may be evaluating meanwhile. One that died is noticed at once: its connection closes.
constexpr auto kPatience = std::chrono::minutes(60);
constexpr auto kArrival = std::chrono::minutes(5);
constexpr auto kBetweenLooks = std::chrono::milliseconds(200);
constexpr auto kBetweenMessages = std::chrono::seconds(30);

// What says how many processes there are, and which of them this is.
struct Launcher {
  const char* size;
  const char* rank;
};
// Slurm sets SLURM_NTASKS and SLURM_PROCID in a batch script too, which runs once: only a step that
// srun started has SLURM_STEP_NUM_TASKS.
constexpr std::array<Launcher, 4> kLaunchers = {{
    {"WORLD_SIZE", "RANK"},
    {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
    {"PMI_SIZE", "PMI_RANK"},
    {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},
}};

// "" where it is not set.
std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

int Number(const char* name) {
  const std::string text = Variable(name);
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  // Slurm counts the tasks of each node as "4(x2),3".
  const bool whole = end == text.data() + text.size() || *end == '(' || *end == ',';
  if (error != std::errc() || !whole) {
    throw UserError("torchrun, mpirun and srun set it; unset it to train with one process",
                    "{} = {} is not a whole number", name, text);
  }
  return number;
}

// The first of these variables that is set; `otherwise` where none is.
int FirstNumber(std::initializer_list<const char*> names, int otherwise) {
  for (const char* name : names) {
    if (!Variable(name).empty()) {
      return Number(name);
    }
  }
  return otherwise;
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
  return FirstNumber(
      {"LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"}, 0);
}

int ProcessGroup::ProcessesHere() {
  return FirstNumber({"LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS",
                      "SLURM_STEP_TASKS_PER_NODE"},
                     1);
}

ProcessGroup::Place ProcessGroup::PlaceFromEnvironment() {
  for (const auto& [size, rank] : kLaunchers) {
    if (Variable(size).empty()) {
      continue;
    }
    const std::string given = Variable(rank);
    const Place place{
        .size = Number(size), .rank = given.empty() ? -1 : Number(rank), .variable = size};
    if (place.size <= 1) {
      return {};
    }
    if (place.rank < 0 || place.rank >= place.size) {
      throw UserError(
          fmt::format("torchrun, mpirun and srun set both; unset {} to train with one process",
                      size),
          "{} = {} asks for {} processes, but {} is {}", size, place.size, place.size, rank,
          given.empty() ? "not set" : fmt::format("{}, not 0 to {}", given, place.size - 1));
    }
    return place;
  }
  return {};
}

#ifdef HID_WITH_GLOO
namespace {

// Waits until the others are there, says for whom, and ends on the first signal.
class Arrival {
 public:
  Arrival(ProcessGroup::Place place, std::string address)
      : place_(std::move(place)), address_(std::move(address)) {}

  // Looks until `there()` is true. `missing()` says who is not yet.
  template <typename There, typename Missing>
  void WaitFor(const There& there, const Missing& missing) {
    while (!there()) {
      const auto now = std::chrono::steady_clock::now();
      if (InterruptRequested()) {
        throw Interrupted();
      }
      if (now - start_ > kArrival) {
        throw UserError(fmt::format("MASTER_ADDR and MASTER_PORT must be the same and reachable "
                                    "for all of them; unset {} to train with one process",
                                    place_.variable),
                        "process {} of {} waited in vain for {} at {}", place_.rank, place_.size,
                        missing(), address_);
      }
      if (now >= next_message_) {
        spdlog::info("{} = {}: this is process {} of {}, which waits at {} for {}", place_.variable,
                     place_.size, place_.rank, place_.size, address_, missing());
        next_message_ = now + kBetweenMessages;
      }
      std::this_thread::sleep_for(kBetweenLooks);
    }
  }

 private:
  ProcessGroup::Place place_;
  std::string address_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point next_message_ = start_;
};

bool IsListening(const std::string& host, int port) {
  addrinfo wanted = {};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found) != 0) {
    return false;
  }
  bool listening = false;
  for (const addrinfo* at = found; at != nullptr && !listening; at = at->ai_next) {
    const int socket = ::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) {
      continue;
    }
    const timeval patience{.tv_sec = 1, .tv_usec = 0};
    ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    listening = ::connect(socket, at->ai_addr, at->ai_addrlen) == 0;
    ::close(socket);
  }
  ::freeaddrinfo(found);
  return listening;
}

// Newer versions of torch ask for libuv, which Debian builds them without.
template <class StoreOptions>
void WithoutLibUv(StoreOptions& options) {
  if constexpr (requires { options.useLibUV; }) {
    options.useLibUV = false;
  }
}

}  // namespace

void ProcessGroup::Meet(const Place& place) {
  const std::string named = Variable("MASTER_ADDR");
  const std::string host = named.empty() ? "127.0.0.1" : named;
  // torchrun keeps a store of its own at MASTER_PORT, which speaks the language of its torch's
  // version alone: the leader opens another beside it.
  const int beside = Variable("TORCHELASTIC_USE_AGENT_STORE") == "True" ? 1 : 0;
  const int port = FirstNumber({"MASTER_PORT"}, c10d::TCPStoreOptions::kDefaultPort) + beside;
  Arrival arrival(place, fmt::format("{}:{}", host, port));
  try {
    if (!leads()) {
      arrival.WaitFor([&] { return IsListening(host, port); }, [] { return "process 0"; });
    }
    c10d::TCPStoreOptions where;
    where.port = static_cast<uint16_t>(port);
    where.isServer = leads();
    where.numWorkers = static_cast<size_t>(size_);
    where.waitWorkers = false;  // it would not end on a signal
    where.timeout = kArrival;
    WithoutLibUv(where);
    engine_ = std::make_unique<Engine>();
    engine_->store = c10::make_intrusive<c10d::TCPStore>(host, where);
    int64_t arrived = engine_->store->add("arrived", 1);
    arrival.WaitFor(
        [&] {
          arrived = engine_->store->add("arrived", 0);
          return arrived >= size_;
        },
        [&] { return fmt::format("{} of the others", size_ - arrived); });
    auto options = c10d::ProcessGroupGloo::Options::create(kPatience);
    options->devices.push_back(host == "127.0.0.1" || host == "localhost"
                                   ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                   : c10d::ProcessGroupGloo::createDefaultDevice());
    options->threads = 2;
    engine_->gloo =
        c10::make_intrusive<c10d::ProcessGroupGloo>(engine_->store, rank_, size_, options);
  } catch (const Error&) {
    throw;
  } catch (const Interrupted&) {
    throw;
  } catch (const std::exception& error) {
    spdlog::debug("{}", error.what());
    throw UserError("MASTER_ADDR and MASTER_PORT must be the same and reachable for all of them",
                    "process {} of {} did not meet the others at {}:{}", rank_, size_, host, port);
  }
}
#else
void ProcessGroup::Meet(const Place& place) {
  throw UserError("install libgloo-dev and build again",
                  "built without Gloo: no group of {} processes", place.size);
}
#endif

ProcessGroup ProcessGroup::FromEnvironment() {
  const Place place = PlaceFromEnvironment();
  ProcessGroup group;
  group.size_ = place.size;
  group.rank_ = place.rank;
  if (group.size_ > 1) {
    group.Meet(place);
  }
  return group;
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

}  // namespace hidreamer::training
