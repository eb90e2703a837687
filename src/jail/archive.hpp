#pragma once
// What is in an archive: zip, tar (plain, gz, zst, xz, bz2), 7z, or one file compressed alone. Archives in archives stay closed.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace bavn::jail {

struct Member {
  std::string_view name;     // as the archive says it: a label for people, never a path to write to
  std::uint64_t size = 0;    // unpacked, as counted, not as claimed
  std::string_view content;  // empty in a list
};

/// Files only (no folders, links, devices) in the flat form that members_of reads.
/// Errors: bad_input, for the whole archive: no archive, broken, encrypted, or beyond a limit: 10,000 members, names of 4 KiB,
/// 128 MiB unpacked, 200 times its own size (from 1 MiB unpacked on). What came before a fault is not handed out.
Result<std::string> archive_members(std::string_view archive, bool with_content);

/// Reads the flat form; the views live as long as `flat`. Errors: corrupt, when lengths do not add up.
Result<std::vector<Member>> members_of(std::string_view flat);

/// Makes libarchive load what it loads late, before the sandbox closes.
void warm_up_archives();

}  // namespace bavn::jail
