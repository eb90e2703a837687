#include "input/sources/files/content.hpp"

#include <fnmatch.h>

#include <algorithm>

#include "base/text.hpp"

namespace bavn::input::sources::files {

namespace {

class Sequential final : public formats::Bytes {
 public:
  explicit Sequential(const File& file) : file_(file) {}
  Result<std::size_t> read(char* p, std::size_t n) override {
    BAVN_TRY(const std::size_t got, file_.pread(at_, {p, n}));
    at_ += got;
    return got;
  }

 private:
  const File& file_;
  std::uint64_t at_ = 0;
};

bool wild(std::string_view part) {
  return part.find_first_of("*?[") != std::string_view::npos;
}

void expand_from(Files& files, const std::string& base, std::string_view rest, std::size_t limit,
                 std::vector<std::string>& out, std::vector<Error>& trouble) {
  const std::size_t slash = rest.find('/');
  const std::string part(rest.substr(0, slash));
  const bool last = slash == std::string_view::npos;
  if (!wild(part)) {
    const std::string path = base + "/" + part;
    if (!last) return expand_from(files, path, rest.substr(slash + 1), limit, out, trouble);
    if (files.exists(path)) out.push_back(path);
    return;
  }
  auto names = files.list(base.empty() ? "/" : base);
  if (!names) {
    if (names.error().code != Code::not_found) trouble.push_back(names.error());
    return;
  }
  for (const std::string& name : *names) {
    if (::fnmatch(part.c_str(), name.c_str(), FNM_PERIOD) != 0) continue;
    if (out.size() >= limit) {
      trouble.push_back({Code::bad_input,
                         "more files than the limit of " + std::to_string(limit) + "; narrow the pattern",
                         base + "/" + std::string(rest)});
      return;
    }
    const std::string path = base + "/" + name;
    if (last) out.push_back(path);
    else if (const auto st = files.stat(path); st && st->folder)
      expand_from(files, path, rest.substr(slash + 1), limit, out, trouble);
  }
}

}  // namespace

Result<std::unique_ptr<Content>> Content::open(Files& files, const std::string& path) {
  BAVN_TRY(auto file, files.open(path, OpenMode::read));
  BAVN_TRY(const FileStat st, file->stat());
  if (!st.regular) return fail(Code::bad_input, "it is no regular file", path);
  char head[6] = {};
  BAVN_TRY(const std::size_t got, file->pread(0, head));
  const std::string_view h(head, got);
  if (h.starts_with("\xFD"
                    "7zXZ") ||
      h.starts_with("BZh") || h.starts_with("PK\x03\x04") || h.starts_with("7z\xBC\xAF"))
    return fail(
        Code::bad_input,
        "packed in a way that is not followed (gzip and zstd are); use `bavn ingest` for it once, or exclude it", path);
  const bool packed = h.starts_with("\x1F\x8B") || h.starts_with("\x28\xB5\x2F\xFD");
  return std::unique_ptr<Content>(new Content(std::move(file), path, packed));
}

Result<std::string> Content::read(std::uint64_t from, std::size_t n) {
  std::string out;
  if (!packed_) {
    out.resize(n);
    BAVN_TRY(const std::size_t got, file_->pread(from, out));
    out.resize(got);
    return out;
  }
  if (!unpack_ || unpacked_ > from) {
    BAVN_TRY(unpack_, formats::unpacked(std::make_unique<Sequential>(*file_), path_));
    unpacked_ = 0;
  }
  // An error stays with the unpacker, and what came before it was given: the next read starts afresh.
  const auto broken = [&](Error e) -> Result<std::string> {
    unpack_.reset();
    if (!out.empty()) return out;
    return std::unexpected(std::move(e));
  };
  std::string skipped;
  while (unpacked_ < from) {
    skipped.resize(std::min<std::uint64_t>(from - unpacked_, 256U << 10U));
    const auto got = unpack_->read(skipped.data(), skipped.size());
    if (!got) return broken(got.error());
    if (*got == 0) return out;
    unpacked_ += *got;
  }
  out.resize(n);
  std::size_t have = 0;
  while (have < n) {
    const auto got = unpack_->read(out.data() + have, n - have);
    if (!got || *got == 0) {
      out.resize(have);
      return got ? Result<std::string>(out) : broken(got.error());
    }
    have += *got;
    unpacked_ += *got;
  }
  return out;
}

std::vector<std::string> expand(Files& files, const std::string& pattern, std::size_t limit,
                                std::vector<Error>& trouble) {
  std::vector<std::string> out;
  if (!pattern.starts_with('/')) {
    trouble.push_back({Code::bad_input, "a path to follow begins with '/'", pattern});
    return out;
  }
  expand_from(files, "", std::string_view(pattern).substr(1), limit, out, trouble);
  return out;
}

bool matches(const std::string& pattern, const std::string& path) {
  const bool whole = pattern.find('/') != std::string::npos;
  const std::string name = whole ? path : path.substr(path.rfind('/') + 1);
  return ::fnmatch(pattern.c_str(), name.c_str(), FNM_PATHNAME) == 0;
}

Encoding encoding_of(std::string_view head) {
  if (head.starts_with("\xEF\xBB\xBF")) return Encoding::utf8_marked;
  if (head.starts_with("\xFF\xFE")) return Encoding::utf16_little;
  if (head.starts_with("\xFE\xFF")) return Encoding::utf16_big;
  return Encoding::utf8;
}

}  // namespace bavn::input::sources::files
