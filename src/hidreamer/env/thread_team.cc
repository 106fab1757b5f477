#include "hidreamer/env/thread_team.h"

#include <algorithm>

#include "hidreamer/base/cores.h"
#include "hidreamer/base/error.h"

namespace hidreamer::env {

ThreadTeam::ThreadTeam(int threads) {
  HID_CHECK(threads >= 1, "threads = {}", threads);
  for (int i = 1; i < threads; ++i) {
    workers_.emplace_back([this] {
      RunOnAnyCore();
      Run();
    });
  }
}

ThreadTeam::~ThreadTeam() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (std::thread& worker : workers_) {
    worker.join();
  }
}

void ThreadTeam::ForEach(int count, const std::function<void(int)>& work) {
  std::unique_lock<std::mutex> lock(mutex_);
  HID_CHECK(work_ == nullptr, "a team does one thing at a time");
  work_ = &work;
  count_ = count;
  next_ = 0;
  failure_ = nullptr;
  ++round_;
  start_.notify_all();
  Drain(lock);
  done_.wait(lock, [this] { return running_ == 0; });
  work_ = nullptr;
  if (failure_) {
    std::rethrow_exception(failure_);
  }
}

void ThreadTeam::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  uint64_t seen = 0;
  while (true) {
    start_.wait(lock, [&] { return stop_ || round_ != seen; });
    if (stop_) {
      return;
    }
    seen = round_;
    Drain(lock);
  }
}

// Takes pieces of the current round until none is left. `lock` is held on entry and on return.
void ThreadTeam::Drain(std::unique_lock<std::mutex>& lock) {
  while (work_ != nullptr && next_ < count_) {
    const int index = next_++;
    const auto* work = work_;
    ++running_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      (*work)(index);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    --running_;
    if (failure && (!failure_ || index < failed_index_)) {
      failure_ = failure;
      failed_index_ = index;
    }
  }
  if (running_ == 0) {
    done_.notify_one();
  }
}

int ThreadCount(int64_t requested) {
  if (requested > 0) {
    return static_cast<int>(requested);
  }
  return DefaultThreads();
}

}  // namespace hidreamer::env
