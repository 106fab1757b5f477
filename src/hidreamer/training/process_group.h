#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace hidreamer::training {

// The processes that train one model together, each on its share of every batch (data parallel),
// over torch's distributed engine (c10d): Gloo over TCP, and NCCL for tensors on GPUs where each
// process has one of its own. A group of one exchanges nothing. Every process must make the same
// calls in the same order; they wait for each other. Where another process has ended, a call throws
// a user Error.
class ProcessGroup {
 public:
  ProcessGroup();  // of one
  ~ProcessGroup();
  ProcessGroup(ProcessGroup&&) noexcept;

  struct Place {
    int size = 1, rank = 0;
    std::string variable = {};  // that says so
  };
  // What torchrun (RANK, WORLD_SIZE), Open MPI (OMPI_COMM_WORLD_RANK, …), another MPI (PMI_RANK, …)
  // or srun started this process as; alone where none did. A user Error where size and rank do not
  // fit.
  static Place PlaceFromEnvironment();

  // The group at that place. Waits until all are there, at MASTER_ADDR and MASTER_PORT; says at
  // once, and again every half minute, for whom, and ends on the first signal (Interrupted).
  static ProcessGroup FromEnvironment();

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool leads() const { return rank_ == 0; }  // writes files and checkpoints
  // Processes of the group on this machine, and which of them this is, as far as the environment
  // says; they share its cores and GPUs.
  static int ProcessesHere();
  static int RankHere();

  // Whether tensors there are exchanged without the host waiting: what averages them can then be
  // recorded (CapturedGraph).
  bool ExchangesOn(torch::Device device) const;

  // Each tensor becomes its mean over all processes, in place.
  void Average(const std::vector<torch::Tensor>& tensors);
  // Each tensor becomes the leader's, in place.
  void Share(const std::vector<torch::Tensor>& tensors);
  // True everywhere if it is true anywhere.
  bool Any(bool value);

  double seconds() const { return seconds_; }  // spent in the calls above, waiting included

 private:
  struct Engine;

  void Meet(const Place& place);
  template <typename Work>
  void Exchange(const Work& work);
  void AverageOnGpu(const std::vector<torch::Tensor>& tensors);

  int rank_ = 0, size_ = 1;
  double seconds_ = 0;
  std::unique_ptr<Engine> engine_;
};

}  // namespace hidreamer::training
