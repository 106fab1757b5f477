#include "program.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"

namespace hidreamer::integration {

Program::Program(const std::vector<std::string>& arguments, std::filesystem::path log)
    : log_(std::move(log)) {
  std::vector<std::string> words = {HID_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  process_ = ::fork();
  HID_CHECK(process_ >= 0, "cannot fork");
  if (process_ == 0) {
    const int file = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(file, STDOUT_FILENO);
    ::dup2(file, STDERR_FILENO);
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
  }
}

void Program::Signal(int signal) const { ::kill(process_, signal); }

bool Program::WaitFor(double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!ended_) {
    ended_ = ::waitpid(process_, &status_, WNOHANG) == process_;
    if (ended_ || std::chrono::steady_clock::now() >= end) {
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return ended_;
}

Outcome Program::Wait() {
  if (!ended_) {
    ::waitpid(process_, &status_, 0);
    ended_ = true;
  }
  Outcome outcome;
  if (WIFEXITED(status_)) {
    outcome.code = WEXITSTATUS(status_);
  } else {
    outcome.signal = WTERMSIG(status_);
  }
  outcome.text = ReadFile(log_);
  return outcome;
}

Outcome RunProgram(const std::vector<std::string>& arguments) {
  const std::filesystem::path log =
      std::filesystem::temp_directory_path() / ("hid_program_" + std::to_string(::getpid()));
  Outcome outcome = Program(arguments, log).Wait();
  std::filesystem::remove(log);
  return outcome;
}

}  // namespace hidreamer::integration
