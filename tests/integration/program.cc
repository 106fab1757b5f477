#include "program.h"

#include <fcntl.h>
#include <httplib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <regex>
#include <thread>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/web/test_browser.h"

namespace hidreamer::integration {

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Program::Program(const Words& arguments, std::filesystem::path log) : log_(std::move(log)) {
  Words words = Words{HID_PROGRAM} + arguments;
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

Program::~Program() {
  if (!ended_) {
    Signal(SIGKILL);
    ::waitpid(process_, nullptr, 0);
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

Outcome RunProgram(const Words& arguments) {
  const std::filesystem::path log =
      std::filesystem::temp_directory_path() / ("hid_program_" + std::to_string(::getpid()));
  Outcome outcome = Program(arguments, log).Wait();
  std::filesystem::remove(log);
  return outcome;
}

ProgramTest::ProgramTest()
    : root_(std::filesystem::temp_directory_path() /
            ("hid_program_test_" + std::to_string(::getpid()))) {
  std::filesystem::remove_all(root_);
  std::filesystem::create_directories(root_);
}

ProgramTest::~ProgramTest() { std::filesystem::remove_all(root_); }

Words ShortAgent(const std::filesystem::path& out, const Words& settings) {
  Words words = {"agent", "--preset", "test", "--steps", "1600", "--out", out};
  for (const char* setting :
       {"threads=1", "collect.prefill=256", "collect.steps_per_update=16",
        "tokenizer.warmup_updates=8", "tokenizer.batch=16", "world_model.batch=4", "policy.batch=8",
        "policy.start_after=4", "evaluation.times=2", "evaluation.episodes=2"}) {
    words.insert(words.end(), {"--set", setting});
  }
  for (const std::string& setting : settings) {
    words.insert(words.end(), {"--set", setting});
  }
  return words;
}

ServedPage::ServedPage(Program& program, const std::filesystem::path& log) {
  static const std::regex address("http://[0-9.]+:(\\d+)/(\\?token=[0-9a-f]{32})?");
  std::smatch found;
  for (std::string text; !std::regex_search(text, found, address); text = ReadFile(log)) {
    if (program.WaitFor(0.05)) {
      ADD_FAILURE() << program.Wait().text;
      return;
    }
  }
  port_ = std::stoi(found[1]);
  query_ = found[2];
}

nlohmann::json ServedPage::Call(const std::string& name, const nlohmann::json& asked,
                                int status) const {
  httplib::Client browser("127.0.0.1", port_);
  browser.set_read_timeout(60);
  const auto got = browser.Post("/api/" + name, asked.dump(), "application/json");
  EXPECT_TRUE(got) << "no answer to " << name;
  if (!got) {
    return {};
  }
  EXPECT_EQ(got->status, status) << got->body;
  return nlohmann::json::parse(got->body);
}

nlohmann::json ServedPage::RunInBrowser(const std::string& script,
                                        const std::filesystem::path& profile,
                                        int milliseconds) const {
  // A server between the two gives the page with the script, and passes the page's calls on.
  std::string html = httplib::Client("127.0.0.1", port_).Get("/" + query_)->body;
  html.insert(html.rfind("</body>"), R"(<script>
    const wait = milliseconds => new Promise(done => setTimeout(done, milliseconds));
    const until = async holds => { for (let i = 0; i < 400 && !holds(); ++i) await wait(10); return Boolean(holds()); };
    (async () => {)" + script + R"(})().catch(error => ({error: String(error)})).then(result =>
      document.body.replaceChildren(Object.assign(document.createElement("pre"), {textContent: JSON.stringify(result)})));
    </script>)");
  httplib::Server between;
  between.Get("/", [&](const httplib::Request&, httplib::Response& answer) {
    answer.set_content(html, "text/html");
  });
  between.Post("/api/.*", [&](const httplib::Request& asked, httplib::Response& answer) {
    const auto got =
        httplib::Client("127.0.0.1", port_).Post(asked.path, asked.body, "application/json");
    answer.status = got->status;
    answer.set_content(got->body, "application/json");
  });
  const int port = between.bind_to_any_port("127.0.0.1");
  std::thread server([&] { between.listen_after_bind(); });
  const std::string shown =
      web::PageInBrowser("http://127.0.0.1:" + std::to_string(port) + "/", profile, milliseconds);
  between.stop();
  server.join();
  const auto result =
      nlohmann::json::parse(web::LastPre(shown), nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(result.is_discarded()) << shown.substr(0, 2000);
  return result.is_discarded() ? nlohmann::json() : result;
}

}  // namespace hidreamer::integration
