#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace hidreamer::integration {

// How a run of the program ended, and all that it wrote.
struct Outcome {
  int code = -1;     // exit code, or -1 where a signal ended it
  int signal = 0;    // that signal
  std::string text;  // stdout and stderr together
};

// The hidreamer program as a child process, with a temporary directory of its own for output.
class Program {
 public:
  // Starts it. `log` receives its output.
  Program(const std::vector<std::string>& arguments, std::filesystem::path log);

  void Signal(int signal) const;
  // Waits up to `seconds`; false if it still runs.
  bool WaitFor(double seconds);
  // Waits to the end.
  Outcome Wait();

 private:
  pid_t process_ = -1;
  int status_ = 0;
  bool ended_ = false;
  std::filesystem::path log_;
};

// Runs it to the end.
Outcome RunProgram(const std::vector<std::string>& arguments);

}  // namespace hidreamer::integration
