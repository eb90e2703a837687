#include "beacon/head.hpp"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <memory>

#include "base/digest.hpp"
#include "beacon/bytes.hpp"

namespace bavn::beacon {

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kSignature = 64;

std::uint64_t unsigned_micros(Instant t) {
  return static_cast<std::uint64_t>(micros(t));
}
Instant instant(std::uint64_t v) {
  return from_micros(static_cast<std::int64_t>(v));
}
Hash hash_in(BytesIn& in) {
  Hash h{};
  const auto bytes = in.raw(h.size());
  std::copy(bytes.begin(), bytes.end(), h.begin());
  return h;
}
std::unexpected<Error> bad(std::string_view form, std::string_view why) {
  return fail(Code::bad_input, fmt::format("not a {} of this version: {}", form, why));
}

}  // namespace

std::string_view view(const Hash& h) {
  return {h.data(), h.size()};
}

Hash hash_of(std::string_view bytes) {
  const std::string digest = blake2b256(bytes);
  Hash h{};
  std::copy(digest.begin(), digest.end(), h.begin());
  return h;
}

Result<Hash> hash_from(std::string_view bytes) {
  Hash h{};
  if (bytes.size() != h.size())
    return fail(Code::corrupt, fmt::format("a hash has 32 bytes, this one {}", bytes.size()));
  std::copy(bytes.begin(), bytes.end(), h.begin());
  return h;
}

bool is_name(std::string_view s, std::size_t most) {
  return !s.empty() && s.size() <= most && std::all_of(s.begin(), s.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '/' || c == '_' || c == '-';
  });
}

std::string_view audience_of(std::string_view stream) {
  const auto slash = stream.find('/');
  return slash == std::string_view::npos ? std::string_view{} : stream.substr(slash + 1);
}

std::string encode(const Head& head) {
  return BytesOut()
      .number(kVersion)
      .counted<std::uint8_t>(head.stream)
      .number(head.epoch)
      .number(head.seq)
      .raw(view(head.previous))
      .raw(view(head.payload))
      .number(unsigned_micros(head.not_before))
      .number(unsigned_micros(head.not_after))
      .take();
}

Result<Head> decode_head(std::string_view bytes) {
  BytesIn in(bytes);
  if (in.number<std::uint8_t>() != kVersion) return bad("head", "unknown version");
  Head head;
  head.stream = in.counted<std::uint8_t>();
  head.epoch = in.number<std::uint64_t>();
  head.seq = in.number<std::uint64_t>();
  head.previous = hash_in(in);
  head.payload = hash_in(in);
  head.not_before = instant(in.number<std::uint64_t>());
  head.not_after = instant(in.number<std::uint64_t>());
  if (!in.at_end()) return bad("head", in.bad() ? "cut short" : "bytes left over");
  if (!is_name(head.stream, kMaxStream)) return bad("head", "its stream has no valid name");
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 62U;  // fits an SQL integer
  if (head.epoch == 0 || head.seq == 0 || head.epoch > kLargest || head.seq > kLargest)
    return bad("head", "epoch and seq start at 1");
  return head;
}

Hash hash_of(const Head& head) {
  return hash_of(encode(head));
}

Hash payload_hash(std::string_view kind, std::string_view payload) {
  return hash_of(BytesOut().counted<std::uint8_t>(kind).raw(payload).take());
}

Entry sign_entry(const SigningKey& key, Head head, std::string kind, std::string payload) {
  head.payload = payload_hash(kind, payload);
  std::string signature = key.sign(kHeadPurpose, encode(head));
  return {std::move(head), std::move(signature), std::move(kind), std::move(payload)};
}

std::string encode(const Entry& entry) {
  return BytesOut()
      .number(kVersion)
      .counted<std::uint16_t>(encode(entry.head))
      .raw(entry.signature)
      .counted<std::uint8_t>(entry.kind)
      .counted<std::uint32_t>(entry.payload)
      .take();
}

Result<Entry> decode_entry(std::string_view bytes) {
  BytesIn in(bytes);
  if (in.number<std::uint8_t>() != kVersion) return bad("log entry", "unknown version");
  const auto head = in.counted<std::uint16_t>();
  Entry entry;
  entry.signature = in.raw(kSignature);
  entry.kind = in.counted<std::uint8_t>();
  const auto payload = in.counted<std::uint32_t>();
  if (!in.at_end()) return bad("log entry", in.bad() ? "cut short" : "bytes left over");
  if (payload.size() > kMaxPayload) return bad("log entry", "payload above 64 KiB");
  if (!is_name(entry.kind, kMaxKind)) return bad("log entry", "its kind has no valid name");
  entry.payload = payload;
  BAVN_TRY(entry.head, decode_head(head));
  if (payload_hash(entry.kind, entry.payload) != entry.head.payload)
    return bad("log entry", "the payload is not the one that was signed");
  return entry;
}

bool signed_by(const PublicKey& key, const Entry& entry) {
  return key.verify(kHeadPurpose, encode(entry.head), entry.signature);
}

std::string encode_segment(const std::vector<Item>& items) {
  BytesOut plain;
  plain.number(kVersion).number(static_cast<std::uint32_t>(items.size()));
  for (const auto& item : items) plain.counted<std::uint8_t>(item.kind).counted<std::uint32_t>(item.payload);
  const std::string bytes = plain.take();
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const auto n = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3);
  BAVN_ASSERT(ZSTD_isError(n) == 0);
  out.resize(n);
  return out;
}

Result<std::vector<Item>> decode_segment(std::string_view bytes) {
  // Items may fill kMaxSegment and the last one may go beyond it; their lengths take five bytes and the kind.
  constexpr std::size_t kMost = kMaxSegment + 2 * kMaxItem;
  const auto size = ZSTD_getFrameContentSize(bytes.data(), bytes.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
    return bad("segment", "no zstd frame with a size");
  if (size > kMost) return bad("segment", "larger than a segment may be");
  std::string plain(size, '\0');
  const auto n = ZSTD_decompress(plain.data(), plain.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(n) != 0 || n != size) return bad("segment", "its zstd frame is damaged");
  BytesIn in(plain);
  if (in.number<std::uint8_t>() != kVersion) return bad("segment", "unknown version");
  const auto count = in.number<std::uint32_t>();
  std::vector<Item> items;
  for (std::uint32_t i = 0; i < count && !in.bad(); ++i) {
    Item item;
    item.kind = in.counted<std::uint8_t>();
    item.payload = in.counted<std::uint32_t>();
    if (in.bad()) break;
    if (!is_name(item.kind, kMaxKind)) return bad("segment", "an item's kind has no valid name");
    if (item.payload.size() > kMaxItem) return bad("segment", "an item above 1 MiB");
    items.push_back(std::move(item));
  }
  if (!in.at_end()) return bad("segment", in.bad() ? "cut short" : "bytes left over");
  return items;
}

std::string encode(const FileRef& ref) {
  return BytesOut().number(kVersion).raw(view(ref.hash)).number(ref.size).take();
}

Result<FileRef> decode_file_ref(std::string_view payload) {
  BytesIn in(payload);
  if (in.number<std::uint8_t>() != kVersion) return bad("file reference", "unknown version");
  FileRef ref;
  ref.hash = hash_in(in);
  ref.size = in.number<std::uint64_t>();
  if (!in.at_end()) return bad("file reference", in.bad() ? "cut short" : "bytes left over");
  return ref;
}

std::string encode(const BaseRef& ref) {
  return BytesOut()
      .number(kVersion)
      .raw(view(ref.file.hash))
      .number(ref.file.size)
      .raw(view(ref.items.hash))
      .number(ref.items.size)
      .number(ref.covers_seq)
      .number(ref.covers_epoch)
      .raw(view(ref.covers_hash))
      .take();
}

Result<BaseRef> decode_base_ref(std::string_view payload) {
  BytesIn in(payload);
  if (in.number<std::uint8_t>() != kVersion) return bad("base reference", "unknown version");
  BaseRef ref;
  ref.file.hash = hash_in(in);
  ref.file.size = in.number<std::uint64_t>();
  ref.items.hash = hash_in(in);
  ref.items.size = in.number<std::uint64_t>();
  ref.covers_seq = in.number<std::uint64_t>();
  ref.covers_epoch = in.number<std::uint64_t>();
  ref.covers_hash = hash_in(in);
  if (!in.at_end()) return bad("base reference", in.bad() ? "cut short" : "bytes left over");
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 62U;
  if (ref.covers_seq > kLargest || ref.covers_epoch > kLargest || (ref.covers_seq != 0 && ref.covers_epoch == 0))
    return bad("base reference", "it covers what cannot be");
  return ref;
}

}  // namespace bavn::beacon
