#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace hidreamer::env {

// A few threads that do the same small piece of work over and over.
class ThreadTeam {
 public:
  // `threads` >= 1 in all, the calling one included.
  explicit ThreadTeam(int threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }
  // Calls work(i) once for each i in [0, count), spread over the team, and returns when all are
  // done. Rethrows the exception of the lowest i that threw.
  void ForEach(int count, const std::function<void(int)>& work);

 private:
  void Run();
  void Drain(std::unique_lock<std::mutex>& lock);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable start_;
  std::condition_variable done_;
  const std::function<void(int)>* work_ = nullptr;
  int count_ = 0;
  int next_ = 0;
  int running_ = 0;
  uint64_t round_ = 0;
  bool stop_ = false;
  int failed_index_ = 0;
  std::exception_ptr failure_;
};

// `requested` where it is above 0, else DefaultThreads().
int ThreadCount(int64_t requested);

}  // namespace hidreamer::env
