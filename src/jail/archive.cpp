#include "jail/archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <cstring>
#include <memory>

#include "base/text.hpp"

namespace bavn::jail {

namespace {

constexpr std::size_t kMaxMembers = 10'000;
constexpr std::size_t kMaxName = 4096;
constexpr std::uint64_t kMaxUnpacked = 128U << 20;
constexpr std::uint64_t kMaxRatio = 200, kRatioFrom = 1U << 20;

// The flat form: for each member this, then the name, then the content.
struct MemberHead {
  std::uint64_t name_size = 0;
  std::uint64_t size = 0;
  std::uint64_t content_size = 0;
};

using Reader = std::unique_ptr<archive, int (*)(archive*)>;

Reader open_reader() {
  Reader reader(archive_read_new(), archive_read_free);
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_filter_bzip2(reader.get());
  archive_read_support_filter_xz(reader.get());
  archive_read_support_filter_zstd(reader.get());
  archive_read_support_format_zip(reader.get());
  archive_read_support_format_tar(reader.get());
  archive_read_support_format_7zip(reader.get());
  archive_read_support_format_raw(reader.get());               // one file compressed alone
  archive_read_set_options(reader.get(), "hdrcharset=UTF-8");  // no conversion: iconv would open files
  return reader;
}

std::unexpected<Error> refused(archive* reader, std::string_view doing) {
  const char* why = archive_error_string(reader);
  return fail(Code::bad_input, fmt::format("archive: {}: {}", doing, repair_utf8(why == nullptr ? "broken" : why)));
}

}  // namespace

Result<std::string> archive_members(std::string_view packed, bool with_content) {
  const Reader reader = open_reader();
  if (archive_read_open_memory(reader.get(), packed.data(), packed.size()) != ARCHIVE_OK)
    return refused(reader.get(), "cannot be opened");
  std::string out;
  std::uint64_t unpacked = 0;
  std::string block(64 * 1024, '\0');
  for (std::size_t members = 0;;) {
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(reader.get(), &entry);
    if (status == ARCHIVE_EOF) break;
    if (status < ARCHIVE_WARN) return refused(reader.get(), "not one that can be read");
    const bool raw = archive_format(reader.get()) == ARCHIVE_FORMAT_RAW;
    if (raw && archive_filter_count(reader.get()) < 2)
      return fail(Code::bad_input, "archive: neither zip, tar, 7z nor a compressed file");
    if (archive_entry_is_encrypted(entry) > 0)
      return fail(Code::bad_input, "archive: encrypted; it can only be read with its password");
    if (archive_entry_filetype(entry) != AE_IFREG && !raw) continue;
    if (++members > kMaxMembers) return fail(Code::bad_input, "archive: more than 10,000 members");

    const char* name = raw ? "data" : archive_entry_pathname(entry);
    if (name == nullptr) name = archive_entry_pathname_utf8(entry);  // 7z names in a process of locale C
    const std::string label = repair_utf8(name == nullptr ? "" : std::string_view(name).substr(0, kMaxName));
    if (name != nullptr && std::strlen(name) > kMaxName)
      return fail(Code::bad_input, "archive: a name longer than 4 KiB");
    MemberHead head{.name_size = label.size(), .size = 0, .content_size = 0};
    const std::size_t head_at = out.size();
    out.append(sizeof head, '\0');
    out += label;
    // In a list too: only unpacking shows whether the archive tells the truth, and next_header unpacks what was not read.
    for (;;) {
      const la_ssize_t n = archive_read_data(reader.get(), block.data(), block.size());
      if (n == 0) break;
      if (n < 0) return refused(reader.get(), fmt::format("{} cannot be unpacked", label));
      unpacked += static_cast<std::uint64_t>(n);
      if (unpacked > kMaxUnpacked) return fail(Code::bad_input, "archive: unpacks to more than 128 MiB");
      if (unpacked > kRatioFrom && unpacked / kMaxRatio > packed.size())
        return fail(Code::bad_input, "archive: unpacks to more than 200 times its size, as bombs do");
      head.size += static_cast<std::uint64_t>(n);
      if (with_content) out.append(block.data(), static_cast<std::size_t>(n));
    }
    head.content_size = with_content ? head.size : 0;
    std::memcpy(out.data() + head_at, &head, sizeof head);
  }
  return out;
}

Result<std::vector<Member>> members_of(std::string_view flat) {
  std::vector<Member> out;
  while (!flat.empty()) {
    MemberHead head;
    if (flat.size() < sizeof head) return fail(Code::corrupt, "archive answer: cut in a head");
    std::memcpy(&head, flat.data(), sizeof head);
    flat.remove_prefix(sizeof head);
    if (head.name_size > flat.size() || head.content_size > flat.size() - head.name_size)
      return fail(Code::corrupt, "archive answer: lengths do not add up");
    out.push_back({.name = flat.substr(0, head.name_size),
                   .size = head.size,
                   .content = flat.substr(head.name_size, head.content_size)});
    flat.remove_prefix(head.name_size + head.content_size);
  }
  return out;
}

void warm_up_archives() {
  // An empty zip: its reading initialises the locale conversions and checksums.
  static constexpr char empty_zip[] = "PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
  (void)archive_members({empty_zip, 22}, true);
}

}  // namespace bavn::jail
