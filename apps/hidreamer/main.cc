#include <fmt/format.h>
#include <torch/torch.h>

#include <cstdio>
#include <exception>

#include "commands.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/base/log.h"

namespace {

constexpr int kUserErrorCode = 2;
constexpr int kInternalErrorCode = 70;
constexpr int kInterruptedCode = 130;

int ReportError(const hidreamer::Error& error) {
  const bool user = error.kind() == hidreamer::Error::Kind::kUser;
  fmt::print(stderr, "{}: {}\n", user ? "error" : "internal error", error.what());
  if (!error.hint().empty()) {
    fmt::print(stderr, "hint: {}\n", error.hint());
  }
  return user ? kUserErrorCode : kInternalErrorCode;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("hidreamer: learns to play Atari inside a hierarchical discrete world model");
  app.require_subcommand(1);
  bool verbose = false;
  app.add_flag("-v,--verbose", verbose, "more messages");
  app.parse_complete_callback([&] { hidreamer::InitializeLog(verbose); });
  hidreamer::InstallInterruptHandler();
  hidreamer::app::AddCollectCommand(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUserErrorCode;
  } catch (const hidreamer::Interrupted&) {
    fmt::print(stderr, "interrupted; the same command goes on from here\n");
    return kInterruptedCode;
  } catch (const hidreamer::Error& error) {
    return ReportError(error);
  } catch (const c10::Error& error) {
    fmt::print(stderr, "internal error: {}\n", error.what_without_backtrace());
    return kInternalErrorCode;
  } catch (const std::exception& error) {
    fmt::print(stderr, "internal error: {}\n", error.what());
    return kInternalErrorCode;
  }
}
