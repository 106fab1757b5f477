#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

// For tests alone: programs of the machine, and pages in a browser.
namespace hidreamer::web {

// The first of these programs that is installed, or "".
inline std::string Installed(const std::vector<std::string>& programs) {
  for (const std::string& program : programs) {
    if (std::system(("command -v " + program + " >/dev/null 2>&1").c_str()) == 0) {
      return program;
    }
  }
  return "";
}

// "" where none is installed.
inline std::string Browser() {
  return Installed({"chromium", "chromium-browser", "google-chrome"});
}

inline std::string OutputOf(const std::string& command) {
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  std::string text(1 << 16, '\0'), all;
  while (const size_t count = std::fread(text.data(), 1, text.size(), pipe)) {
    all.append(text, 0, count);
  }
  ::pclose(pipe);
  return all;
}

// What headless Chromium has made of a page after some milliseconds of its own clock, or (0) once
// it was loaded, as HTML. "" where none is installed. `profile`: an empty directory of the
// browser's own.
inline std::string PageInBrowser(const std::string& address, const std::filesystem::path& profile,
                                 int milliseconds = 0) {
  const std::string browser = Browser();
  if (browser.empty()) {
    return "";
  }
  const std::string clock =
      milliseconds > 0 ? " --virtual-time-budget=" + std::to_string(milliseconds) : "";
  return OutputOf("timeout 200 " + browser +
                  " --headless --no-sandbox --disable-gpu --user-data-dir='" + profile.string() +
                  "'" + clock + " --dump-dom '" + address + "' 2>/dev/null");
}

// The text of the last <pre> of a page; "nothing" where there is none.
inline std::string LastPre(const std::string& page) {
  const size_t begin = page.rfind("<pre"), end = page.rfind("</pre>");
  return begin < end ? page.substr(page.find('>', begin) + 1, end - page.find('>', begin) - 1)
                     : "nothing";
}

}  // namespace hidreamer::web
