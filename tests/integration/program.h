#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace hidreamer::integration {

using Words = std::vector<std::string>;
Words operator+(Words words, const Words& more);

// How a run of the program ended, and all that it wrote.
struct Outcome {
  int code = -1;     // exit code, or -1 where a signal ended it
  int signal = 0;    // that signal
  std::string text;  // stdout and stderr together
};

// The hidreamer program as a child process, which does not outlive it.
class Program {
 public:
  // Starts it. `log` receives its output.
  Program(const Words& arguments, std::filesystem::path log);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

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
Outcome RunProgram(const Words& arguments);

// A test with an empty directory of its own.
class ProgramTest : public ::testing::Test {
 protected:
  ProgramTest();
  ~ProgramTest() override;

  const std::filesystem::path root_;
};

// hidreamer agent on catch for some seconds: 1,600 steps, most networks as small as they can be.
Words ShortAgent(const std::filesystem::path& out, const Words& settings = {});

// The page that a program serves, as a browser sees it.
class ServedPage {
 public:
  // Waits until the program has written its address into `log`; should it end first, the test
  // fails.
  ServedPage(Program& program, const std::filesystem::path& log);

  int port() const { return port_; }
  const std::string& query() const { return query_; }  // "" or "?token=…"
  // The answer to POST /api/NAME; the test fails where its status is another.
  nlohmann::json Call(const std::string& name, const nlohmann::json& asked, int status = 200) const;
  // Opens the page in Chromium with a script added to it. `script` is the body of an asynchronous
  // function, beside the page's own names: `until(holds)` waits for what it says, `wait` some
  // milliseconds. Returns the object that it returns; null where it does not within
  // `milliseconds` of the browser's clock. profile: an empty directory of the browser's own.
  nlohmann::json RunInBrowser(const std::string& script, const std::filesystem::path& profile,
                              int milliseconds) const;

 private:
  int port_ = 0;
  std::string query_;
};

}  // namespace hidreamer::integration
