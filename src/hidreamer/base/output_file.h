#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

// Files that a user names to be written at the end of some work: --json, --picture, --out.
//   - A regular file is written beside its place and renamed. One that is there is replaced if it
//     is empty or carries the mark of this program for files of this kind: a JSON key, a PNG or
//     WebP chunk, safetensors metadata (kWrittenBy), a page's generator.
//   - Anything else (a pipe, a terminal, /dev/stdout, /dev/fd/3) is written to, never replaced.
//   - Links are followed.
namespace hidreamer {

enum class FileKind { kJson, kPng, kWebp, kSafetensors, kHtml };

// The mark, for the metadata of a safetensors file; pages bring their own, the other kinds
// are marked when written.
inline const std::pair<const std::string, std::string> kWrittenBy = {"written_by", "hidreamer"};

// Before the work: throws a user Error if the file cannot be written in the end. Leaves no trace.
void CheckOutputFile(const std::filesystem::path& path, FileKind kind);

// After it: JSON is one object. Errors as CheckOutputFile's.
void WriteOutputFile(const std::filesystem::path& path, FileKind kind, std::string_view bytes);

// Whether it is a pipe, a terminal and the like, or one of the process's open files.
bool IsSpecialFile(const std::filesystem::path& path);

// Whether it is this process's standard output: words for people then belong elsewhere.
bool IsStandardOutput(const std::filesystem::path& path);

}  // namespace hidreamer
