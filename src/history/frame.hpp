#pragma once
// The bytes of a segment file: one file header, then frames. Written and read by one pair each; golden test, fuzzer.
//
//   file header   "BVSEG1\0\0", kind u8, segment u32, day i32, created i64, xxh3 u64
//   frame         magic u32, length u32 (all of it), xxh3 u64 (of what follows), header, sealed payload
//   sealed        12 bytes nonce, AES-256-GCM(zstd(plain)), 16 bytes tag; the header is the associated data
//   plain         runs of {count, received}, context, lines          (kind lines)
//                 a zstd dictionary                                   (kind dictionary)
//
// A frame names its segment and number: bytes of a recycled file or of another place never pass for it.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"

namespace bavn::history {

using BatchId = std::array<char, 16>;

enum class SegmentKind : std::uint8_t { journal = 1, rewritten = 2 };

struct SegmentHeader {
  SegmentKind kind = SegmentKind::journal;
  std::uint32_t segment = 0;
  std::int32_t day = 0;  // received day, days since 1970 (UTC)
  std::int64_t created_us = 0;
};
constexpr std::size_t kSegmentHeaderBytes = 8 + 1 + 4 + 4 + 8 + 8;
std::string encode(const SegmentHeader& h);
std::optional<SegmentHeader> decode_segment_header(std::string_view bytes);

enum class FrameKind : std::uint8_t { lines = 1, dictionary = 2 };

struct FrameHeader {
  FrameKind kind = FrameKind::lines;
  std::uint32_t segment = 0;
  std::uint32_t number = 0;  // lines count from 0, dictionaries from 1, each kind by itself
  MunicipalityId municipality{};
  TenantId tenant{};
  std::int32_t day = 0;      // of the key
  std::uint32_t key_id = 0;  // which key of that day and source: one made after an erasure has another
  std::int64_t received_us = 0;
  BatchId batch{};  // all zero: the sender gave none
  std::uint32_t count = 0;
  std::uint32_t plain_bytes = 0;  // after decompression
  std::uint32_t lines_bytes = 0;
  std::int64_t min_happened_us = 0, max_happened_us = 0;
  std::uint32_t dictionary = 0;  // number of a dictionary frame before this one in the same segment; 0: none
  std::string_view source, format;
};

constexpr std::size_t kMaxName = 200;            // of a source or a format
constexpr std::uint32_t kMaxPlain = 72U << 20U;  // of one frame
constexpr std::size_t kFramePrefix = 4 + 4 + 8;  // magic, length, checksum
constexpr std::uint32_t kMaxFrame = kMaxPlain + 4096;

/// Appends the frame up to the sealed bytes; finish_frame() fills length and checksum in after they were appended.
/// Returns where the header (the associated data) lies in `out`.
struct FrameStart {
  std::size_t at, header_begin, header_end;
};
FrameStart begin_frame(std::string& out, const FrameHeader& h);
void finish_frame(std::string& out, const FrameStart& start);

struct DecodedFrame {
  FrameHeader header;           // its views point into the frame's bytes
  std::string_view associated;  // header bytes
  std::string_view sealed;
  std::size_t length = 0;
};
/// Length a frame claims, if the first bytes are those of a frame and the claim is within limits.
std::optional<std::uint32_t> frame_length(std::string_view first_bytes);
/// The frame at the beginning of `bytes`. Code::corrupt when cut, damaged or out of limits.
Result<DecodedFrame> decode_frame(std::string_view bytes);

/// When the records of a frame were received: runs in line order.
struct Run {
  std::uint32_t count = 0;
  std::int64_t received_us = 0;
  friend bool operator==(const Run&, const Run&) = default;
};

std::string encode_plain(const std::vector<Run>& runs, std::string_view context, std::string_view lines);

/// A frame's text. Reusable: read_frame keeps the memory.
class FrameText {
 public:
  std::string_view context() const { return std::string_view(bytes_).substr(context_at_, context_size_); }
  std::string_view lines() const { return std::string_view(bytes_).substr(lines_at_); }
  const std::vector<Run>& runs() const { return runs_; }
  std::int64_t received_us(std::uint32_t record) const;
  /// Takes decompressed bytes; Code::corrupt when they are not encode_plain()'s or do not fit the header.
  Result<void> take(std::string bytes, const FrameHeader& h);
  std::string release() { return std::move(bytes_); }

 private:
  std::string bytes_;
  std::vector<Run> runs_;
  std::size_t context_at_ = 0, context_size_ = 0, lines_at_ = 0;
};

/// What a sealed segment's directory file (`seg-n.dir`) knows of a frame.
struct FrameEntry {
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  std::uint32_t source = 0;  // index into Directory::sources
  std::uint32_t format = 0;  // index into Directory::formats
  std::uint32_t count = 0;
  std::uint32_t lines_bytes = 0;
  std::int64_t received_us = 0, min_happened_us = 0, max_happened_us = 0;
  BatchId batch{};
  bool dropped = false;  // a batch that came twice: kept on disk, never shown
  friend bool operator==(const FrameEntry&, const FrameEntry&) = default;
};

struct Source {
  std::string name;
  MunicipalityId municipality{};
  TenantId tenant{};
  friend auto operator<=>(const Source&, const Source&) = default;
};

struct Directory {
  std::vector<Source> sources;
  std::vector<std::string> formats;
  std::vector<FrameEntry> frames;  // by number
  struct Dictionary {
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
    std::uint32_t source = 0;
    friend bool operator==(const Dictionary&, const Dictionary&) = default;
  };
  std::vector<Dictionary> dictionaries;  // by number - 1
  friend bool operator==(const Directory&, const Directory&) = default;
};
std::string encode(const Directory& d);
Result<Directory> decode_directory(std::string_view bytes);

}  // namespace bavn::history
