// The man page and the shell's completion, from the same declarations as --help.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>
#include <string>
#include <vector>

#include "commands.h"
#include "hidreamer/config/dump.h"
#include "hidreamer/config/presets.h"
#include "hidreamer/env/registry.h"

namespace hidreamer::app {
namespace {

enum class Below { kCommands, kOptionGroups };  // CLI11 keeps both in one list

std::vector<const CLI::App*> Of(const CLI::App& command, Below which) {
  return command.get_subcommands([which](const CLI::App* below) {
    return below->get_name().empty() == (which == Below::kOptionGroups);
  });
}

// Visits every command with its full name: "agent", "train policy", …
void ForEachCommand(const CLI::App& app, const std::string& above,
                    const std::function<void(const std::string&, const CLI::App&)>& visit) {
  for (const CLI::App* command : Of(app, Below::kCommands)) {
    const std::string name =
        above.empty() ? command->get_name() : above + " " + command->get_name();
    visit(name, *command);
    ForEachCommand(*command, name, visit);
  }
}

// Its options, those in option groups included.
std::vector<const CLI::Option*> OptionsOf(const CLI::App& command) {
  std::vector<const CLI::Option*> options = command.get_options();
  for (const CLI::App* group : Of(command, Below::kOptionGroups)) {
    for (const CLI::Option* option : OptionsOf(*group)) {
      if (option != group->get_help_ptr()) {
        options.push_back(option);
      }
    }
  }
  return options;
}

// Escapes text for a man page: roff's own characters, and all that is not ASCII.
std::string Roff(const std::string& text) {
  std::string roff = text.starts_with('.') || text.starts_with('\'') ? "\\&" : "";
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      roff += byte == '\\' ? "\\e" : byte == '-' ? "\\-" : std::string(1, text[i]);
      continue;
    }
    const int more = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;  // bytes of UTF-8 that follow
    uint32_t code = byte & (0x3f >> more);
    for (int k = 0; k < more && i + 1 < text.size(); ++k) {
      code = (code << 6) | (static_cast<unsigned char>(text[++i]) & 0x3f);
    }
    roff += fmt::format("\\[u{:04X}]", code);
  }
  return roff;
}

std::string Lines(const std::string& text) {
  std::string lines;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines += Roff(text.substr(begin, end - begin)) + "\n.br\n";
    begin = end + 1;
  }
  return lines;
}

std::string ManPage(const CLI::App& app) {
  std::string page = fmt::format(
      ".TH HIDREAMER 1 \"\" \"hidreamer {}\" \"User Commands\"\n.SH NAME\nhidreamer \\- learns to "
      "play Atari inside a hierarchical discrete world model\n.SH SYNOPSIS\n.B hidreamer\n.I "
      "COMMAND\n[OPTIONS]\n.SH DESCRIPTION\n{}.SH COMMANDS\n",
      HID_VERSION, Lines(app.get_footer()));
  ForEachCommand(app, "", [&](const std::string& name, const CLI::App& command) {
    page += fmt::format(".SS {}\n{}\n", Roff(name), Roff(command.get_description()));
    for (const CLI::Option* option : OptionsOf(command)) {
      const std::string value = option->get_items_expected_max() > 0 && option->nonpositional()
                                    ? fmt::format(" \\fI{}\\fR", Roff(option->get_type_name()))
                                    : "";
      page += fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", Roff(option->get_name(true, true)), value,
                          Roff(option->get_description()));
    }
    if (!command.get_footer().empty()) {
      page += ".PP\n" + Lines(command.get_footer());
    }
  });
  return page;
}

std::string BashCompletion(const CLI::App& app) {
  std::string cases;
  std::vector<std::string> commands;
  ForEachCommand(app, "", [&](const std::string& name, const CLI::App& command) {
    if (name.find(' ') == std::string::npos) {
      commands.push_back(name);
    }
    std::vector<std::string> words;
    for (const CLI::Option* option : OptionsOf(command)) {
      for (const std::string& long_name : option->get_lnames()) {
        words.push_back("--" + long_name);
      }
    }
    for (const CLI::App* below : Of(command, Below::kCommands)) {
      words.push_back(below->get_name());
    }
    cases += fmt::format("    '{}') words='{}' ;;\n", name, fmt::join(words, " "));
  });
  std::vector<std::string> presets, keys;
  for (const auto& [name, text] : config::Presets()) {
    presets.push_back(name);
  }
  for (const auto& [key, value] : config::Flatten(config::Preset("cpu"))) {
    keys.push_back(key + "=");
  }
  return fmt::format(
      R"(# Completion of hidreamer for bash; for zsh behind: autoload -U bashcompinit && bashcompinit
_hidreamer() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command= word words
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    [[ $word == -* ]] && break
    command+="${{command:+ }}$word"
    [[ $word != train && $command != "train $word" ]] && break
  done
  COMPREPLY=()
  case $before in
    --game) COMPREPLY=($(compgen -W '{}' -- "$current")); return ;;
    --preset) COMPREPLY=($(compgen -W '{}' -- "$current")); return ;;
    --set) compopt -o nospace 2>/dev/null
      COMPREPLY=($(compgen -W '{}' -- "$current")); return ;;
  esac
  case $command in
    '') words='--help --version {}' ;;
{}  esac
  [[ $current == -* || -z $command || $command == train ]] && COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _hidreamer hidreamer
)",
      fmt::join(env::GameNames(), " "), fmt::join(presets, " "), fmt::join(keys, " "),
      fmt::join(commands, " "), cases);
}

}  // namespace

void AddShellCommands(CLI::App& app) {
  CLI::App* manual = app.add_subcommand("manual", "print all commands as a man page");
  manual->footer("Example: hidreamer manual | man -l -");
  manual->callback([&app] { fmt::print("{}", ManPage(app)); });
  CLI::App* completion =
      app.add_subcommand("completion", "print what bash and zsh need to complete command lines");
  completion->footer(
      "Example: hidreamer completion > ~/.local/share/bash-completion/completions/hidreamer");
  completion->callback([&app] { fmt::print("{}", BashCompletion(app)); });
}

}  // namespace hidreamer::app
