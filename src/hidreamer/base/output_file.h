#pragma once

#include <filesystem>
#include <string_view>

// Files that a user names to be written at the end of some work: --json, --picture, --out.
//   - A regular file is written beside its place and renamed; one that is there is replaced if it
//     is empty or of the same kind, so that a slip of the pen costs nobody's text.
//   - Anything else (a pipe, a terminal, /dev/stdout, /dev/fd/3) is written to, never replaced.
//   - Links are followed.
namespace hidreamer {

enum class FileKind { kJson, kPng, kWebp, kSafetensors };

// Before the work: throws a user Error if the file cannot be written in the end. Leaves no trace.
void CheckOutputFile(const std::filesystem::path& path, FileKind kind);

// After it. Errors as CheckOutputFile's.
void WriteOutputFile(const std::filesystem::path& path, FileKind kind, std::string_view bytes);

// Whether it is a pipe, a terminal and the like, or one of the process's open files.
bool IsSpecialFile(const std::filesystem::path& path);

// Whether it is this process's standard output: words for people then belong elsewhere.
bool IsStandardOutput(const std::filesystem::path& path);

}  // namespace hidreamer
