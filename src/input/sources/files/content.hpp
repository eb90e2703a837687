#pragma once
// The bytes of one opened file by place, packed or not. One at a time; not thread safe.
#include <memory>
#include <string>

#include "base/files.hpp"
#include "formats/bytes.hpp"

namespace bavn::input::sources::files {

class Content {
 public:
  static Result<std::unique_ptr<Content>> open(Files& files, const std::string& path);

  bool packed() const { return packed_; }
  Result<FileStat> stat() const { return file_->stat(); }
  /// The bytes [from, from + n), fewer at the end. A packed file is read on from where it was, or again from its beginning.
  /// corrupt: the packed data is damaged there, or does not go on (yet).
  Result<std::string> read(std::uint64_t from, std::size_t n);

 private:
  Content(std::unique_ptr<File> file, std::string path, bool packed)
      : file_(std::move(file)), path_(std::move(path)), packed_(packed) {}
  std::unique_ptr<File> file_;
  std::string path_;
  bool packed_;
  std::unique_ptr<formats::Bytes> unpack_;
  std::uint64_t unpacked_ = 0;
};

/// Every path that the pattern names, sorted; folders that cannot be listed are told.
/// limit: of paths; what is beyond is told too.
std::vector<std::string> expand(Files& files, const std::string& pattern, std::size_t limit,
                                std::vector<Error>& trouble);
/// A pattern without '/' is compared with the name alone.
bool matches(const std::string& pattern, const std::string& path);

enum class Encoding : std::int8_t { utf8, utf8_marked, utf16_little, utf16_big };
Encoding encoding_of(std::string_view head);

}  // namespace bavn::input::sources::files
